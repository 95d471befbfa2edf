"""Calibration and localization in results, tables, plot and page."""

import copy

import numpy as np
import pytest

from boxless.errors import RunError
from boxless.inference.location import LocationSettings
from boxless.report.calibration_view import (
    calibration_rows,
    localization_rows,
    reliability_plot,
)
from boxless.report.gallery import LocalizedImage, draw_localization
from boxless.report.html import write_report
from boxless.report.results import parse_results, read_results, write_results

CURVE = {"bins": 15, "predicted": [0.1, 0.9], "observed": [0.2, 0.8], "count": [30, 10]}


def figures(f1: float) -> dict:
    pair = {"before": f1, "after": f1 + 0.03}
    return {
        **{name: dict(pair) for name in ("f1_c", "of1")},
        **{name: {"before": 0.03, "after": 0.01} for name in ("ece", "ece_equal_mass", "nll")},
        "curve": {"before": CURVE, "after": CURVE},
    }


def calibrated(value: dict, *, fitted: bool = True) -> dict:
    value = copy.deepcopy(value)
    K = len(value["data"]["classes"])
    interval = {"mean": 0.1, "low": 0.05, "high": 0.15, "level": 0.95, "draws": 100}
    for variant in value["variants"].values():
        for place, seed in enumerate(variant["seeds"]):
            seed["calibration"] = {
                "fitted": fitted,
                "temperatures": [1.5] * K,
                "thresholds": [0.4] * K,
                "temperature_strength": None,
                "threshold_strength": 10.0,
                "test": figures(0.6 + 0.02 * place),
                "held_out": figures(0.7),
            }
            seed["localization"] = {
                "pointing": 0.5 + 0.1 * place,
                "pointing_tolerant": 0.6,
                "corloc": 0.25,
                "detection_map": None,
            }
    value["localization"] = {
        "images": 749,
        "pairs": 1200,
        "tolerance": 15,
        "centre_pointing": 0.58,
        "whole_image_corloc": 0.216,
        "gain_pointing": interval | {"probability_positive": 1.0},
        "gain_corloc": interval | {"mean": 0.02, "low": -0.01, "probability_positive": 0.9},
    }
    return value


def test_they_are_written_and_read_back(make, tmp_path):
    results = parse_results(calibrated(make()))
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results


def test_rows_are_means_over_seeds(make):
    results = parse_results(calibrated(make(seeds=2)))
    rows = {row.key: row.cells for row in calibration_rows(results)}
    assert rows["regions"][1:3] == ("61.0 ± 1.4", "64.0 ± 1.4")
    assert rows["regions"][5:] == ("3.0 ± 0.0", "1.0 ± 0.0", "0.030", "0.010")
    localization = {row.key: row.cells for row in localization_rows(results)}
    assert localization["plain"][1:4] == ("55.0 ± 7.1", "60.0 ± 0.0", "25.0 ± 0.0")
    assert localization["plain"][4] == localization[""][4]  # nothing measured: a dash
    assert localization[""][1] == "58.0"


def test_without_held_out_images_there_is_nothing_to_show(make):
    for value in (calibrated(make(), fitted=False), make()):
        results = parse_results(value)
        assert calibration_rows(results) == []
        assert reliability_plot(results) is None
    assert localization_rows(parse_results(make())) == []


def test_a_wrong_number_of_thresholds_is_named(make):
    value = calibrated(make())
    value["variants"]["regions"]["seeds"][1]["calibration"]["thresholds"] = [0.5]
    with pytest.raises(RunError, match=r"regions, seed 1: calibration.thresholds has 1 values"):
        parse_results(value)
    value = calibrated(make())
    value["variants"]["regions"]["seeds"][1]["calibration"]["temperatures"][0] = 0.0
    with pytest.raises(RunError, match="temperatures"):
        parse_results(value)


def item(side: int = 4) -> LocalizedImage:
    maps = np.zeros((2, side, side), np.float32)
    maps[1, 0, 0] = 5
    image = np.full((90, 120, 3), 128, np.uint8)
    truth = ((0.0, 0.0, 30.0, 20.0),)
    return LocalizedImage(
        image, "cat", 1, truth, (("teacher", maps, LocationSettings()),), "000123"
    )


def test_a_picture_is_bright_where_the_map_is_and_carries_the_frames():
    one = item()
    ((_, maps, settings),) = one.maps
    picture = np.asarray(draw_localization(one, maps, settings).convert("RGB")).astype(int)
    assert picture.shape == (90, 120, 3)
    bright, dark = picture[8, 8].sum(), picture[80, 110].sum()
    assert bright > dark + 100
    green = (picture == (0, 240, 160)).all(2)
    assert green[:, :60].any()
    assert not green[:, 60:].any()


def test_the_page_shows_all_of_it(make, tmp_path):
    results = parse_results(calibrated(make()))
    path = write_report(tmp_path, results, curves={}, gallery=[], localized=[item()])
    page = path.read_text("utf-8")
    assert 'id="thresholds"' in page
    assert 'href="#thresholds"' in page
    assert "Localization by class maps" in page
    assert "pointing game +10.0 points (95 % interval +5.0 to +15.0)" in page
    assert page.count("data:image/jpeg") == 1
    plain = write_report(tmp_path, parse_results(make()), curves={}, gallery=[]).read_text("utf-8")
    assert 'id="thresholds"' not in plain
    assert "Localization by class maps" not in plain
