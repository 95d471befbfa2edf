"""A finished run, and processes that are cheap to start."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import Done, Preloaded, boxless, train_words


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


@pytest.fixture(scope="session")
def shipped(finished_run):
    """Key of the student that the finished run ships; its only seed is 0."""
    return json.loads((finished_run / "results.json").read_text("utf-8"))["shipped"]["variant"]


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A copy of the finished run that a test may damage."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def app(capsys):
    """The command in this process, where starting one for each case would take too long."""

    def run(*words):
        from boxless.cli.app import main  # imports only what the command line needs

        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        streams = capsys.readouterr()
        return Done(code, streams.out, streams.err)

    return run
