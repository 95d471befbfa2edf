"""``boxless export``: one file, a smaller file, a folder for the Hub."""

import json
import re

import numpy as np
import pytest
from command_line import SPEC, boxless, train_words
from safetensors.numpy import load_file

import boxless as package
from boxless.data.sources import load_manifest


@pytest.fixture(scope="module")
def scenes():
    return [record.path for record in load_manifest(SPEC).split("test").records]


@pytest.fixture(scope="module")
def wanted(finished_run, shipped):
    found = load_file(finished_run / "evaluate" / "predictions.safetensors")
    return found[f"{shipped}.0.test"]


def probabilities(path, scenes):
    return np.stack([p.probabilities for p in package.load(path).predict(scenes, boxes=True)])


def plain(found, metadata):
    """Probabilities as they were before the file's temperatures."""
    heats = np.array(metadata.temperatures or (1.0,) * found.shape[1])
    logits = np.log(found.astype(float) / (1 - found))
    return 1 / (1 + np.exp(-logits * heats))


def test_the_run_folder_has_the_same_file(finished_run, scenes, wanted, preloaded, tmp_path):
    out = tmp_path / "student.onnx"
    done = preloaded("export", finished_run, "--out", out)
    assert done.code == 0, done.err
    assert re.search(r"largest difference to PyTorch[\s│]+\d\.\de-0[5-9]", done.out)
    own = finished_run / "export" / "student.onnx"
    assert package.load(out).metadata == package.load(own).metadata
    for path in (out, own):
        student = package.load(path)
        assert student.has_maps
        found = plain(probabilities(path, scenes), student.metadata)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_another_variant_on_demand(finished_run, preloaded, app, tmp_path):
    """What is asked for is exported, and the choice is told in either case."""
    told = {}
    for words in ((), ("--variant", "plain"), ("--variant", "regions")):
        out = tmp_path / "student.onnx"
        done = preloaded("export", finished_run, "--out", out, *words)
        assert done.code == 0, done.err
        assert "held-out images against" in done.out
        told[words[-1] if words else ""] = package.load(out).metadata
        assert ("as asked for" in done.out) is bool(words)
    assert {key: told[key].provenance.variant for key in ("plain", "regions")} == {
        "plain": "plain",
        "regions": "regions",
    }
    best = max(("plain", "regions"), key=lambda key: told[key].metrics.held_out_map)
    assert told[""].metrics.held_out_map == told[best].metrics.held_out_map
    wrong = app("export", finished_run, "--out", tmp_path / "x.onnx", "--variant", "plain@192")
    wrong.refused("unknown variant 'plain@192'", "Did you mean 'plain'")


def test_what_the_file_knows(finished_run, shipped):
    metadata = package.load(finished_run).metadata
    source = metadata.provenance
    assert (source.backbone, source.weights, source.recipe) == ("test_resnet", "random", "tiny")
    assert (source.data, source.training_images, source.seed) == ("scenes", 64, 0)
    results = json.loads((finished_run / "results.json").read_text())
    for key, value in (
        (shipped, metadata.metrics.test_map),
        ("plain", metadata.metrics.baseline_test_map),
    ):
        assert value == pytest.approx(results["variants"][key]["seeds"][0]["metrics"]["map"])


def test_the_file_does_not_tell_where_it_was_made(finished_run):
    content = (finished_run / "export" / "student.onnx").read_bytes()
    assert not [mark for mark in (b"stack_trace", b".py", b"site-packages") if mark in content]


@pytest.mark.parametrize(
    ("words", "precision", "limits"),
    [(("--quantize", "int8"), "int8", (0.6, 0.15)), (("--fp16",), "float16", (0.7, 0.02))],
)
def test_smaller_files(finished_run, scenes, wanted, preloaded, tmp_path, words, precision, limits):
    out = tmp_path / "small.onnx"
    share, atol = limits
    done = preloaded("export", finished_run, "--out", out, "--limit", "30", *words)
    assert done.code == 0, done.err
    for part in ("mAP on held-out images", "images/s", "size", "smaller: "):
        assert part in done.out
    size = (finished_run / "export" / "student.onnx").stat().st_size
    assert out.stat().st_size < share * size
    student = package.load(out)
    assert student.metadata.provenance.precision == precision
    found = plain(probabilities(out, scenes), student.metadata)
    assert np.abs(found - wanted).max() < atol
    assert np.abs(found - wanted).max() > 0


def test_a_file_that_loses_too_much_is_refused(finished_run, tmp_path, monkeypatch, app):
    from boxless.runs import delivery

    values = iter([0.8, 0.7, 0.75])  # the exact file, then two plans
    monkeypatch.setattr(delivery, "measured_map", lambda *_: next(values))
    monkeypatch.setattr(delivery, "CALIBRATION_IMAGES", 2)
    out = tmp_path / "small.onnx"
    done = app("export", finished_run, "--out", out, "--quantize", "int8", "--limit", "4.9")
    done.refused("loses 5.00 points of mAP (80.00 -> 75.00), more than 4.9", "--limit")
    assert not out.exists()


@pytest.fixture(scope="module")
def hub(finished_run, preloaded, tmp_path_factory):
    """A folder for the Hub; look, don't touch."""
    folder = tmp_path_factory.mktemp("export") / "hub"
    done = preloaded("export", finished_run, "--hub", folder)
    assert done.code == 0, done.err
    return folder


def test_hub_folder(finished_run, hub, scenes, wanted):
    torch = pytest.importorskip("torch")
    from boxless.data.images import load_image
    from boxless.data.resize import resize_square
    from boxless.models.classifier import Classifier

    assert {p.name for p in hub.iterdir()} == {
        "README.md", "config.json", "model.safetensors", "student.onnx",
    }  # fmt: skip
    model = Classifier.from_pretrained(hub)
    pixels = np.stack([resize_square(load_image(path), 32) for path in scenes])
    with torch.no_grad():
        found = model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).sigmoid().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert package.load(hub / "student.onnx").metadata == package.load(finished_run).metadata


@pytest.mark.parametrize("variant", ["plain", "regions"])
def test_model_card(finished_run, preloaded, tmp_path, variant):
    hub = tmp_path / "hub"
    assert preloaded("export", finished_run, "--hub", hub, "--variant", variant).code == 0
    card = (hub / "README.md").read_text("utf-8")
    head, _, body = card.removeprefix("---\n").partition("---\n")
    assert "library_name: timm" in head
    config = json.loads((hub / "config.json").read_text("utf-8"))
    assert config["problem_type"] == "multi_label_classification"  # what transformers goes by
    variants = json.loads((finished_run / "results.json").read_text())["variants"]
    own = {"plain": "the distilled student", "regions": "plain student"}[variant]
    assert ("taught it, in training only" in body) is (variant == "regions")
    other = {"plain": "regions", "regions": "plain"}[variant]
    for label, key in ((own, other), ("this student", variant)):
        row = next(line for line in body.splitlines() if label in line)
        assert f"| {100 * variants[key]['seeds'][0]['metrics']['map']:.1f} |" in row
    for part in ("## Use", "## Limits", "## Licence", "local-dir", "`scenes:`", "random"):
        assert part in body
    classes = load_manifest(SPEC).classes
    assert all(f"| {name} | " in body for name in classes)
    assert str(finished_run) not in card


def test_bad_input(finished_run, tmp_path, app):
    out = tmp_path / "x.onnx"
    app("export", finished_run).refused("nothing to write", "--out FILE")
    both = app("export", finished_run, "--out", out, "--quantize", "int8", "--fp16")
    both.refused("exclude each other")
    app("export", finished_run, "--out", out, "--limit", "-1").refused("--limit")
    app("export", SPEC, "--out", out).refused("expected a run folder", "boxless train SPEC")
    app("export", tmp_path, "--out", out).refused("recipe.toml does not exist")
    other = app("export", finished_run, "--out", out, "--data", "scenes:train=81,test=16,size=64")
    other.refused("is not what", "trained on")
    assert not out.exists()


def test_push_uploads_the_folder_and_says_how_to_load_it(finished_run, app, monkeypatch):
    from boxless.runs import hub_folder

    pushed = {}

    def push(folder, repository):
        pushed[repository] = {path.name for path in folder.iterdir()}
        return f"https://huggingface.co/{repository}"

    monkeypatch.setattr(hub_folder, "push_folder", push)
    done = app("export", finished_run, "--push", "me/dogs")
    assert done.code == 0, done.err
    assert pushed == {"me/dogs": {"README.md", "config.json", "model.safetensors", "student.onnx"}}
    assert 'boxless.load("hf://me/dogs")' in done.out
    app("export", finished_run, "--push", "dogs").refused("expected --push OWNER/NAME")


def test_another_student_of_the_run(finished_run, tmp_path, app):
    out = tmp_path / "plain.onnx"
    done = app("export", finished_run, "--out", out, "--variant", "plain")
    assert done.code == 0, done.err
    found = package.load(out).metadata
    assert found.provenance.variant == "plain"
    results = json.loads((finished_run / "results.json").read_text())
    plain = results["variants"]["plain"]["seeds"][0]["metrics"]["map"]
    assert found.metrics.test_map == pytest.approx(plain)
    done = app("export", finished_run, "--out", out, "--variant", "plain@7")
    done.refused("unknown variant 'plain@7'. Did you mean 'plain'")


def test_unfinished_runs_are_refused(tmp_path, preloaded, app):
    run = tmp_path / "run"
    assert preloaded(*train_words(run, verb="baseline")).code == 0
    app("export", run, "--out", tmp_path / "x.onnx").refused("is not evaluated yet")


def test_the_file_predicts_in_a_process_of_its_own(finished_run, preloaded, tmp_path):
    done = preloaded("export", finished_run, "--out", tmp_path / "student.onnx")
    assert done.code == 0, done.err
    drawn = boxless(
        "predict", tmp_path / "student.onnx", "scenes:v2,seed=0,size=64,split=test,index=0",
        "--draw", tmp_path / "drawn", "--threshold", "0", "--format", "csv",
    )  # fmt: skip
    assert drawn.code == 0, drawn.err
    assert drawn.out.startswith("path,width,height,label")
    assert len(list((tmp_path / "drawn").iterdir())) == 1


def test_an_older_file_is_exported_again(run_copy, preloaded):
    record = run_copy / "export" / "step.json"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps(facts | {"settings": {}}))
    before = (run_copy / "export" / "student.onnx").stat().st_mtime_ns
    done = preloaded(*train_words(run_copy, "--run.checkpoint_seconds", "0"))
    assert done.code == 0, done.err
    assert (run_copy / "export" / "student.onnx").stat().st_mtime_ns != before
