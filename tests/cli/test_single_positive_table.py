"""``boxless experiments run single-positive`` by the command: what is shared, and the table."""

import csv
import json

import numpy as np
import pytest
from command_line import TINY

from boxless.experiments.outcome import Outcome
from boxless.report.results import read_results

SPEC = "scenes:train=40,test=16,size=64"


def words(out, *more):
    base = ("experiments", "run", "single-positive", SPEC, "--recipe", TINY, "--out", out)
    cross_fitted = ("--teacher.trainable", "head", "--teacher.folds", "2")
    return (*map(str, base), "--method", "class-aware", *cross_fitted, *more)


def test_runs_share_all_but_their_tags(app, tmp_path):
    done = app(*words(tmp_path / "x", "--dry-run"))
    assert done.code == 0, done.err
    runs = done.out.split("run /")[1:]
    places = {text.split(":")[0].rpartition("/")[2]: text for text in runs}
    assert len(places) == 8
    assert "taken: proposals, maps\n" in places["single-positive-negative"]
    for name in ("asl", "ll-r", "ll-ct", "boostlu", "em"):
        assert "taken: proposals, maps, teacher, cache\n" in places[f"single-positive-{name}"]
    assert "cache, students/plain/32px/seed-0\n" in places["single-positive-trust"]


@pytest.mark.slow
def test_the_whole_table(preloaded, tmp_path):
    out = tmp_path / "single"
    done = preloaded(*words(out, "--stage2.optim.epochs", "3"))
    assert done.code == 0, done.err
    outcome = Outcome.model_validate_json((out / "single-positive.json").read_text("utf-8"))
    rows = {row.name: row for row in outcome.rows}
    for row in rows.values():
        results = read_results(out / row.run / "results.json")
        assert row.ours["map"] == results.variants[row.method].spread("map")
    low, high, some = (rows[name] for name in (outcome.ends.low, outcome.ends.high, "ASL"))
    assert low.recovered is None
    assert high.recovered is None
    assert some.recovered.paper["VOC 2012"] == pytest.approx(0.54, abs=0.01)
    if some.recovered.ours is not None:
        means = [row.ours["map"].mean for row in (some, low, high)]
        share = (means[0] - means[1]) / (means[2] - means[1])
        assert some.recovered.ours.value == pytest.approx(share)
    lines = list(csv.DictReader((out / "single-positive.csv").open(encoding="utf-8")))
    assert [line["row"] for line in lines] == list(rows)
    # test images keep all tags in every run
    tables = [
        json.loads((out / rows[name].run / "results.json").read_text("utf-8"))["data"]
        for name in (outcome.ends.low, outcome.ends.high)
    ]
    assert tables[0]["fingerprint"] == tables[1]["fingerprint"]
    assert np.ptp([table["images"]["test"] for table in tables]) == 0
