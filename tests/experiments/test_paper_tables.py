"""The tables' files agree with the recipe's schema, the methods and each other."""

from typing import get_args

import pytest

from boxless.errors import ConfigError
from boxless.experiments.tables import MAIN, PaperTable, load_table, table_names
from boxless.methods.tags import TagLossName
from boxless.recipe.recipe_files import known_keys

NAMES = ["figure4", "table1", "table2", "table3", "table4", "table5"]


def numbers(name, metric="map"):
    return {
        (row.name, data): found[metric]
        for row in load_table(name).own_rows
        for data, found in row.paper.items()
        if metric in found
    }


def test_all_of_the_paper_is_there():
    assert table_names() == sorted([*NAMES, "single-positive"])


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_consistent(name):
    table = load_table(name)
    assert table.own_rows
    assert table.source
    assert all(row.paper for row in table.rows)
    assert {row.method for row in table.own_rows} >= {"regions"}
    for settings in table.runs.values():
        assert set(settings) <= set(known_keys())
    used = {row.run for row in table.own_rows}
    assert used == (set(table.runs) or {MAIN})


def test_one_model_has_one_number_in_all_tables():
    """Rows of different tables that name the same model and data carry the same mAP."""
    found: dict[tuple[str, str], set[float]] = {}
    for name in ("table1", "table2", "table3", "table4", "figure4"):
        for row in load_table(name).own_rows:
            for data, values in row.paper.items():
                found.setdefault((row.method, data), set()).add(values["map"])
    assert found["plain", "MS-COCO"] == {70.9}
    assert found["regions", "MS-COCO"] == {74.6}
    assert found["regions", "NUS-WIDE"] == {60.1}
    assert all(len(values) == 1 for values in found.values())


def test_table_4_rises_from_row_to_row():
    values = list(numbers("table4").values())
    assert values == sorted(values) == [70.9, 71.3, 72.1, 73.8, 74.6]


def test_student_passes_its_teacher_on_nus_wide_only():
    found = numbers("table3")
    for data, wins in (("MS-COCO", False), ("NUS-WIDE", True)):
        assert (found["S-Cls w/", data] > found["T-WDet (teacher)", data]) is wins


def test_an_unknown_table_is_named_with_its_neighbours():
    with pytest.raises(ConfigError, match=r"unknown experiment 'table6'.*Did you mean"):
        load_table("table6")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"name": "a", "method": "hintom"}, "Did you mean 'hinton'"),
        ({"name": "a", "method": "hinton", "run": "other"}, "unknown run 'other'"),
        ({"name": "a", "paper": {"D": {"mAP": 1.0}}}, "unknown metric 'mAP'"),
        ({"name": "a", "paper": {"D": {"map": 101.0}}}, "less than or equal to 100"),
    ],
)
def test_faulty_rows_are_refused(row, text):
    with pytest.raises(ValueError, match=text):
        PaperTable(name="t", title="t", source="s", rows=[row])


def test_two_rows_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two rows have one name"):
        PaperTable(name="t", title="t", source="s", rows=[{"name": "a"}, {"name": "a"}])


def test_every_loss_is_trained_with_and_without_distillation_on_the_same_tags():
    table = load_table("single-positive")
    by_run = {}
    for row in table.own_rows:
        by_run.setdefault(row.run, []).append(row.method)
    losses = {settings["tags.loss"] for settings in table.runs.values()}
    assert losses == set(get_args(TagLossName))
    assert by_run.pop("trust") == ["class-aware"]
    assert all(methods == ["plain", "class-aware"] for methods in by_run.values())
    full = [n for n, s in table.runs.items() if not s["data.single_positive"]]
    assert full == ["all-tags"]
    for settings in table.runs.values():
        assert set(settings) <= set(known_keys())
    rows = {row.name: row for row in table.rows}
    assert rows[table.ends.high].run == "all-tags"
    assert table.runs[rows[table.ends.low].run] == {
        "data.single_positive": True, "tags.loss": "bce"
    }  # fmt: skip


def test_ends_are_rows():
    rows = [{"name": "a", "method": "plain"}, {"name": "b"}]
    with pytest.raises(ValueError, match="unknown row 'b'"):
        PaperTable(name="t", title="t", source="s", rows=rows, ends={"low": "a", "high": "b"})
