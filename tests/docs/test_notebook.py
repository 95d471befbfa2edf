"""The notebooks run from top to bottom, and are kept without outputs."""

import json
from functools import reduce

import pytest
from documents import ROOT

FEWER = {
    "train=600,test=150": "train=160,test=40",
    '"stage2.optim.epochs": 10': '"stage2.optim.epochs": 2',
}
"""What a notebook says, and what runs here instead; `make docs` runs all of it."""

NOTEBOOKS = sorted((ROOT / "docs").glob("notebooks/*.ipynb"))


def code_cells(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_is_one():
    assert [path.stem for path in NOTEBOOKS] == ["first-student"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_outputs_are_kept(path):
    assert all(not cell["outputs"] and not cell["execution_count"] for cell in code_cells(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_cells_run(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    space = {"__name__": "notebook"}
    cells = ["".join(cell["source"]) for cell in code_cells(path)]
    assert all(said in "".join(cells) for said in FEWER)
    for number, source in enumerate(cells):
        smaller = reduce(lambda text, pair: text.replace(*pair), FEWER.items(), source)
        exec(compile(smaller, f"{path.name}, cell {number}", "exec"), space)
    assert "gain of distilling" in capsys.readouterr().out
    assert space["run"].folder.is_relative_to(tmp_path)
