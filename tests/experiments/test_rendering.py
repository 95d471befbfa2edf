"""A finished table in all its forms, from numbers that are easy to check by hand."""

import csv
import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from boxless.experiments.learning_curve import Figure
from boxless.experiments.outcome import Order, Outcome, OutcomeRow, Recovered, _changed, verdict
from boxless.experiments.page import order_plot, page
from boxless.experiments.rendering import (
    comma_separated,
    latex,
    markdown,
    terminal_table,
    verdicts,
)
from boxless.experiments.tables import Ends, load_table
from boxless.recipe.recipe_files import load_recipe
from boxless.report.results import Interval
from boxless.report.variants import Spread


def interval(mean, low, high):
    return Interval(mean=mean, low=low, high=high, level=0.95, draws=2000, probability_positive=0.5)


def row(name, method, paper, ours, gain=None):
    spread = {} if ours is None else {"map": Spread(mean=ours, std=0.01, n=2)}
    return OutcomeRow(
        name=name,
        method=method,
        run=None if method is None else "runs/main",
        paper={"MS-COCO": paper},
        ours=spread,
        gain=gain,
    )


@pytest.fixture
def outcome():
    gain = interval(0.02, 0.005, 0.035)
    order = {"data": "MS-COCO", "lower": "plain & 100 %", "higher": "taught", "paper": 0.037}
    return Outcome(
        created="2026-01-01T00:00:00Z",
        table="table9",
        title="A table",
        source="nowhere",
        notes="",
        data="scenes:",
        fingerprint="0",
        test_images=16,
        recipe="tiny",
        seeds=(0, 1),
        rows=(
            row("others", None, {"map": 0.722}, None),
            row("plain & 100 %", "plain", {"map": 0.709}, 0.5),
            row("taught", "regions", {"map": 0.746}, 0.52, gain),
        ),
        orders=(Order(**order, ours=gain, verdict=verdict(gain)),),
    )


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((0.001, 0.02), "holds"),
        ((-0.02, -0.001), "does not hold"),
        ((-0.01, 0.01), "within noise"),
        ((0.0, 0.01), "within noise"),
    ],
)
def test_a_verdict_needs_the_whole_interval(ends, said):
    assert verdict(interval(sum(ends) / 2, *ends)) == said


def test_markdown_sets_ours_beside_the_paper(outcome):
    text = markdown(outcome)
    assert "| others | 72.2 |  |  |  |" in text
    assert "| plain & 100 % | 70.9 | 50.0 ± 1.0 |  |  |" in text
    assert "| taught | 74.6 | 52.0 ± 1.0 | +2.0 | +0.5 to +3.5 |" in text
    assert "| plain & 100 % < taught | MS-COCO | +3.7 | +2.0 | +0.5 to +3.5 | holds |" in text
    assert "1 hold here, 0 do not, 0 are within noise" in verdicts(outcome)


def test_recovered_shares_stand_behind_the_gain_in_every_form(outcome):
    share = Recovered(paper={"MS-COCO": 0.5429}, ours=Figure(value=0.668, low=-0.05, high=1.2))
    rows = [row.model_copy(update={"recovered": share}) for row in outcome.rows[2:]]
    ends = Ends(low="plain & 100 %", high="others")
    found = outcome.model_copy(update={"rows": (*outcome.rows[:2], *rows), "ends": ends})
    text, ends_of_share = markdown(found), "\N{MINUS SIGN}5 to 120"
    assert "| recovered %, paper on MS-COCO | recovered %, ours | its interval |" in text
    assert f"| +2.0 | +0.5 to +3.5 | 54 | 67 | {ends_of_share} |" in text
    assert "Recovered: share of the mAP lost from 'others' to 'plain & 100 %'" in text
    (line,) = list(csv.DictReader(io.StringIO(comma_separated(found))))[2:]
    assert (line["paper.MS-COCO.recovered"], line["recovered.value"]) == ("0.5429", "0.668")
    assert f"<td>67</td><td>{ends_of_share}</td>" in page(found, {}, None, ())
    lines = [line for line in latex(found).splitlines() if line.endswith(r" \\")]
    widths = {line.replace(r"\&", "").count("&") for line in lines}
    assert widths == {7}
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal_table(found))
    assert ends_of_share in console.export_text()
    assert "recovered" not in markdown(outcome)


def test_one_seed_is_said_to_be_one(outcome):
    assert "over 2 seeds" in markdown(outcome)
    assert "one seed: how much" in markdown(outcome.model_copy(update={"seeds": (0,)}))


def test_csv_holds_fractions(outcome):
    rows = list(csv.DictReader(io.StringIO(comma_separated(outcome))))
    assert [line["paper.MS-COCO.map"] for line in rows] == ["0.722", "0.709", "0.746"]
    assert [line["map.mean"] for line in rows] == ["", "0.5", "0.52"]
    assert rows[2]["gain.low"] == "0.005"


def test_latex_is_escaped_and_has_equal_columns(outcome):
    text = latex(outcome)
    assert r"plain \& 100 \% & 70.9 & 50.0 $\pm$ 1.0 &  &  \\" in text
    lines = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {line.replace(r"\&", "").count("&") for line in lines} == {4}
    assert r"\begin{tabular}{lrrrr}" in text


def test_the_page_shows_the_table_and_loads_nothing(outcome):
    text = page(outcome, {}, None, ())
    assert '<td class="theirs">74.6</td><td>52.0 ± 1.0</td><td>+2.0</td>' in text
    assert "plain &amp; 100 %" in text
    assert '<tr class="others"><th scope="row">others</th>' in text
    assert '<td class="holds">holds</td>' in text
    assert "Which classes gain" not in text
    assert "http" not in text


def test_the_page_draws_every_ordering(outcome):
    (order,) = outcome.orders
    drawn = order_plot([order, order])
    assert drawn.count("plain &amp; 100 % &lt; taught: ours +2.0 (+0.5 to +3.5), paper +3.7") == 2
    assert "orders-order-1" in drawn
    assert order_plot([]) is None
    others = page(outcome.model_copy(update={"orders": ()}), {}, None, ())
    assert "<svg" not in others


def test_json_round_trip(outcome):
    assert Outcome.model_validate_json(outcome.model_dump_json()) == outcome


def test_a_changed_run_is_told():
    """Boxes from a file stand in a row that is named after a detector: the notes say so."""
    overrides = {"proposals.method": "file", "proposals.file": "boxes.json"}
    recipes = {
        "edge_boxes": load_recipe("demo"),
        "faster_rcnn": load_recipe("demo", overrides),
    }
    runs = {name: SimpleNamespace(recipe=recipe) for name, recipe in recipes.items()}
    assert _changed(load_table("table5"), runs) == [
        "Run faster_rcnn was made with proposals.method = 'file' instead of 'faster_rcnn'."
    ]
