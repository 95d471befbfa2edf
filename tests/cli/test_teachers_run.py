"""Whole runs with other teachers than the paper's: class maps, and a network of the user's."""

import json

import pytest
import torch
from command_line import SPEC, TINY
from torch import nn

import boxless
from boxless.errors import ShapeError
from boxless.report.results import read_results

CLASS_MAPS = {
    "kind": "class_maps", "trainable": "head", "folds": 2, "parts": ["means", "peaks"],
}  # fmt: skip


class Colors(nn.Module):
    """Logits of an image's mean color."""

    def __init__(self, classes=10):
        super().__init__()
        self.fc = nn.Linear(3, classes)

    def forward(self, pixels):
        return self.fc(pixels.mean((2, 3)) / 255)


def colors(seed, classes=10):
    torch.manual_seed(seed)
    return Colors(classes)


def taught(out, seed):
    return boxless.train(
        SPEC,
        out=out,
        recipe=TINY,
        teacher=colors(seed),
        method="class-aware",
        **{"stage2.start": "teacher"},
    )


def test_class_maps_teach_a_run(tmp_path):
    settings = {f"teacher.{key}": value for key, value in CLASS_MAPS.items()}
    run = boxless.train(SPEC, out=tmp_path / "run", recipe=TINY, tags=30, **settings)
    results = read_results(run.folder / "results.json")
    found = results.variants["teacher"].localization
    assert 0 <= found.coverage <= 1
    assert 0 < found.covered_area <= 1
    facts = json.loads((run.folder / "teacher" / "step.json").read_text())["facts"]
    assert facts["ridge"] > 0
    seed = results.variants["teacher"].seeds[0]
    assert (seed.unseen_map, seed.whole_image_map) == (
        facts["unseen_map"],
        facts["whole_image_map"],
    )
    assert seed.localization is not None
    assert 'id="suspects"' in (run.folder / "report.html").read_text("utf-8")
    steps = [json.loads(path.read_text()) for path in run.folder.rglob("step.json")]
    checks = [step["facts"].get("teacher_check") for step in steps]
    assert any(check and "whole_image_unseen_map" in check for check in checks)


def test_a_network_of_the_users_teaches_a_run(tmp_path):
    out = tmp_path / "run"
    run = taught(out, 0)
    (table,) = out.glob("teacher-*.npz")
    assert not (out / "proposals").exists()
    results = read_results(out / "results.json")
    assert results.variants["teacher"].localization is None
    assert results.variants["teacher"].parameters == 0
    assert run.best.method in ("plain", "class-aware")
    before = table.stat().st_mtime_ns
    taught(out, 0)  # finished: nothing is asked again
    assert [p.stat().st_mtime_ns for p in out.glob("teacher-*.npz")] == [before]


def test_a_network_with_other_classes_is_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"must give logits \(\d+, 10\), found \(\d+, 4\)"):
        boxless.train(SPEC, out=tmp_path, recipe=TINY, teacher=colors(0, 4), method="class-aware")
