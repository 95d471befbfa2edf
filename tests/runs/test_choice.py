"""Which student is shipped, from made-up held-out predictions."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from boxless.data.sources import load_manifest
from boxless.errors import ConfigError
from boxless.files.seals import write_sealed
from boxless.metrics.average_precision import mean_average_precision
from boxless.recipe.recipe_files import load_recipe
from boxless.report import wording
from boxless.runs.context import Run
from boxless.runs.evaluation import METRICS, PREDICTIONS
from boxless.runs.export import choose
from boxless.runs.variant import by_key, trained_as

SEEDS = 2


@pytest.fixture
def evaluated(tmp_path):
    """A run whose students are right on a share of the held-out images: `evaluated(plain=0.5)`."""

    def make(held_out="0.3", **shares):
        given = {"data.held_out": held_out, "run.seeds": str(SEEDS), "methods": '["hinton"]'}
        given["baseline.input_sizes"] = "[160]"
        recipe = load_recipe("voc-lite0", given)
        run = Run(tmp_path / "run", "scenes:", recipe, load_manifest("scenes:train=100,test=8"))
        part = run.held_out
        predictions, variants = {}, {}
        for key in by_key(recipe):
            variants[key] = []
            for seed in run.seeds:
                value = None
                if part is not None:
                    share = shares.get(key, 0.5)
                    share = share[seed] if isinstance(share, tuple) else share
                    found = guesses(part.labels, share)
                    predictions[f"{key}.{seed}.held_out"] = found
                    value = float(
                        mean_average_precision(found, part.labels, classes=run.classes).value
                    )
                variants[key].append({"seed": seed, "held_out_map": value})
        folder = run.folder / "evaluate"
        folder.mkdir(parents=True)
        write_sealed(folder / PREDICTIONS, save(predictions or {"none": np.zeros(1)}))
        write_sealed(folder / METRICS, json.dumps({"variants": variants}).encode())
        return run

    return make


def guesses(labels, share):
    """Noise, but for the truth on the first `share` of the images."""
    noise = np.random.default_rng(0).random(labels.shape)
    right = (np.arange(len(labels)) < share * len(labels))[:, None]
    return np.where(right, labels + noise / 10, noise).astype(np.float32)


def test_the_best_mean_over_seeds_is_shipped_and_its_best_seed(evaluated):
    run = evaluated(plain=0.2, hinton=(0.3, 0.9), regions=(0.5, 0.4))
    found = choose(run)
    assert (found.variant, found.seed, found.why) == ("hinton", 1, "chosen")
    assert found.held_out_map["hinton"] == max(found.held_out_map.values())
    assert found.margin.mean == pytest.approx(
        found.held_out_map["hinton"] - found.held_out_map["plain"]
    )
    shipped = trained_as(run.recipe, found.variant, found.seed)
    assert shipped.folder == "students/hinton/128px/seed-1"
    text = wording.shipped(found)
    assert text.startswith("ships 'hinton': ")
    assert f"on {len(run.held_out)} held-out images against" in text
    assert text.endswith("of plain")


def test_plain_is_shipped_where_it_is_better_and_that_is_said(evaluated):
    found = choose(evaluated(plain=0.95, hinton=0.1, regions=0.2))
    assert found.variant == "plain"
    assert found.rival == "regions"
    assert wording.cautions(found) == [
        "distilling did not help here: the student without distillation is shipped"
    ]


def test_a_tie_ships_the_own_method_and_says_how_unsure_that_is(evaluated):
    found = choose(evaluated())
    assert found.variant == "regions"
    assert found.margin.mean == 0
    (caution,) = wording.cautions(found)
    assert "held-out images are too few to be sure" in caution


def test_without_held_out_images_the_own_method_is_shipped(evaluated):
    found = choose(evaluated(held_out="0"))
    assert (found.variant, found.seed, found.why) == ("regions", 0, "nothing held out")
    assert found.margin is None
    assert "no held-out images to choose by" in wording.shipped(found)
    assert wording.cautions(found) == []


def test_another_size_is_shipped_only_when_asked_for(evaluated):
    run = evaluated(**{"plain@160": 1.0})
    assert choose(run).variant == "regions"
    found = choose(run, "plain@160")
    assert (found.variant, found.why) == ("plain@160", "asked for")
    assert trained_as(run.recipe, found.variant, found.seed).input_size == 160
    assert wording.shipped(found).startswith("ships 'plain@160', as asked for: 100.0")
    assert wording.cautions(found) == []


def test_an_unknown_variant_is_named_with_its_neighbours(evaluated):
    with pytest.raises(ConfigError, match=r"unknown variant 'hintom'.*Did you mean 'hinton'"):
        choose(evaluated(), "hintom")
