"""Data sets, proposals and predictions in object storage, as on a disk."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from boxless.cli.app import main
from boxless.data.images import image_size, load_image
from boxless.data.leaks import shared_images
from boxless.data.sources import load_manifest
from boxless.errors import DataError, RunError, StoreError
from boxless.files.paths import RemotePath, place
from boxless.proposals.proposer import make_proposer
from boxless.proposals.store import ProposalStore

sys.path.append(str(Path(__file__).resolve().parents[1] / "inference"))
TABLE = "path,labels,split\na.png,cat,train\nb.png,dog,train\ndeep/c.png,cat;dog,test\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BOXLESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=["memory", "s3"])
def store(request):
    """A folder in each kind of store."""
    return request.getfixturevalue(request.param) + "/data"


@pytest.fixture
def on_disk(tmp_path, store, photos):
    """The same pictures in the store and in a folder."""
    folder = tmp_path / "photos"
    for name in photos(store):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(place(f"{store}/{name}").read_bytes())
    return folder


def refused(capsys, *words) -> str:
    """What a command says that ends with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    said = " ".join(capsys.readouterr().err.split())
    assert stop.value.code == 2, said
    return said


def test_tables_and_images_are_read_as_from_a_disk(store, on_disk, put):
    put(f"{store}/tags.csv", TABLE)
    (on_disk / "tags.csv").write_text(TABLE)
    remote, local = (load_manifest(f"csv:{root}/tags.csv") for root in (store, on_disk))
    assert remote.image_ids == local.image_ids == ("a.png", "b.png", "deep/c.png")
    assert remote.classes == local.classes
    assert remote.fingerprint == local.fingerprint
    for mine, theirs in zip(remote.records, local.records, strict=True):
        assert mine.path == f"{store}/{mine.image_id}"
        assert image_size(mine.path) == image_size(theirs.path)
        np.testing.assert_array_equal(load_image(mine.path), load_image(theirs.path))
    assert shared_images(remote.records, local.records)[0][0].image_id == "a.png"


def test_a_table_may_name_images_anywhere(tmp_path, store, photos, put):
    photos(store)
    (tmp_path / "tags.csv").write_text(f"path,labels,split\n{store}/a.png,cat,train\n")
    (record,) = load_manifest(f"csv:{tmp_path}/tags.csv").records
    assert record.path == record.image_id == f"{store}/a.png"
    put(f"{store}/tables/tags.csv", "path,labels,split\n../deep/c.png,cat,train\n")
    put(f"{store}/tables/tags.csv.classes.txt", "cat\nox\n")
    manifest = load_manifest(f"csv:{store}/tables/tags.csv")
    assert manifest.records[0].path == f"{store}/deep/c.png"
    assert manifest.classes == ("cat", "ox")


def test_missing_tables_and_images_are_named(store, on_disk, put, capsys):
    assert f"{store}/none.csv" in refused(capsys, "data", "check", f"csv:{store}/none.csv")
    put(f"{store}/tags.csv", TABLE.replace("b.png", "gone.png"))
    with pytest.raises(DataError, match="1 of 3 image files are missing"):
        _ = load_manifest(f"csv:{store}/tags.csv").fingerprint
    with pytest.raises(DataError, match=r"gone\.png: image file is missing"):
        load_image(f"{store}/gone.png")
    assert "only csv: reads from a store" in refused(capsys, "data", "check", f"voc:{store}")


def test_proposals_in_a_store_are_those_on_a_disk(store, on_disk, put, tmp_path, monkeypatch):
    put(f"{store}/tags.csv", TABLE)
    (on_disk / "tags.csv").write_text(TABLE)
    options = ["--method", "grid", "--max-boxes", "9", "--workers", "1"]
    for root, out in {on_disk: tmp_path / "boxes", store: f"{store}/boxes"}.items():
        main(["proposals", f"csv:{root}/tags.csv", "--out", str(out), *options])
    remote, local = place(f"{store}/boxes"), tmp_path / "boxes"
    assert set(remote.children()) == {path.name for path in local.iterdir()}
    for path in local.iterdir():
        assert (remote / path.name).read_bytes() == path.read_bytes()
    opened = ProposalStore.open(remote)
    assert all(len(opened[image_id]) for image_id in opened)
    np.testing.assert_array_equal(opened["b.png"].boxes, ProposalStore.open(local)["b.png"].boxes)
    imported = make_proposer("file", file=str(remote), max_boxes=4)
    records = load_manifest(f"csv:{on_disk}/tags.csv").records
    assert imported.at(records[0], 70, 50)[0].shape == (4, 4)


def test_an_extraction_that_was_stopped_goes_on(memory, photos, put, monkeypatch):
    from boxless.proposals import extract as module
    from boxless.proposals.extract import extract

    photos(memory)
    put(f"{memory}/tags.csv", TABLE)
    records = load_manifest(f"csv:{memory}/tags.csv").records
    options = {"manifest_fingerprint": "m", "load_image": load_image, "workers": 1}
    options |= {"shard_size": 1, "proposer": make_proposer("grid", max_boxes=9)}
    folder, states = place(f"{memory}/boxes"), []
    last = place(records[-1].path)
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(DataError, match="image file is missing"):
        extract(records, folder=folder, **options)
    with pytest.raises(StoreError, match="unfinished extraction"):
        ProposalStore.open(folder)
    put(str(last), kept)
    extract(records, folder=folder, progress=lambda *state: states.append(state), **options)
    assert states[0] == (2, 3)
    shard = folder / "shard-00001.safetensors"
    put(str(shard), shard.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreError, match="damaged: expected sha256"):
        ProposalStore.open(folder)["b.png"]
    shard.unlink()
    with pytest.raises(StoreError, match="lacks the shard"):
        ProposalStore.open(folder)
    assert module


def test_predictions_from_store_to_store(store, on_disk, put, tmp_path, capsys):
    from tiny_student import write_student

    student = write_student(tmp_path / "student.onnx")
    put(f"{store}/run/export/student.onnx", student.read_bytes())
    main(["predict", str(student), str(on_disk), "--out", str(tmp_path / "local.csv")])
    main(["predict", f"{store}/run", store, "--out", f"{store}/labels.csv"])
    text = place(f"{store}/labels.csv").read_bytes().decode()
    assert text.replace(store, str(on_disk)) == (tmp_path / "local.csv").read_text()
    assert len(list(csv.DictReader(text.splitlines()))) >= 4
    main(["predict", str(student), f"{store}/deep/*.png", f"{store}/a.png", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["path"].removeprefix(store) for row in rows] == [
        "/deep/c.png",
        "/deep/d.png",
        "/a.png",
    ]


def test_what_cannot_be_read_is_told(s3, photos, put, tmp_path, capsys, monkeypatch):
    import s3fs
    from tiny_student import write_student

    student = write_student(tmp_path / "student.onnx")
    photos(f"{s3}/data")
    words = ("predict", student, "--out", tmp_path / "labels.csv")
    assert "no such bucket" in refused(capsys, *words, "s3://no-such-bucket-here/data")
    out = ("--out", "s3://no-such-bucket-here/labels.csv")
    assert "no such bucket" in refused(capsys, "predict", student, f"{s3}/data", *out)
    assert "does not exist" in refused(capsys, "predict", f"{s3}/none.onnx", f"{s3}/data")
    put(f"{s3}/cut.onnx", student.read_bytes()[:-50])
    assert f"{s3}/cut.onnx" in refused(capsys, "predict", f"{s3}/cut.onnx", f"{s3}/data")
    drawn = ("predict", student, f"{s3}/data", "--draw", "s3://x/drawn")
    assert "found an address in a store" in refused(capsys, *drawn)
    train = ("train", "scenes:train=40,test=8", "--recipe", "demo", "--out", f"{s3}/run")
    assert "found an address in a store" in refused(capsys, *train)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    said = refused(capsys, *words, f"{s3}/data")
    assert "redentials" in said
    assert "run the same command again" in said
    assert not (tmp_path / "labels.csv").exists()


def test_a_store_that_goes_away_stops_the_command(memory, photos, tmp_path, capsys, monkeypatch):
    """An image that is gone is listed, and the others are labelled; a store that is gone is not."""
    from tiny_student import write_student

    student = write_student(tmp_path / "student.onnx")
    photos(memory)
    gone = f"{memory}/deep/c.png"
    real = RemotePath.read_bytes

    def vanished(self):
        if str(self) == gone:
            raise FileNotFoundError(gone)
        return real(self)

    monkeypatch.setattr(RemotePath, "read_bytes", vanished)
    out = tmp_path / "labels.json"
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(student), memory, "--out", str(out)])
    assert stop.value.code == 1
    rows = json.loads(out.read_text())
    assert len(rows) == 4
    assert rows[-1]["path"] == gone
    out.unlink()

    def unreachable(self):
        if str(self) == gone:
            raise RunError("cannot reach it")
        return real(self)

    monkeypatch.setattr(RemotePath, "read_bytes", unreachable)
    assert "cannot reach it" in refused(capsys, "predict", student, memory, "--out", out)
    assert not out.exists()
