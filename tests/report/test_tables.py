"""The table shows the numbers of the results."""

import io

import pytest
from rich.console import Console

from boxless.report import wording
from boxless.report.results import parse_results
from boxless.report.tables import methods_table, results_table, table_notes, table_rows


def printed(results, width=100):
    file = io.StringIO()
    Console(file=file, width=width).print(results_table(results))
    return file.getvalue()


def test_rows_hold_mean_and_spread_over_seeds(make):
    rows = {row.key: row.cells for row in table_rows(parse_results(make()))}
    assert list(rows) == ["teacher", "plain", "regions", "gain"]
    assert rows["plain"] == (
        "Student, plain",
        "61.0 ± 1.4",
        "50.0 ± 0.0",
        "58.0 ± 0.0",
        "128",
        "3.6 M",
        "2 min 00 s",
    )
    assert rows["teacher"][1] == "70.0"
    assert rows["gain"][:3] == ("gain in points", "+5.0 (+2.1 to +7.9)", "±0.0")


def test_one_seed_shows_no_spread(make):
    results = parse_results(make(seeds=1))
    assert "±" not in table_rows(results)[1].cells[1]
    assert "one seed, no spread" in table_notes(results)


def with_thresholds(value, of1, *, fitted=True):
    """Give every seed a calibration; OF1 after it by variant, F1-C 2 points above."""
    curve = {"bins": 15, "predicted": [0.1], "observed": [0.2], "count": [3]}
    pair = {"before": 0.03, "after": 0.01}
    for key, variant in value["variants"].items():
        for seed in variant["seeds"]:
            figures = dict.fromkeys(("ece", "ece_equal_mass", "nll"), pair) | {
                "f1_c": {"before": 0.5, "after": of1[key] + 0.02},
                "of1": {"before": 0.58, "after": of1[key]},
                "curve": {"before": curve, "after": curve},
            }
            seed["calibration"] = {
                "fitted": fitted,
                "temperatures": [1.5] * 3,
                "thresholds": [0.4] * 3,
                "temperature_strength": None,
                "threshold_strength": None,
                "test": figures,
                "held_out": None,
            }
    return value


def test_f1_is_shown_at_the_thresholds_that_were_fitted(make):
    of1 = {"teacher": 0.7, "plain": 0.6, "regions": 0.63}
    results = parse_results(with_thresholds(make(), of1))
    rows = {row.key: row.cells[2:4] for row in table_rows(results)}
    assert rows["teacher"] == ("72.0", "70.0")
    assert rows["plain"] == ("62.0 ± 0.0", "60.0 ± 0.0")
    assert rows["gain"] == ("+3.0", "+3.0")
    note = "F1-C and OF1 at the thresholds fitted on held-out images"
    assert note in table_notes(results)
    assert "62.0 ± 0.0" in printed(results)


@pytest.mark.parametrize("lacking", ["nothing fitted", "one variant without"])
def test_f1_is_shown_at_one_half_for_all_where_one_has_no_thresholds(make, lacking):
    of1 = {"teacher": 0.7, "plain": 0.6, "regions": 0.63}
    value = with_thresholds(make(), of1, fitted=lacking != "nothing fitted")
    if lacking == "one variant without":
        value["variants"]["teacher"]["seeds"][0]["calibration"] = None
    results = parse_results(value)
    rows = {row.key: row.cells for row in table_rows(results)}
    assert rows["plain"][2:4] == ("50.0 ± 0.0", "58.0 ± 0.0")
    assert "F1 at the threshold 0.5" in table_notes(results)


def test_without_gain_there_is_no_gain_row(make):
    results = parse_results(make(gain=False))
    assert [row.key for row in table_rows(results)] == ["teacher", "regions"]
    assert "interval" not in table_notes(results)


def test_the_terminal_table_fits_eighty_columns_and_keeps_its_numbers(make):
    text = printed(parse_results(make()), width=80)
    assert "61.0 ± 1.4" in text
    assert "66.0 ± 1.4" in text
    assert "+5.0" in text
    assert "…" not in text


def test_long_labels_do_not_squeeze_the_terminal_table(make):
    value = make()
    value["variants"]["plain"]["label"] = "student without distillation of any kind at all"
    value["gain"]["map"] |= {"mean": -0.104, "low": -0.211, "high": -0.102}
    text = printed(parse_results(value), width=80)
    assert "61.0 ± 1.4" in text
    assert "2 min 00 s" in text
    minus = "\N{MINUS SIGN}"
    assert f"{minus}10.4 ({minus}21.1 to {minus}10.2)" in text  # on one line
    assert "…" not in text


def test_names_are_not_read_as_markup(make):
    value = make()
    value["variants"]["odd"] = {**value["variants"]["plain"], "label": "[red]T[/red]"}
    file = io.StringIO()
    Console(file=file, width=160).print(methods_table(parse_results(value)))
    assert "[red]T[/red]" in file.getvalue()


def test_the_oracle_says_what_there_was_to_gain(make):
    value = make()
    assert wording.headroom(parse_results(value)) == ""
    value["variants"]["oracle"] = value["variants"]["plain"]
    oracle = {**value["gain"], "map": {**value["gain"]["map"], "mean": 0.1, "high": 0.12}}
    value["gains"] = {"oracle": oracle}
    text = wording.headroom(parse_results(value))
    assert "gains +10.0 points (95 % interval +2.1 to +12.0)" in text
    assert "distilling reaches 50 % of that" in text
    oracle["map"]["low"] = -0.01
    assert "no clear headroom" in wording.headroom(parse_results(value))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (48.4, "48 s"),
        (59.7, "1 min 00 s"),
        (312, "5 min 12 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_duration(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(812, "812"), (4_700, "4.7 k"), (134_588_304, "134.6 M")]
)
def test_amount(number, text):
    assert wording.amount(number) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (0.037, "+3.7"),
        (-0.004, "\N{MINUS SIGN}0.4"),
        (0.0004, "±0.0"),
        (-0.0004, "±0.0"),
        (None, "\N{EN DASH}"),
    ],
)
def test_points(difference, text):
    assert wording.points(difference) == text


def with_interval(make, low, high, seeds=2):
    value = make(seeds=seeds)
    value["gain"]["map"] |= {"low": low, "high": high, "mean": (low + high) / 2}
    return parse_results(value)


def test_the_sentence_follows_the_interval(make):
    better = with_interval(make, 0.02, 0.08)
    assert wording.headline(better).endswith("rises from 61.0 % to 66.0 %.")
    assert "above zero" in wording.certainty(better)
    unclear = with_interval(make, -0.01, 0.11)
    assert wording.headline(unclear).startswith("No clear change")
    assert "includes zero" in wording.certainty(unclear)
    worse = with_interval(make, -0.08, -0.02)
    assert "falls" in wording.headline(worse)
    assert "hurt" in wording.certainty(worse)


def test_the_sentence_names_images_draws_and_seeds(make):
    text = wording.certainty(parse_results(make()))
    assert "1,749 test images and 2 seeds" in text
    assert "1,000 draws" in text
    assert "2 seeds, 2 of them better" in text
    assert "One seed" in wording.certainty(parse_results(make(seeds=1)))
    assert "compares nothing" in wording.headline(parse_results(make(gain=False)))


def test_unequal_budgets_are_said(make):
    value = make()
    assert wording.budget(parse_results(value)) == "Both had 100 optimiser updates per seed."
    value["variants"]["regions"]["seeds"][0]["updates"] = 250
    assert wording.budget(parse_results(value)).endswith("100 without, 250 with.")


def test_a_metric_that_no_seed_has_is_a_dash(make):
    value = make()
    for seed in value["variants"]["plain"]["seeds"]:
        seed["metrics"]["f1"]["all"] = dict.fromkeys(seed["metrics"]["f1"]["all"])
    rows = {row.key: row.cells for row in table_rows(parse_results(value))}
    assert rows["plain"][2] == "\N{EN DASH}"
    assert rows["gain"][2] == "\N{EN DASH}"


def test_the_teacher_stands_beside_a_whole_image_layer(make):
    value = make()
    assert wording.teacher(parse_results(value)) == ""
    value["variants"]["teacher"]["seeds"][0] |= {"unseen_map": 0.852, "whole_image_map": 0.833}
    text = wording.teacher(parse_results(value))
    assert "has not seen the teacher has 85.2 mAP" in text
    assert text.endswith("pooled map 83.3.")
