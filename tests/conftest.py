"""Fixtures shared by all tests."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

# Two test processes on two cores: more threads only fight each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SLOW = {
    "finished_run",
    "preloaded",
    "cluster",
    "no_cluster",
    "runs",
    "trained",
    "base",
    "document",
    "browser",
}
"""Fixtures that start a whole run, a cluster, several processes, an environment or a browser."""

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as slow what needs a slow fixture, however indirectly."""
    for item in items:
        if SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """``made_once(name, make)``: a folder that one test process fills with ``make(folder)``.

    A second process waits for it and takes it as it is, so what takes long is done once.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # all processes' own folders lie there

    def folder(name, make):
        place, whole = base / name, base / f"{name}.whole"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                make(place)
                whole.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with the real data sets, from BOXLESS_DATA; the test is skipped where it is absent."""
    root = Path(os.environ.get("BOXLESS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set BOXLESS_DATA")
    return root
