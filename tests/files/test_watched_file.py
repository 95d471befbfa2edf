"""A long reading says how far it has come, and hands every byte on."""

import pytest

from boxless.data.coco_json import read_instances
from boxless.files import progress, watched_file
from boxless.files.watched_file import watched

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "large [1].bin"
    found.write_bytes(CONTENT)
    return found


def read(path):
    pieces = []
    with watched(path) as stream:
        while piece := stream.read(1000):
            pieces.append(piece)
    return b"".join(pieces)


def test_small_files_are_silent(path, capsys):
    assert read(path) == CONTENT
    assert capsys.readouterr().err == ""


def test_large_files_say_how_far(path, capsys, monkeypatch):
    monkeypatch.setattr(watched_file, "LARGE", 100)
    monkeypatch.setattr(watched_file, "MB", 1024)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert read(path) == CONTENT
    lines = capsys.readouterr().err.splitlines()
    told = [line.split(",")[0] for line in lines]
    assert told == [f"reading large [1].bin: {n}/10" for n in range(1, 11)]
    assert all(line.endswith(" MB/s") for line in lines)


def test_large_files_show_a_bar_on_a_terminal(path, capsys, monkeypatch):
    monkeypatch.setattr(watched_file, "LARGE", 100)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert read(path) == CONTENT
    assert "reading large [1].bin" in capsys.readouterr().err


def test_cocos_annotations_are_watched(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(watched_file, "LARGE", 1)
    monkeypatch.setattr(watched_file, "MB", 1)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    path = tmp_path / "instances_train2014.json"
    path.write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat"}],'
        ' "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}]}'
    )
    assert read_instances(path).images == {"1": "a.jpg"}
    assert "reading instances_train2014.json" in capsys.readouterr().err
