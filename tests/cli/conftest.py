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
def finished_run(made_once):
    """A whole run, made once by the real command; look, don't touch."""

    def make(folder):
        done = boxless(*train_words(folder / "first", "--run.checkpoint_seconds", "0"))
        assert done.code == 0, done.err
        (folder / "first.out").write_text(done.out)

    return made_once("runs", make) / "first"


@pytest.fixture(scope="session")
def shipped(finished_run):
    """Key of the student that the finished run ships; its only seed is 0."""
    return json.loads((finished_run / "results.json").read_text("utf-8"))["shipped"]["variant"]


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A copy of the finished run that a test may damage."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def app(capsys, monkeypatch):
    """The command in this process, where starting one for each case would take too long."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

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
