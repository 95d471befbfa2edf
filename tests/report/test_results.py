"""results.json is validated on the way in and comes back equal."""

import json
import statistics

import pytest

from boxless.errors import RunError
from boxless.report.results import parse_results, read_results, write_results


def test_written_results_come_back_equal(make, tmp_path):
    results = parse_results(make())
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_the_file_holds_the_documented_keys(make, tmp_path):
    write_results(tmp_path / "results.json", parse_results(make()))
    value = json.loads((tmp_path / "results.json").read_text())
    assert value["schema"] == 3
    assert value["variants"]["plain"]["seeds"][0]["metrics"]["f1"]["all"]["or"] == 0.5
    summary = value["variants"]["plain"]["summary"]
    assert summary["map"]["n"] == 2
    assert summary["map"]["mean"] == pytest.approx(0.61)
    assert summary["map"]["std"] == pytest.approx(statistics.stdev([0.60, 0.62]))
    assert set(summary) == {"map", "f1_c", "of1", "top3_f1_c", "top3_of1"}


def test_a_stored_summary_never_overrides_the_seeds(make):
    value = make()
    value["variants"]["plain"]["summary"] = {"map": {"mean": 0.99, "std": 0.0, "n": 7}}
    assert parse_results(value).variants["plain"].spread("map").mean == pytest.approx(0.61)


def test_one_seed_has_no_spread(make):
    assert parse_results(make(seeds=1)).variants["regions"].spread("map").std is None


def test_per_class_mean_skips_missing_values(make):
    value = make()
    for number, ap in enumerate([[0.4, None, 0.2], [0.6, None, None]]):
        value["variants"]["plain"]["seeds"][number]["metrics"]["per_class_ap"] = ap
    assert parse_results(value).variants["plain"].per_class_ap() == [0.5, None, 0.2]


@pytest.mark.parametrize("schema", [1, 2, None, "3"])
def test_another_schema_is_refused_with_both_numbers(make, schema):
    with pytest.raises(RunError, match="schema 3") as caught:
        parse_results(make() | {"schema": schema}, source="old.json")
    assert repr(schema) in caught.value.message
    assert caught.value.message.startswith("old.json")
    assert "version" in caught.value.hint


def change(value, path, new):
    *way, last = path
    for key in way:
        value = value[key]
    value[last] = new


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (("variants", "plain", "seeds", 0, "metrics", "map"), 70.9, "map.*less than or equal to 1"),
        (("variants", "plain", "seeds", 0, "metrics", "map"), float("nan"), "finite"),
        (("variants", "plain", "seeds"), [], "at least 1"),
        (("variants", "plain", "colour"), "red", "colour.*not permitted"),
        (("data", "train_positives"), [1], "train_positives has 1 values, but there are 3"),
        (("gain", "per_class"), [0.1], "per_class has 1 values, but there are 3"),
        (("recall", "rows", 0, "recalls"), [0.5], "recall of edge boxes has 1 values.*2 counts"),
        (("gain", "map", "low"), "much", "gain.map.low.*number.*'much'"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(make, path, new, message):
    value = make()
    change(value, path, new)
    with pytest.raises(RunError, match=message):
        parse_results(value)


def test_a_gain_needs_both_students(make):
    value = make()
    del value["variants"]["plain"]
    with pytest.raises(RunError, match="'plain' is not in variants"):
        parse_results(value)


def test_an_absent_and_a_broken_file_are_told_apart(tmp_path):
    with pytest.raises(RunError, match="cannot read"):
        read_results(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"schema": 3,\n "boxless"')
    with pytest.raises(RunError, match=r"half\.json:2: expected JSON"):
        read_results(tmp_path / "half.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(RunError, match="found schema None"):
        read_results(tmp_path / "list.json")
