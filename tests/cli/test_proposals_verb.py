import json
import sys
from dataclasses import dataclass
from types import ModuleType

import cyclopts
import numpy as np
import pytest
from PIL import Image

from boxless.cli.proposals import proposals
from boxless.errors import ConfigError, DataError
from boxless.types import ImageRecord, TrueBox


@dataclass
class Manifest:
    records: list
    has_boxes: bool
    fingerprint: str = "f00d"
    name: str = "toys"


def load_png(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """A data set of four pictures with one bright block each, behind stand-ins for the readers."""
    monkeypatch.chdir(tmp_path)
    records = []
    for number in range(4):
        pixels = np.full((90, 120, 3), 30, np.uint8)
        x, y = 20 + 10 * number, 25
        pixels[y : y + 45, x : x + 40] = (220, 180, 60 * number)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        box = TrueBox(0, (x, y, x + 40, y + 45))
        records.append(ImageRecord(str(number), str(path), "train", (1,), boxes=(box,)))
    manifest = Manifest(records, has_boxes=True)
    sources, images = ModuleType("boxless.data.sources"), ModuleType("boxless.data.images")
    sources.load_manifest = lambda _: manifest
    images.load_image = load_png
    monkeypatch.setitem(sys.modules, "boxless.data.sources", sources)
    monkeypatch.setitem(sys.modules, "boxless.data.images", images)
    return manifest


def run(*tokens):
    app = cyclopts.App(name="boxless", result_action="return_value")
    app.command(proposals)
    app(["proposals", *tokens], exit_on_error=False)


def test_prints_recall_and_place(manifest, capsys):
    run("voc:toys", "--workers", "1")
    printed = capsys.readouterr().out
    assert "4 images, " in printed
    assert "proposals/toys-edge_boxes" in printed
    assert "Recall of 4 objects in 4 images" in printed
    lines = [line for line in printed.splitlines() if "edge_boxes" in line and "0.5" in line]
    assert len(lines) == 1
    assert lines[0].split()[-2] == "1.000"
    assert "random" in printed


def test_second_call_finds_all_there(manifest, capsys):
    run("voc:toys", "--workers", "1", "--out", "boxes")
    run("voc:toys", "--workers", "1", "--out", "boxes")
    assert "(all there already): boxes" in capsys.readouterr().out


def test_json(manifest, capsys):
    run("voc:toys", "--method", "grid", "--max-boxes", "120", "--workers", "1", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert facts["images"] == 4
    assert facts["skipped"] == []
    assert facts["folder"].endswith("toys-grid")
    assert facts["images_per_second"] > 0
    assert facts["recall"]["counts"] == [10, 100, 120]
    assert {row["name"] for row in facts["recall"]["rows"]} == {"grid", "random"}


def test_data_set_without_boxes(manifest, capsys):
    manifest.has_boxes = False
    run("voc:toys", "--method", "grid", "--workers", "1")
    assert "recall cannot be measured" in capsys.readouterr().out


def test_bad_image(manifest, capsys, tmp_path):
    (tmp_path / "2.png").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"cannot read image '2'"):
        run("voc:toys", "--method", "grid", "--workers", "1")
    run("voc:toys", "--method", "grid", "--workers", "1", "--skip-bad")
    printed = capsys.readouterr().out
    assert "3 images" in printed
    assert "skipped 2: " in printed
    assert "Recall of 3 objects" in printed


def test_bad_value(manifest):
    with pytest.raises(ConfigError, match="size must be in"):
        run("voc:toys", "--size", "5")


def test_help_teaches(capsys):
    run("--help")
    run("proposals", "--help")
    shown = capsys.readouterr().out
    assert "boxless proposals voc:VOCdevkit/VOC2007" in shown
    assert "--skip-bad" in shown
