"""``boxless proposals compare``, and boxes from files, through the real command line."""

import json

import numpy as np
import pytest
from command_line import Done, boxless
from PIL import Image

from boxless.cli.app import main
from boxless.proposals.store import ProposalStore

SCENES = "scenes:train=2,test=6,size=64"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Three images of 40 x 30 pixels without true boxes."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        Image.fromarray(np.full((30, 40, 3), 80 * number, np.uint8)).save(f"{number}.png")
    (tmp_path / "t.csv").write_text(
        "path,labels,split\n0.png,cat,train\n1.png,dog,train\n2.png,cat,test\n"
    )
    write(**{f"{n}.png": [[1, 2, 20, 25, (n + 1) / 10]] for n in range(3)})
    return tmp_path


def write(**boxes):
    """Write b.npz into the current folder."""
    np.savez("b.npz", **boxes)


@pytest.fixture
def run(capsys):
    """The command in this process."""

    def call(*words):
        code = 0
        try:
            main(list(map(str, words)))
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call


def importing(*words, method="file", out="boxes"):
    return ("proposals", "csv:t.csv", "--method", method, "--out", out, *words)


def test_import_and_fault(run, table):
    done = boxless(*importing("--file", "b.npz"), cwd=table)
    assert done.code == 0, done.err
    assert "3 images" in done.out
    store = ProposalStore.open(table / "boxes")
    np.testing.assert_array_equal(store[store.image_ids[1]].boxes, [[1, 2, 20, 25]])
    write(**{"0.png": [[1, 2, 20, 25, np.nan]]})
    run(*importing("--file", "b.npz", out="new")).refused("1.png", "--skip-bad")


@pytest.mark.parametrize(
    ("last", "messages"),
    [
        (None, ("no boxes for 2 of 3 images", "1.png", "--skip-bad")),
        ([1, 2, 20, 25, np.nan], ("b.npz, image '2.png', box 2: the score is not finite",)),
        ([1, 2, 60, 25, 1], ("the box leaves the image of 40 x 30", "--outside clip")),
        ([1, 2, 60], ("image '2.png': expected (R, 4) boxes", "found (1, 3)")),
    ],
)
def test_unusable_imports(run, table, last, messages):
    good = [1, 2, 20, 25, 1]
    if last is None:
        write(**{"0.png": [good]})
    else:
        write(**{"0.png": [good], "1.png": [good], "2.png": [good, last] if last[4:] else [last]})
    run(*importing("--file", "b.npz")).refused(*messages)
    assert not (table / "boxes").exists()


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (("--file", "b.pkl"), ("ending in .json or .npz", "can run code")),
        (("--file", "b.xml"), ("found 'b.xml'",)),
        (("--file", "no.npz"), ("expected a file of boxes at no.npz, found none",)),
        (("--file", "b.mat"), ("found 'b.mat'", "numpy.savez")),
        ((), ("needs a file", "--file FILE")),
    ],
)
def test_wrong_options(run, table, words, messages):
    run(*importing(*words)).refused(*messages)


def test_options_of_other_methods(run, table):
    run(*importing("--file", "b.npz", method="grid")).refused("add --method file")
    done = run(*importing(method="faster_rcnn"))
    done.refused("needs its weights as a file", "nothing is downloaded")


def test_left_out_on_request(run, table):
    write(**{"0.png": [[1, 2, 20, 25, 1]]})
    done = run(*importing("--file", "b.npz", "--skip-bad"))
    assert done.code == 0, done.err
    assert "skipped 2 images" in done.out or "skipped 1.png" in done.out
    assert len(ProposalStore.open(table / "boxes")) == 1


def test_selective_search_fills_a_store(run, table):
    words = ("--size", "40", "--workers", "1")
    done = run(*importing(*words, method="selective_search_fast", out="ss"))
    assert done.code == 0, done.err
    assert ProposalStore.open(table / "ss").index.inputs.settings["size"] == 40


def test_compare(run, table):
    methods = "edgeboxes,selective-search-fast,grid"
    done = run("proposals", "compare", SCENES, "--methods", methods, "--limit", "3", "--size", "64")
    assert done.code == 0, done.err
    assert "Recall in % of" in done.out
    folder = table / "proposals" / "scenes-comparison"
    assert (folder / "recall.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads((folder / "comparison.json").read_text())
    assert (facts["images"], facts["split"]) == (3, "test")
    assert facts["counts"] == [10, 100, 300, 500]
    names = ["edge_boxes", "selective_search_fast", "grid", "random"]
    assert [method["name"] for method in facts["methods"]] == names
    assert len(facts["methods"][0]["recall"]["0.7"]) == 4
    assert facts["methods"][0]["settings"]["size"] == 64
    markdown = (folder / "comparison.md").read_text()
    assert "| method | R@0.5 10 |" in markdown
    assert markdown.count("\n| grid | ") == 1
    assert len({line.count("|") for line in markdown.splitlines() if line.startswith("|")}) == 1


def test_compare_as_json(run, table):
    words = ("--methods", "grid", "--max-boxes", "20", "--limit", "2", "--out", "here", "--json")
    done = run("proposals", "compare", SCENES, *words)
    assert json.loads(done.out) == json.loads((table / "here" / "comparison.json").read_text())
    assert json.loads(done.out)["counts"] == [10, 20]


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (
            (SCENES, "--methods", "edge_bxes,grid"),
            ("unknown proposal method 'edge_bxes'", "Did you"),
        ),
        ((SCENES, "--methods", "grid,grid"), ("found 'grid' twice",)),
        ((SCENES, "--methods", ","), ("found none",)),
        ((SCENES, "--methods", "grid", "--limit", "-1"), ("--limit of at least 0, found -1",)),
        ((SCENES, "--methods", "grid", "--split", "val"), ("unknown split 'val'",)),
        ((SCENES, "--methods", "grid", "--file", "b.npz"), ("add it to --methods",)),
        (("csv:t.csv", "--methods", "grid"), ("can only be compared on data sets with boxes",)),
    ],
)
def test_compare_refuses(run, table, words, messages):
    run("proposals", "compare", *words).refused(*messages)


def test_help_shows_both(run):
    shown = run("proposals", "--help").out
    assert "compare" in shown
    assert "--skip-bad" in shown
    assert "--limit" in run("proposals", "compare", "--help").out
