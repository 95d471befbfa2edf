"""Corrected tables: what they change, and which are refused."""

import pytest

from boxless.data.sources import load_manifest
from boxless.data.suspects import Suspect, apply_verdicts, read_verdicts, suspects_csv
from boxless.errors import DataError

TABLE = "path,split,cat,dog\na.png,train,1,0\nb.png,train,-1,1\nc.png,test,0,0\n"
HEAD = "image,class,tag,probability,rank,kind,verdict,path\n"


@pytest.fixture
def manifest(csv_file):
    return load_manifest(f"csv:{csv_file(TABLE)}")


@pytest.fixture
def checked(tmp_path):
    def write(text, *, head=HEAD):
        file = tmp_path / "checked.csv"
        file.write_text(head + text)
        return file

    return write


def row(image, name, tag, verdict):
    return f"{image},{name},{tag},0.5,1,probably wrong tag,{verdict},x\n"


def test_every_verdict(manifest, checked):
    file = checked(
        row("a.png", "cat", 1, "flip")
        + row("a.png", "dog", 0, "Flip ")
        + row("b.png", "dog", 1, "blank")
        + row("c.png", "cat", 0, "keep")
        + row("c.png", "dog", 0, "")
    )
    found, counts = apply_verdicts(manifest, read_verdicts(file))
    assert found.labels.tolist() == [[0, 1], [-1, -1], [0, 0]]
    assert counts == {"removed": 1, "added": 1, "made unknown": 1, "kept": 1}
    assert [r.split for r in found.records] == ["train", "train", "test"]
    assert manifest.labels.tolist() == [[1, 0], [-1, 1], [0, 0]]


def test_a_table_that_went_through_a_spreadsheet(manifest, checked):
    """Semicolons, another order, columns gone and added, tags as decimals."""
    file = checked("flip;me;cat;1,0;a.png\n", head="verdict;who;class;tag;image\n")
    found, _ = apply_verdicts(manifest, read_verdicts(file))
    assert found.labels[0].tolist() == [0, 0]


def test_the_table_as_written_has_no_verdict(manifest, tmp_path):
    file = tmp_path / "suspects.csv"
    file.write_bytes(suspects_csv([Suspect(manifest.records[0], "cat", 1, 0.1, 1)], tmp_path))
    with pytest.raises(DataError, match="found 1 rows without one"):
        read_verdicts(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (row("a.png", "cat", 1, "delete"), r"csv:2:7: expected keep, flip, blank or nothing"),
        (row("a.png", "cat", 2, "flip"), r"csv:2:3: expected a tag of 1 or 0, found '2'"),
        (row("a.png", "cat", -1, "flip"), r"csv:2:3: expected a tag of 1 or 0, found '-1'"),
        (2 * row("a.png", "cat", 1, "flip"), r"csv:3: .* is judged already at .*csv:2"),
        (row("d.png", "cat", 1, "flip"), r"csv:2: tags has no image 'd\.png'"),
        (row("a.png", "cta", 1, "flip"), r"csv:2: unknown class 'cta'\. Did you mean 'cat'"),
        (row("a.png", "cat", 0, "keep"), r"'cat' of 'a\.png' to be 0, .* found 1 in .*tags\.csv:2"),
        (row("b.png", "cat", 1, "flip"), r"'cat' of 'b\.png' to be 1, .* found -1 in"),
    ],
)
def test_refused(manifest, checked, text, message):
    with pytest.raises(DataError, match=message):
        apply_verdicts(manifest, read_verdicts(checked(text)))


def test_a_table_of_something_else_is_refused(checked):
    with pytest.raises(DataError, match="expected the columns image, class, tag, verdict, found"):
        read_verdicts(checked("a.png,train\n", head="image,split\n"))
