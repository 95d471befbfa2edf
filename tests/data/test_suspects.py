"""Tables of suspicious tags: what people and other programs read in them."""

import csv
import json

import pytest

from boxless.data.sources import load_manifest
from boxless.data.suspects import Suspect, ToTag, suspects_csv, suspects_fiftyone, to_tag_csv

TABLE = "path,split,cat,dog\na.png,train,1,0\nb.png,train,0,1\nc.png,test,0,0\n"


@pytest.fixture
def manifest(csv_file):
    return load_manifest(f"csv:{csv_file(TABLE)}")


@pytest.fixture
def suspects(manifest):
    first, second, _ = manifest.records
    return [Suspect(first, "cat", 1, 0.031, 1), Suspect(second, "cat", 0, 0.99999, 2)]


def rows(content):
    return list(csv.DictReader(content.decode().splitlines()))


def test_the_table(suspects, tmp_path):
    first, second = rows(suspects_csv(suspects, tmp_path / "run"))
    assert first == {
        "image": "a.png", "class": "cat", "tag": "1", "probability": "0.0310", "rank": "1",
        "kind": "probably wrong tag", "verdict": "", "path": "../a.png",
    }  # fmt: skip
    assert (second["tag"], second["kind"]) == ("0", "probably missing tag")


def test_names_with_commas_quotes_and_line_ends(manifest, tmp_path):
    name = 'cat, "tabby"\nor not'
    (row,) = csv.DictReader(
        suspects_csv([Suspect(manifest.records[0], name, 1, 0, 1)], tmp_path)
        .decode()
        .splitlines(keepends=True)
    )
    assert row["class"] == name


def test_fiftyone_reads_absolute_paths_and_so_do_we(suspects, manifest, tmp_path):
    file = tmp_path / "out" / "labels.json"
    file.parent.mkdir()
    file.write_bytes(suspects_fiftyone(suspects, manifest.classes))
    content = json.loads(file.read_text("utf-8"))
    assert content["classes"] == ["cat", "dog"]
    (label,) = content["labels"][str(tmp_path / "a.png")]
    assert label == {
        "label": "cat",
        "confidence": 0.031,
        "attributes": {"tag": 1, "rank": 1, "kind": "probably wrong tag"},
    }
    back = load_manifest(f"fiftyone:{file},outside=allow,test=50%")
    assert {record.path for record in back.records} == {r.path for r in manifest.records[:2]}


def test_images_to_tag(manifest, tmp_path):
    found = rows(to_tag_csv([ToTag(manifest.records[2], 1, (("dog", 0.4),))], tmp_path))
    assert found == [{"image": "c.png", "rank": "1", "labels": "", "path": "c.png"}]
