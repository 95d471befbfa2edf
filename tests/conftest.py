"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# Two test processes on two cores: more threads only fight each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with the real data sets, from BOXLESS_DATA; the test is skipped where it is absent."""
    root = Path(os.environ.get("BOXLESS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set BOXLESS_DATA")
    return root
