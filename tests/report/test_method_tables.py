"""Further methods in results, tables and report."""

import copy
import io

import pytest
from rich.console import Console

from boxless.errors import RunError
from boxless.report.html import write_report
from boxless.report.results import parse_results, read_results, write_results
from boxless.report.tables import method_rows, methods_table, results_table


@pytest.fixture
def value(make):
    """Two seeds; the method ``hinton`` gains 2 points on one seed and loses 1 on the other."""
    found = make()
    found["variants"]["hinton"] = {**copy.deepcopy(found["variants"]["plain"]), "label": "Hinton's"}
    gain = copy.deepcopy(found["gain"])
    gain["map"] |= {"mean": 0.005, "low": -0.012, "high": 0.031}
    gain["per_seed"] = [0.02, -0.01]
    found["gains"] = {"hinton": gain}
    return found


def test_rows_stand_beside_the_plain_student(value):
    rows = {row.key: row.cells for row in method_rows(parse_results(value))}
    nothing = "\N{EN DASH}"
    minus = "\N{MINUS SIGN}"
    assert rows == {
        "plain": ("Student, plain", "61.0 ± 1.4", nothing, nothing, nothing, "100"),
        "regions": ("Student, distilled", "66.0 ± 1.4", "+5.0", "+2.1 to +7.9", "2 of 2", "100"),
        "hinton": ("Hinton's", "61.0 ± 1.4", "+0.5", f"{minus}1.2 to +3.1", "1 of 2", "100"),
    }


def test_a_run_without_methods_shows_none(make):
    results = parse_results(make())
    assert results.gains == {}
    assert method_rows(results) == []
    assert methods_table(results) is None


def test_gain_of_any_arm(value):
    results = parse_results(value)
    assert results.gain_of("hinton").map.mean == 0.005
    assert results.gain_of("regions") == results.gain
    assert results.gain_of("teacher") is None


def test_round_trip(value, tmp_path):
    results = parse_results(value)
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results


def test_faults_name_the_method(value):
    short, lost = copy.deepcopy(value), copy.deepcopy(value)
    short["gains"]["hinton"]["per_class"] = [0.1]
    with pytest.raises(RunError, match=r"gains\.hinton\.per_class has 1 values"):
        parse_results(short)
    del lost["variants"]["hinton"]
    with pytest.raises(RunError, match=r"gains\.hinton is given, but the variant 'hinton' is not"):
        parse_results(lost)


def test_terminal_tables_fit_eighty_columns(value):
    results = parse_results(value)
    file = io.StringIO()
    console = Console(file=file, width=80)
    console.print(results_table(results))
    assert "Hinton" not in file.getvalue()  # its own table holds it
    console.print(methods_table(results))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for part in ("Hinton's", "+3.1", "1 of 2", "Student, distilled"):
        assert part in text


def test_the_page_holds_every_method(value, tmp_path):
    page = write_report(tmp_path, parse_results(value), curves={}, gallery=()).read_text("utf-8")
    assert "each against the plain student" in page
    assert page.count("Hinton&#39;s") >= 2  # both tables
