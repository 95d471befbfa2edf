"""A whole run through the real command, and what a second command does with it."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import SPEC, boxless, train_words
from safetensors.numpy import load_file

from boxless.data.images import load_image
from boxless.data.sources import load_manifest
from boxless.metrics.temperature import apply_temperatures
from boxless.report import wording
from boxless.report.results import read_results
from boxless.runs.calibration_step import load_calibration

STEPS = (
    "proposals", "teacher", "maps", "cache", "students/plain/32px/seed-0",
    "features/regions/32px/seed-0", "students/regions/32px/seed-0",
    "evaluate", "calibrate", "locate", "export", "report",
)  # fmt: skip


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and bytes of every file."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def record(folder: Path, step: str) -> dict:
    return json.loads((folder / step / "step.json").read_text())


def test_all_steps_are_recorded_and_nothing_half_done_stays(finished_run):
    assert {step: record(finished_run, step)["status"] for step in STEPS} == dict.fromkeys(
        STEPS, "done"
    )
    names = [p.name for p in finished_run.rglob("*")]
    assert not [n for n in names if n.endswith(".tmp") or "checkpoint" in n]


def test_results_are_valid_and_agree_with_predictions(finished_run):
    results = read_results(finished_run / "results.json")
    assert set(results.variants) == {"teacher", "plain", "regions"}
    assert results.data.images == {"train": 64, "held_out": 16, "test": 16}
    baseline, distilled = results.variants["plain"], results.variants["regions"]
    assert baseline.seeds[0].updates == distilled.seeds[0].updates == 16  # equal budgets
    assert baseline.parameters == distilled.parameters
    assert baseline.input_size == distilled.input_size == 32
    found = load_file(finished_run / "evaluate" / "predictions.safetensors")
    assert set(found) == {
        f"{variant}.0.{part}"
        for variant in ("teacher", "plain", "regions")
        for part in ("test", "held_out")
    }
    values = np.concatenate([v.ravel() for v in found.values()])
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() <= 1
    assert found["regions.0.test"].shape == (16, len(results.data.classes))
    steps = {step.name: step.status for step in results.steps}
    assert steps == dict.fromkeys(STEPS[:-1], "done")


def test_report_stands_alone(finished_run):
    page = (finished_run / "report.html").read_text("utf-8")
    links = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert not [t for t in links if not t.startswith(("data:", "#", "https://arxiv.org"))]
    assert not re.search(r"url\((?!\s*['\"]?(?:data:|#))|@import|<script[^>]+src", page)
    assert page.count("data:image/") >= 4  # pictures of the gallery
    assert "student with distillation" in page


def test_the_gallery_begins_with_the_greatest_errors_at_shipped_thresholds(finished_run):
    page = (finished_run / "report.html").read_text("utf-8")
    reasons = re.findall(r"\((among the greatest errors|gained most by distilling|picked at)", page)
    assert reasons[:4] == ["among the greatest errors"] * 4
    assert "gained most by distilling" in reasons[4:]
    limits = {
        f"threshold {100 * limit:.0f} %"
        for entries in load_calibration(finished_run / "calibrate").values()
        for limit in entries[0]["thresholds"]
    }
    assert set(re.findall(r'title="(threshold [^"]*)"', page)) <= limits


def test_the_printed_summary_names_the_files(finished_run):
    printed = (finished_run.parent / "first.out").read_text()
    for part in ("report.html", "results.json", "export/student.onnx", f"predict {finished_run}"):
        assert part in printed


def test_export_parity_is_recorded(finished_run):
    facts = record(finished_run, "export")["facts"]
    assert facts["images_compared"] == 16
    results = read_results(finished_run / "results.json")
    assert results.shipped.model_dump() == facts["shipped"]
    printed = (finished_run.parent / "first.out").read_text()
    page = (finished_run / "report.html").read_text("utf-8")
    for text in (printed, html.unescape(page)):
        assert wording.shipped(results.shipped) in text
    assert 0 <= facts["largest_difference"] < 1e-4
    assert facts["bytes"] == (finished_run / "export" / "student.onnx").stat().st_size


@pytest.fixture(scope="module")
def no_torch(tmp_path_factory):
    """A folder that makes ``import torch`` and its friends fail."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in ("torch", "torchvision", "timm", "accelerate", "cv2", "onnx", "matplotlib"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise ImportError('no {name} here')\n")
    return folder


def test_predict_needs_no_torch(finished_run, shipped, no_torch, tmp_path):
    from command_line import SOURCE
    from PIL import Image

    picture = load_image(load_manifest(SPEC).split("test").records[3].path)
    Image.fromarray(picture).save(tmp_path / "scene.png")
    done = boxless(
        *("predict", finished_run, tmp_path / "scene.png", "--json", "--top", "10"),
        PYTHONPATH=f"{no_torch}:{SOURCE}",
    )
    assert done.code == 0, done.err
    row = json.loads(done.out)
    results = read_results(finished_run / "results.json")
    found = load_file(finished_run / "evaluate" / "predictions.safetensors")
    (fitted,) = load_calibration(finished_run / "calibrate")[shipped]
    wanted = apply_temperatures(found[f"{shipped}.0.test"], fitted["temperatures"])
    told = {entry["name"]: entry["probability"] for entry in row["labels"]}
    assert [told[c] for c in results.data.classes] == pytest.approx(list(wanted[3]), abs=1e-4)


def test_training_with_a_broken_package_says_what_to_do(no_torch, tmp_path):
    from command_line import SOURCE

    done = boxless(*train_words(tmp_path / "run"), PYTHONPATH=f"{no_torch}:{SOURCE}")
    done.refused("a package that training needs is broken: no", "boxless doctor")


@pytest.mark.parametrize(
    "words", [("train", SPEC, "--dry-run"), ("experiments", "run", "tags", SPEC, "--dry-run")]
)
def test_so_does_whatever_else_asks_for_it(no_torch, tmp_path, words):
    from command_line import SOURCE

    done = boxless(*words, "--out", tmp_path / "run", PYTHONPATH=f"{no_torch}:{SOURCE}")
    done.refused("a package that training needs is broken: no", "boxless doctor")
    assert not (tmp_path / "run").exists()


def test_the_list_of_experiments_needs_no_torch(no_torch):
    from command_line import SOURCE

    done = boxless("experiments", "list", PYTHONPATH=f"{no_torch}:{SOURCE}")
    assert done.code == 0, done.err
    assert "tags" in done.out


def test_a_finished_run_is_left_alone_without_importing_torch(run_copy, no_torch):
    from command_line import SOURCE

    before = contents(run_copy)
    words = train_words(run_copy, "--run.checkpoint_seconds", "0")
    done = boxless(*words, PYTHONPATH=f"{no_torch}:{SOURCE}")
    assert done.code == 0, done.err
    assert done.err.count("done already") == len(STEPS)
    assert contents(run_copy) == before


def test_a_run_folder_knows_its_recipe(run_copy, app):
    done = app("train", SPEC, "--out", run_copy)
    assert done.code == 0, done.err
    assert done.err.count("done already") == len(STEPS)


def test_changed_settings_are_refused_field_by_field(run_copy, app):
    before = contents(run_copy)
    changes = ("--stage2.optim.lr", "0.5", "--student.dropout", "0.3")
    done = app(*train_words(run_copy, *changes))
    done.refused(
        "students/plain/32px/seed-0: stage2.optim.lr: 0.001 -> 0.5 student.dropout: 0.1 -> 0.3",
        "features/regions/32px/seed-0: student.dropout: 0.1 -> 0.3",
        "--force regions --force plain",
    )
    assert "teacher:" not in done.err
    assert contents(run_copy) == before


def test_changed_data_are_refused(run_copy, app):
    before = contents(run_copy)
    done = app(*train_words(run_copy, spec="scenes:train=81,test=16,size=64"))
    done.refused("data set: its images or labels changed", "--force proposals")
    assert contents(run_copy) == before


def changed_steps(before: dict, after: dict) -> set[str]:
    return {
        str(Path(name).parent).removesuffix("/store")
        for name in before.keys() | after.keys()
        if before.get(name, (0,))[0] != after.get(name, (0,))[0]
    }


def test_forcing_a_step_redoes_it_and_what_depends_on_it(run_copy, preloaded):
    before = contents(run_copy)
    done = preloaded(*train_words(run_copy, "--force", "regions", verb="evaluate"))
    assert done.code == 0, done.err
    after = contents(run_copy)
    redone = {"features/regions/32px/seed-0", "students/regions/32px/seed-0", "evaluate"}
    # beyond the asked step, made from what was thrown away
    stale = {"calibrate", "locate", "export", "report"}
    # "." is recipe.toml: checkpoint_seconds
    assert changed_steps(before, after) == redone | stale | {"."}
    assert not any((run_copy / step / "step.json").exists() for step in stale)
    for step in ("features/regions", "students/regions"):
        name = f"{step}/32px/seed-0/weights.safetensors"
        assert after[name][1] == before[name][1]  # the same again, bit for bit


def test_more_seeds_add_only_themselves(run_copy, preloaded):
    before = contents(run_copy)
    done = preloaded(*train_words(run_copy, "--seeds", "2", "--run.checkpoint_seconds", "0"))
    assert done.code == 0, done.err
    after = contents(run_copy)
    folders = ("students/plain", "features/regions", "students/regions")
    added = {f"{step}/32px/seed-1" for step in folders}
    measured = {"evaluate", "calibrate", "locate", "export", "report"}
    assert changed_steps(before, after) == added | measured | {"."}
    assert all((run_copy / step / "weights.safetensors").exists() for step in added)
    results = read_results(run_copy / "results.json")
    assert [seed.seed for seed in results.variants["regions"].seeds] == [0, 1]
    assert len(results.gain.per_seed) == 2
    for variant in ("plain", "regions"):
        for name in ("calibration", "localization"):
            assert all(getattr(seed, name) for seed in results.variants[variant].seeds)
    first = before["students/regions/32px/seed-0/weights.safetensors"][1]
    assert after["students/regions/32px/seed-1/weights.safetensors"][1] != first


VERBS = {
    "teacher": {"proposals", "teacher"},
    "cache": {"proposals", "teacher", "maps", "cache"},
    "baseline": {"students/plain/32px/seed-0"},
    "distill": set(STEPS[:7]),
    "evaluate": set(STEPS[:8]),
    "calibrate": set(STEPS[:9]),
    "locate": set(STEPS[:10]),
    "report": set(STEPS),
}


def test_every_verb_brings_a_run_to_its_step(tmp_path, preloaded):
    """One folder from nothing, verb after verb; then each verb finds all done."""
    out = tmp_path / "run"
    reached: set[str] = set()
    for verb, steps in VERBS.items():
        reached |= steps
        done = preloaded(*train_words(out, verb=verb))
        assert done.code == 0, done.err
        made = {str(p.parent.relative_to(out)) for p in out.rglob("step.json")}
        assert made == reached
    before = contents(out)
    for verb in list(VERBS)[:-1]:
        done = preloaded(*train_words(out, verb=verb))
        assert done.code == 0, done.err
        assert "begins" not in done.err
    assert contents(out) == before


def test_baseline_alone_needs_no_teacher(tmp_path, preloaded):
    out = tmp_path / "run"
    assert preloaded(*train_words(out, verb="baseline")).code == 0
    assert {p.name for p in out.iterdir()} == {"recipe.toml", "students"}


def test_the_report_can_be_written_again(run_copy, preloaded):
    for name in ("report.html", "results.json"):
        (run_copy / name).unlink()
    shutil.rmtree(run_copy / "report")
    before = contents(run_copy)
    done = preloaded(*train_words(run_copy, "--run.checkpoint_seconds", "0", verb="report"))
    assert done.code == 0, done.err
    assert changed_steps(before, contents(run_copy)) == {"report", "."}
    assert read_results(run_copy / "results.json")
