"""``boxless experiments``: tables, figure 4, shared steps, kill and resume, bad input."""

import csv
import json
import shutil
import signal
from xml.etree import ElementTree

import pytest
from command_line import SPEC, TINY

from boxless.experiments.outcome import Outcome
from boxless.report.results import read_results


def words(table, out, *more):
    base = ("experiments", "run", table, SPEC, "--recipe", str(TINY), "--out", str(out))
    return (*base, *map(str, more))


@pytest.fixture(scope="module")
def table4(finished_run, preloaded, tmp_path_factory):
    """Table 4 on what a finished run can give; look, don't touch."""
    out = tmp_path_factory.mktemp("experiments") / "paper"
    setting = ("--run.checkpoint_seconds", "0")
    done = preloaded(*words("table4", out, "--reuse", finished_run, *setting))
    assert done.code == 0, done.err
    (out.parent / "printed").write_text(done.out)
    return out


def weights(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("weights.safetensors")}


def test_finished_steps_are_taken_from_another_run(table4, finished_run):
    printed = (table4.parent / "printed").read_text()
    assert printed.count("taken from another run") == 7
    before, after = weights(finished_run), weights(table4 / "runs" / "main")
    assert {name: after[name] for name in before} == before


def test_table_4_stands_beside_the_paper(table4):
    outcome = Outcome.model_validate_json((table4 / "table4.json").read_text())
    results = read_results(table4 / "runs" / "main" / "results.json")
    methods = [row.method for row in outcome.rows]
    assert methods == ["plain", "hinton", "class-aware", "regions-nms", "regions"]
    for row in outcome.rows:
        assert row.ours["map"] == results.variants[row.method].spread("map")
        found = results.gain_of(row.method)
        assert row.gain == (None if found is None else found.map)
    assert len(outcome.orders) == 10
    first = outcome.orders[0]
    assert (first.lower, first.higher) == (outcome.rows[0].name, outcome.rows[1].name)
    assert first.ours == outcome.rows[1].gain
    neighbour = outcome.orders[1]
    means = [row.ours["map"].mean for row in outcome.rows]
    assert neighbour.ours.mean == pytest.approx(means[2] - means[1])
    for name in ("table4.md", "table4.csv", "table4.tex"):
        assert "RoI-aware transfer" in (table4 / name).read_text()
    page = (table4 / "table4.html").read_text("utf-8")
    for text in ("RoI-aware transfer", "runs/main/report.html", "within noise", "74.6", "Figure 4"):
        assert text.lower() in page.lower()
    assert page.count("<svg") == 2
    assert "http" not in page
    printed = (table4.parent / "printed").read_text()
    assert "Of the 10 published orderings by mAP" in printed
    assert "74.6" in printed


def test_other_tables_share_the_run(table4, tmp_path, preloaded):
    """Figure 4 and table 3 need nothing new; the first table's methods stay in the run."""
    out = shutil.copytree(table4, tmp_path / "paper")
    plan = preloaded(*words("figure4", out, "--dry-run"))
    assert plan.code == 0, plan.err
    assert "16 steps done, 0 taken from other runs, 0 to do" in plan.err
    assert "time to do: none" in plan.err
    trained = weights(out)
    for table in ("figure4", "table3"):
        done = preloaded(*words(table, out))
        assert done.code == 0, done.err
        assert "begins" not in done.err
    assert weights(out) == trained
    assert ElementTree.parse(out / "figure4.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    rows = list(csv.DictReader((out / "figure4-classes.csv").open()))
    counts = [int(row["training_images"]) for row in rows]
    assert counts == sorted(counts, reverse=True)
    for row in rows:
        if row["gain"]:
            gain = float(row["ap_with"]) - float(row["ap_without"])
            assert float(row["gain"]) == pytest.approx(gain)
    assert "## Gain by object size" in (out / "figure4.md").read_text()
    assert "Gain by object size" in (out / "figure4.html").read_text("utf-8")
    table3 = Outcome.model_validate_json((out / "table3.json").read_text())
    assert [row.method for row in table3.rows] == ["plain", "teacher", "regions"]
    assert {order.data for order in table3.orders} == {"MS-COCO", "NUS-WIDE"}
    teacher, coco = table3.rows[1], table3.orders[1]
    assert (coco.lower, coco.higher) == ("S-Cls w/", "T-WDet (teacher)")
    means = [table3.rows[k].ours["map"].mean for k in (1, 2)]
    assert coco.ours.mean == pytest.approx(means[0] - means[1])
    assert teacher.gain is not None


def test_killed_and_started_again(table4, tmp_path, preloaded):
    out = shutil.copytree(table4, tmp_path / "paper")
    step = out / "runs" / "main/students/hinton/32px/seed-0"
    for gone in (step, out / "runs" / "main" / "evaluate"):
        shutil.rmtree(gone)
    (out / "table4.json").unlink()
    setting = ("--run.checkpoint_seconds", "0")
    done = preloaded(*words("table4", out, *setting), after=21, below=step)
    assert done.code == -signal.SIGKILL, done.err
    assert json.loads((step / "step.json").read_text())["status"] == "running"
    done = preloaded(*words("table4", out, *setting))
    assert done.code == 0, done.err
    assert "hinton/32px/seed-0 resumes" in done.err
    assert weights(out) == weights(table4)
    first, second = (json.loads((folder / "table4.json").read_text()) for folder in (out, table4))
    assert {**first, "created": ""} == {**second, "created": ""}


def test_table_5_has_two_runs_that_share_what_agrees(table4, tmp_path, preloaded):
    """Another proposer: another teacher, but the plain student is the same."""
    out = tmp_path / "paper"
    one = ("--faster_rcnn.proposals.method", "grid", "--faster_rcnn.proposals.min_box_size", "8")
    plan = preloaded(*words("table5", out, *one, "--reuse", table4 / "runs" / "main", "--dry-run"))
    assert plan.code == 0, plan.err
    assert "table5-edge_boxes: 0 steps done, 1 taken" in plan.err
    assert "table5-faster_rcnn: 0 steps done, 1 taken" in plan.err
    assert plan.err.count("taken: students/plain/32px/seed-0") == 2
    assert "teacher (" in plan.err  # as long as the other run's
    assert "proposals (?)" in plan.err
    assert "time to do: about" in plan.err
    assert "steps of unknown time" in plan.err
    assert not out.exists()


def test_a_detector_without_weights_is_refused_before_any_work(tmp_path, app):
    app(*words("table5", tmp_path / "paper")).refused("Faster R-CNN needs its weights")
    assert not (tmp_path / "paper").exists()


def test_list_and_show(app):
    listed = app("experiments", "list")
    assert listed.code == 0, listed.err
    for name in ("table1", "table5", "figure4"):
        assert name in listed.out
    shown = app("experiments", "show", "table5")
    assert "81.1" in shown.out
    assert "proposals.method = 'faster_rcnn'" in shown.out
    assert "a curve, not rows" in app("experiments", "show", "tags").out


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (("experiments", "show", "table6"), ("unknown experiment 'table6'", "Did you mean")),
        (words("tagz", "x"), ("unknown experiment 'tagz'. Did you mean 'tags'",)),
        (words("tabel4", "x"), ("unknown experiment 'tabel4'", "'table4'")),
        (words("table4", "x", "--teacher.inputsize", "3"), ("unknown setting",)),
        (words("table5", "x", "--faster_rcnn.proposals.sise", "3"), ("unknown setting",)),
        (words("table4", "x", "--reuse", "nowhere"), ("--reuse nowhere: no such folder",)),
        (words("table4", "x", "--seeds", "0"), ("run.seeds",)),
    ],
)
def test_wrong_words(app, tmp_path, monkeypatch, given, texts):
    monkeypatch.chdir(tmp_path)
    app(*given).refused(*texts)
    assert not (tmp_path / "x").exists()


def test_changed_settings_are_refused_in_the_plan_too(table4, app):
    changed = ("--stage2.soft_weight", "3", "--dry-run")
    app(*words("table4", table4, *changed)).refused("was made with other settings", "soft_weight")
