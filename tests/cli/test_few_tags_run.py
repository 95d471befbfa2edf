"""Few tags and many untagged images: one whole run, in Python and through the real command."""

import json
import shutil
import signal

import numpy as np
import pytest
from command_line import SPEC, TINY, train_words
from safetensors.numpy import load_file

import boxless
from boxless.errors import ConfigError, RunError
from boxless.runs.parts import HELD_OUT
from boxless.runs.variant import Variant
from boxless.types import UNKNOWN

MORE = "scenes:train=30,test=5,size=64,seed=7"
TAGS, UNTAGGED = 24, 40 + 35
STUDENT = "students/regions/32px/seed-0"
WORDS = ("--tags", TAGS, "--untagged", MORE, "--methods", "oracle", "--run.checkpoint_seconds", 0)


def start(out, **options):
    return boxless.train(
        SPEC,
        out=out,
        recipe=TINY,
        untagged=MORE,
        tags=TAGS,
        methods=["oracle"],
        run={"checkpoint_seconds": 0},
        **options,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Made once in Python; look, don't touch."""
    return start(tmp_path_factory.mktemp("few") / "run")


def record(run, step):
    return json.loads((run.folder / step / "step.json").read_text())


def rows(folder, name):
    """Images of all shards of a folder."""
    return sum(len(load_file(path)[name]) for path in folder.glob("*-*.safetensors"))


def test_the_run_tells_what_it_found(run):
    results = run.results
    assert results.data.images == {"train": TAGS, "untagged": UNTAGGED, "held_out": 16, "test": 16}
    assert list(results.variants) == ["teacher", "plain", "oracle", "regions"]
    assert results.gain.map.low <= results.gain.map.mean <= results.gain.map.high
    if results.gains["oracle"].map.mean > 0:
        share = results.gain.map.mean / results.gains["oracle"].map.mean
        assert results.oracle_share == pytest.approx(share)
    else:
        assert results.oracle_share is None
    assert run.best == Variant("regions", 32, 0)
    image = run.images(run.test.records[0].path)
    (one,), (two,) = (opened.predict([image]) for opened in (run.student, boxless.load(run.folder)))
    assert one == two


def test_every_student_has_the_updates_of_passes_over_the_pool(run):
    """Two epochs of 99 images in batches of 8, stage 1's and stage 2's."""
    for key in ("plain", "oracle", "regions"):
        assert run.results.variants[key].seeds[0].updates == 24
    assert record(run, "teacher")["facts"]["images"] == TAGS


def test_cache_and_maps_cover_the_pool_whose_tags_stay_hidden(run):
    assert rows(run.folder / "cache", "targets") == TAGS + UNTAGGED
    assert rows(run.folder / "maps", "stride16") == TAGS + UNTAGGED
    assert (run.pool.labels[TAGS:] == UNKNOWN).all()
    assert HELD_OUT not in run.manifest.split_names
    found = load_file(run.folder / "evaluate" / "predictions.safetensors")
    assert found["regions.0.held_out"].shape[0] == 16
    assert all(np.isfinite(value).all() for value in found.values())


def test_the_same_call_does_nothing_again(run):
    before = {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()}
    assert start(run.folder).results == run.results
    assert {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()} == before


def test_the_command_killed_and_resumed_gives_the_same_student(run, preloaded, tmp_path):
    out = tmp_path / "run"
    for step in ("proposals", "teacher", "maps", "cache", "students/plain", "features"):
        shutil.copytree(run.folder / step, out / step)
    words = train_words(out, *WORDS)
    done = preloaded(*words, after=21, below=out / STUDENT)
    assert done.code == -signal.SIGKILL, done.err
    assert "24 tagged and 75 untagged images; 16 more with tags are held out" in done.err
    assert (out / STUDENT / "checkpoint.safetensors").exists()
    assert not (out / STUDENT / "weights.safetensors").exists()
    done = preloaded(*train_words(out, *WORDS, verb="distill"))
    assert done.code == 2  # --untagged belongs to `train`
    dotted = ("--data.tags", TAGS, "--data.untagged", MORE, "--run.checkpoint_seconds", 0)
    done = preloaded(*train_words(out, *dotted, verb="distill"))
    assert done.code == 0, done.err
    name = f"{STUDENT}/weights.safetensors"
    assert (out / name).read_bytes() == (run.folder / name).read_bytes()


def test_another_number_of_tags_is_another_run(run):
    with pytest.raises(RunError, match=r"data\.tags: 24 -> 30"):
        boxless.train(SPEC, out=run.folder, recipe=TINY, untagged=MORE, tags=30)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"teacher": {"epochs": 4}}, "unknown setting 'teacher.epochs'"),
        ({"teachr.optim.epochs": 4}, "unknown setting 'teachr.optim.epochs'"),
        ({"run": {"seeds": "three"}}, "run.seeds: .*found 'three'"),
        ({"methods": ["oracle"]}, "true tags of untagged images, and there are none"),
    ],
)
def test_wrong_settings_are_named(tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        boxless.train(SPEC, out=tmp_path / "run", recipe=TINY, **overrides)
