"""What comes from outside is printed as it is, wherever boxless prints."""

import re
import shutil

import pytest
from command_line import SOURCE, SPEC, TINY

NAME = "[red]x"


def test_only_one_file_makes_consoles():
    made = re.compile(r"(?<![_\w.])(?:rich\.console\.)?Console\(")
    found = {
        str(path.relative_to(SOURCE))
        for path in (SOURCE / "boxless").rglob("*.py")
        if made.search(path.read_text("utf-8"))
    }
    assert found == {"boxless/files/console.py"}


def test_nothing_is_written_as_markup():
    """Styles are given as ``rich.text.Text`` or ``style=``, so no text has to be escaped."""
    marks = re.compile(r"\[/?(?:bold|dim|red|green|yellow)[ a-z]*\]|rich\.markup|\[/\]")
    found = [
        p.name for p in (SOURCE / "boxless").rglob("*.py") if marks.search(p.read_text("utf-8"))
    ]
    assert found == []


class TestRunInAFolderOfThatName:
    @pytest.fixture
    def place(self, finished_run, tmp_path, monkeypatch):
        shutil.copytree(finished_run, tmp_path / NAME)
        monkeypatch.chdir(tmp_path)

    def test_report(self, place, app):
        done = app("report", SPEC, "--recipe", TINY, "--out", NAME)
        assert done.code == 0, done.err
        for text in (f"{NAME}/report.html", f"{NAME}/results.json", f"predict {NAME} IMAGE"):
            assert text in done.out
        assert "report done in" in done.err

    def test_other_verbs(self, place, app):
        assert f"written: {NAME}/s.onnx" in app("export", NAME, "--out", f"{NAME}/s.onnx").out
        (app("verify", f"{NAME}/none")).refused(f"{NAME}/none: expected a run folder")
        done = app(
            "proposals", "scenes:train=2,test=1,size=48", "--method", "grid", "--out", f"{NAME}/b"
        )
        assert f"{NAME}/b" in done.out
        dry = ("experiments", "run", "table4", SPEC, "--recipe", TINY, "--dry-run", "--out", NAME)
        assert f"run {NAME}/" in app(*dry).out
