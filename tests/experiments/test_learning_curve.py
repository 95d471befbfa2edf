"""The learning curve from made-up curves that are easy to check by hand."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from boxless.errors import ConfigError
from boxless.experiments import curve_view
from boxless.experiments.learning_curve import (
    BOOTSTRAPS,
    Curve,
    Grid,
    parse_counts,
    read_points,
    run_weights,
    tags_needed,
)

TAGS = [100, 200, 400]
MAPS = {
    "teacher": [0.60, 0.70, 0.80],
    "plain": [0.50, 0.60, 0.70],
    "regions": [0.55, 0.65, 0.72],
    "oracle": [0.75, 0.80, 0.70],
}


def resampled(values, noise=0.0):
    drawn = np.random.default_rng(0).normal(0, noise, (1, BOOTSTRAPS))
    return np.array(values)[:, None] + np.concatenate([np.zeros((1, 1)), drawn], axis=1)


def make_curve(**changes):
    """All curves move together, so differences are exact and mAP is not."""
    curves = {name: resampled(values, 0.01) for name, values in (MAPS | changes).items()}
    return Curve(
        created="2026-01-01T00:00:00Z",
        data="scenes:",
        fingerprint="0",
        untagged="photos/",
        test_images=16,
        recipe="tiny",
        method="regions",
        draws=3,
        seeds=(0, 1),
        points=read_points(TAGS, curves, "regions"),
    )


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [
        (0.60, 200),
        (0.65, np.sqrt(200 * 400)),
        (0.50, 100),
        (0.40, 100),
        (0.70, 400),
        (0.71, np.inf),
    ],
)
def test_tags_needed_are_read_off_over_the_logarithm(wanted, needed):
    assert tags_needed(TAGS, np.array(MAPS["plain"]), wanted) == pytest.approx(needed)


def test_where_the_curve_falls_its_best_so_far_counts():
    assert tags_needed(TAGS, np.array([0.5, 0.4, 0.7]), 0.6) == pytest.approx(np.sqrt(80_000))
    assert tags_needed(TAGS, np.array([0.5, 0.7, 0.6]), 0.65) < 200


def test_points_hold_gain_tags_and_share():
    first, second, third = make_curve().points
    assert first.map["plain"].low < 0.5 < first.map["plain"].high
    assert first.gain.value == pytest.approx(0.05)
    assert first.gain.low == pytest.approx(first.gain.high)  # paired
    assert first.needed.value == pytest.approx(np.sqrt(100 * 200))
    assert first.share.value == pytest.approx(0.05 / 0.25)
    assert second.needed.value == pytest.approx(np.sqrt(200 * 400))
    assert (third.needed.value, third.needed.high) == (None, None)
    assert third.share is None  # the oracle gains nothing there


def test_runs_are_drawn_whole_draws_of_tags_first():
    weights = run_weights(3, 2)
    assert weights.shape == (1 + BOOTSTRAPS, 3, 2)
    assert np.allclose(weights.sum(axis=(1, 2)), 1)
    assert np.allclose(weights[0], 1 / 6)
    draws = weights[1:].sum(axis=2)
    share = (draws == 0).mean()  # a draw is left out with all its seeds: (2/3)^3
    assert share == pytest.approx((2 / 3) ** 3, abs=0.03)
    assert np.allclose(run_weights(1, 1), 1)


def test_what_is_run():
    grid = Grid(parse_counts("100, 200,all"), 2, "regions", oracle=False)
    table = grid.table()
    assert table.runs == {
        "100-0": {"data.tags": 100, "data.tags_seed": 0},
        "100-1": {"data.tags": 100, "data.tags_seed": 1},
        "200-0": {"data.tags": 200, "data.tags_seed": 0},
        "200-1": {"data.tags": 200, "data.tags_seed": 1},
        "all-0": {"data.tags": 0},
        "all-1": {"data.tags": 0},
    }
    assert {row.method for row in table.rows} == {"teacher", "plain", "regions"}


@pytest.mark.parametrize(
    ("counts", "untagged", "ceiling"),
    [
        ("100,200", False, ("100-0", "oracle")),
        ("100,all", True, ("100-0", "oracle")),
        ("100,all", False, ("all-0", "plain")),
    ],
)
def test_the_oracle_is_trained_once(counts, untagged, ceiling):
    grid = Grid(parse_counts(counts), 2, "regions", untagged=untagged)
    rows = [row for row in grid.table().rows if row.method == "oracle"]
    assert [(row.run, row.method) for row in rows] == [ceiling] * (ceiling[1] == "oracle")
    assert grid.ceiling == ceiling


@pytest.mark.parametrize("text", ["", "200,100", "100,100", "100,x", "0,100", "all", "all,100"])
def test_faulty_counts_are_refused(text):
    with pytest.raises(ConfigError, match="expected rising numbers"):
        parse_counts(text)


def test_markdown_says_what_is_saved():
    text = curve_view.markdown(make_curve())
    assert "| 200 | 70.0 | 60.0 | 65.0 | 80.0 | +5.0 | 283 | 25 |" in text
    assert "reaches 65.0 % mAP; the plain one needs 283 tags" in text
    assert "so distilling saves 83." in text
    assert "needs more than the 400 tags that were tried." in text
    assert "+2.0 | > 400 | unclear |" in text
    assert "3 draws of the tagged images, 2 seeds of each" in text
    assert "images of photos/ are untagged" in text


def test_a_worse_student_saves_nothing():
    text = curve_view.markdown(make_curve(regions=[0.4, 0.5, 0.6]))
    assert "needs ≤ 100" in text
    assert "saves" not in text


def test_csv_holds_fractions():
    found = csv.DictReader(io.StringIO(curve_view.comma_separated(make_curve())))
    rows = {(row["tags"], row["figure"]): row for row in found}
    assert rows["200", "map.regions"]["value"] == "0.65"
    assert rows["400", "needed"]["value"] == ""


def test_the_terminal_table_fits_eighty_columns():
    file = io.StringIO()
    Console(file=file, width=80).print(curve_view.terminal_table(make_curve()))
    text = file.getvalue()
    assert "…" not in text
    assert all(word in text for word in ("tags", "regions", "oracle", "> 400", "+5.0"))


def test_the_page_and_the_plots():
    curve = make_curve()
    page = curve_view.page(curve, {})
    assert page.count("<svg") == 1
    assert "saves 83" in page
    assert "http" not in page
    assert curve_view.standalone_plot(curve).startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    with Image.open(io.BytesIO(curve_view.picture(curve))) as picture:
        assert picture.size > (900, 500)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_json_round_trip():
    curve = make_curve()
    assert Curve.model_validate_json(curve.model_dump_json()) == curve
