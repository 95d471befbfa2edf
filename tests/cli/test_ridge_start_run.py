"""Psi that starts as a fit, in stage 1 and in the hint: fitted once, whatever kills the step."""

import json
import shutil
import signal

import pytest
from command_line import train_words

RIDGE = (
    "--stage1.adapter", "conv1x1", "--stage1.adapter_start", "ridge",
    "--stage1.optim.train_norm_statistics", "false",  # the fit sees what the first update sees
)  # fmt: skip
STAGE1, HINT = "features/regions/32px/seed-0", "features/hint/32px/seed-0"
FITTED = "fit of Psi"


def words(out, verb, *more):
    always = ("--methods", "fitnets", "--run.checkpoint_seconds", "0")
    return train_words(out, *always, *RIDGE, *more, verb=verb)


def copied(run, out, *steps):
    for step in ("proposals", "teacher", "maps", "cache", *steps):
        shutil.copytree(run / step, out / step)
    return out


@pytest.fixture(scope="module")
def undisturbed(finished_run, preloaded, tmp_path_factory):
    """A run whose Psi and regressor were fitted; look, don't touch."""
    out = copied(finished_run, tmp_path_factory.mktemp("ridge") / "run")
    done = preloaded(*words(out, "evaluate"))
    assert done.code == 0, done.err
    assert done.err.count(f"{FITTED}: 64/64") == 2
    return out


def first_loss(folder):
    return json.loads((folder / "events.jsonl").read_text().splitlines()[0])["loss"]


def test_killed_it_goes_on_without_a_second_fit(undisturbed, preloaded, tmp_path):
    out = copied(undisturbed, tmp_path / "run")
    for step in (STAGE1, HINT):
        done = preloaded(*words(out, "evaluate"), after=14, below=out / step)
        assert done.code == -signal.SIGKILL, done.err
        assert (out / step / "checkpoint.safetensors").exists()
        assert FITTED in done.err
    done = preloaded(*words(out, "evaluate"))
    assert done.code == 0, done.err
    assert FITTED not in done.err
    for step in (STAGE1, HINT):
        name = f"{step}/weights.safetensors"
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()


def test_a_fitted_regressor_begins_lower(undisturbed, preloaded, tmp_path):
    out = copied(
        undisturbed, tmp_path / "run", "students/plain", "students/regions", "features/regions"
    )
    done = preloaded(*words(out, "evaluate", "--hint.adapter_start", "random"))
    assert done.code == 0, done.err
    assert FITTED not in done.err
    assert "features/regions/32px/seed-0: done already" in done.err
    assert first_loss(undisturbed / HINT) < 0.9 * first_loss(out / HINT)


def test_a_fit_needs_a_convolution(tmp_path, preloaded):
    asked = ("--hint.adapter", "identity", "--hint.adapter_start", "ridge")
    done = preloaded(*words(tmp_path / "run", "train", *asked))
    done.refused("hint.adapter_start = 'ridge' needs hint.adapter = 'conv1x1'")
