"""A finished run, and processes that are cheap to start."""

import shutil
from pathlib import Path

import pytest
from command_line import Preloaded, boxless, train_words


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory):
    server = Preloaded(tmp_path_factory.mktemp("preloaded"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A whole run, made once by the real command; look, don't touch."""
    out = tmp_path_factory.mktemp("runs") / "first"
    done = boxless(*train_words(out, "--run.checkpoint_seconds", "0"))
    assert done.code == 0, done.err
    (out.parent / "first.out").write_text(done.out)
    return out


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A copy of the finished run that a test may damage."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))
