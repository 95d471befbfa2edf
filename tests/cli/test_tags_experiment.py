"""``boxless experiments run tags``: the learning curve by the command, resumed and refused."""

import csv

import pytest
from command_line import SPEC, TINY

from boxless.experiments.learning_curve import Curve
from boxless.report.results import read_results
from boxless.runs.export import NAME


def words(out, *more, experiment="tags"):
    base = ("experiments", "run", experiment, SPEC, "--recipe", TINY, "--out", out)
    return (*map(str, base), "--teacher.trainable", "head", "--seeds", "1", *map(str, more))


def test_a_whole_curve(preloaded, tmp_path):
    out, grid = tmp_path / "tags", ("--counts", "16,32", "--draws", "1")
    done = preloaded(*words(out, *grid))
    assert done.code == 0, done.err
    for step in ("proposals", "maps"):
        assert f"{step}: taken from another run" in done.err
    curve = Curve.model_validate_json((out / "tags.json").read_text("utf-8"))
    assert [point.tags for point in curve.points] == [16, 32]
    for point in curve.points:
        results = read_results(out / "runs" / f"tags-{point.tags}-0" / "results.json")
        assert results.data.images["train"] == point.tags
        oracle = ["oracle"] if point is curve.points[0] else []  # one serves the whole curve
        for name in ("teacher", "plain", "regions", *oracle):
            wanted = results.variants[name].spread("map").mean
            assert point.map[name].value == pytest.approx(wanted)
        assert point.gain.value == pytest.approx(results.gain.map.mean)
        assert results.shipped.variant != "oracle"
        assert (out / "runs" / f"tags-{point.tags}-0" / "export" / NAME).is_file()
        report = (out / "runs" / f"tags-{point.tags}-0" / "report.html").read_text("utf-8")
        assert 'href="../../tags.html"' in report
        assert 'aria-label="mAP against the number of tags"' in report
    rows = list(csv.DictReader((out / "tags.csv").open()))
    assert {row["tags"] for row in rows} == {"16", "32"}
    for kind in ("html", "md", "svg", "png"):
        assert (out / f"tags.{kind}").stat().st_size > 500
    assert "the plain one needs" in done.out
    again = preloaded(*words(out, *grid))
    assert again.code == 0, again.err
    assert "begins" not in again.err
    plan = preloaded(*words(out, *grid, "--dry-run"))
    assert "time to do: none" in plan.out


def test_tables_take_few_tags_too(app, tmp_path):
    out = tmp_path / "paper"
    done = app(*words(out, "--tags", "20", "--dry-run", experiment="table4"))
    assert done.code == 0, done.err
    assert "students/hinton" in done.out


@pytest.mark.parametrize(
    ("more", "texts"),
    [
        (("--counts", "32,16"), ("expected rising numbers", "--counts 100,200,400,800")),
        (("--counts", "16", "--tags", "20"), ("found --tags 20", "--counts")),
        (("--counts", "16", "--draws", "0"), ("--draws of at least 1, found 0",)),
        (("--counts", "16,999"), ("1 to 64 training images that keep their tags, found 999",)),
    ],
)
def test_wrong_words(app, tmp_path, more, texts):
    app(*words(tmp_path / "x", *more)).refused(*texts)
    assert not (tmp_path / "x" / "runs").exists()
