"""What the machine refuses: no space, a read-only or vanished folder, a clock that jumps."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from boxless.data.sources import load_manifest
from boxless.errors import MissingExtraError, RunError, package_fault, system_fault
from boxless.files.atomic import write_atomically
from boxless.files.lock import held
from boxless.files.seals import write_sealed
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import execute as module
from boxless.runs.context import Run
from boxless.runs.plan import Step
from boxless.runs.record import read_record

FAULTS = {
    "full": OSError(errno.ENOSPC, "No space left on device"),
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "read-only": OSError(errno.EROFS, "Read-only file system"),
    "stale": OSError(errno.ESTALE, "Stale file handle"),
    "broken": OSError(errno.EIO, "Input/output error"),
}
CALLS = ((os, "fsync"), (Path, "open"), (Path, "replace"), (Path, "mkdir"))


def refuse(monkeypatch, owner, name: str, fault: OSError) -> None:
    def call(*_, **__):
        raise fault

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
@pytest.mark.parametrize(("owner", "call"), CALLS, ids=[name for _, name in CALLS])
def test_a_write_that_is_refused_changes_nothing(tmp_path, monkeypatch, fault, owner, call):
    path = tmp_path / "a.json"
    path.write_text("old")
    with monkeypatch.context() as patch:
        refuse(patch, owner, call, fault)
        with pytest.raises(RunError, match=f"cannot write {path}: {fault.strerror}") as caught:
            write_atomically(path, b"new")
    assert "run the same command again" in caught.value.hint
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "old")]


def test_a_vanished_folder_is_not_made_again(tmp_path):
    with pytest.raises(RunError, match="its folder has vanished"):
        write_sealed(tmp_path / "gone" / "weights.safetensors", b"\2\0\0\0\0\0\0\0{}")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch, fault):
    refuse(monkeypatch, Path, "mkdir", fault)
    told = f"cannot make or open .*: {fault.strerror}"
    with pytest.raises(RunError, match=told), held(tmp_path / "step"):
        pass


def test_faults_of_the_machine_and_bugs():
    told = system_fault(OSError(errno.ESTALE, "Stale file handle", "/net/run"))
    assert told is not None
    assert "Stale file handle: /net/run" in str(told)
    assert system_fault(FileNotFoundError(errno.ENOENT, "No such file or directory")) is None
    assert system_fault(OSError("no number")) is None


def test_packages_that_are_missing_or_broken():
    missing = package_fault(ModuleNotFoundError("no", name="torch.nn"))
    assert isinstance(missing, MissingExtraError)
    assert "'torch'" in missing.message
    broken = package_fault(ImportError("libx.so is gone", name="torch"))
    assert isinstance(broken, RunError)
    assert "broken: libx.so is gone" in broken.message
    assert package_fault(ImportError("bug", name="boxless.x")) is None


class TestRuns:
    """A run of one stand-in step."""

    @pytest.fixture
    def steps(self, tmp_path, monkeypatch):
        manifest = load_manifest("scenes:train=20,test=5,size=64")
        run = Run(tmp_path / "run", "scenes:", load_recipe("demo"), manifest)
        acts = []

        def act(run, folder):
            acts.pop(0)(folder)
            return {}

        monkeypatch.setattr(module, "plan", lambda _: [Step("teacher", "teacher", {}, (), act)])
        monkeypatch.setattr(module, "_check_networks", lambda *_: None)
        monkeypatch.setattr("boxless.runs.forecast.pace_of", lambda _: None)
        return run, acts

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
    def test_goes_on_after_a_fault(self, steps, fault):
        run, acts = steps

        def fail(folder):
            (folder / "kept").write_text("half")
            raise fault

        acts += [fail, lambda folder: (folder / "whole").write_text("whole")]
        with pytest.raises(RunError, match=f"step teacher stopped: {fault.strerror}"):
            module.execute(run, until="teacher")
        assert read_record(run.folder / "teacher").status == "running"
        module.execute(run, until="teacher")
        assert read_record(run.folder / "teacher").status == "done"
        assert {"kept", "whole"} < {p.name for p in (run.folder / "teacher").iterdir()}

    def test_the_folder_vanishes(self, steps):
        run, acts = steps
        acts += [lambda _: shutil.rmtree(run.folder), lambda _: None]
        with pytest.raises(RunError, match=r"the folder .* has vanished"):
            module.execute(run, until="teacher")
        assert not run.folder.exists()
        module.execute(run, until="teacher")
        assert read_record(run.folder / "teacher").status == "done"

    @pytest.mark.parametrize("moment", [0, 4e9], ids=["1970", "2096"])
    def test_the_clock_jumps(self, steps, monkeypatch, moment):
        """Nothing is done again because a file looks older or newer than another."""
        run, acts = steps
        acts.append(lambda _: None)
        monkeypatch.setattr(module.time, "gmtime", lambda *_: time_tuple(moment), raising=False)
        module.execute(run, until="teacher")
        for path in run.folder.rglob("*"):
            os.utime(path, (moment, moment))
        module.execute(run, until="teacher")
        assert not acts
        assert read_record(run.folder / "teacher").seconds >= 0


def time_tuple(moment):
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).timetuple()
