"""Ray Data: the bytes of the local engine, also when a node is killed in mid-run."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from engine_work import contents, load_here_alone, load_slowly, refuse_three, write_images
from PIL import Image

from boxless.cli.app import main
from boxless.data.images import load_image
from boxless.errors import ConfigError, DataError, RunError
from boxless.files.ray_engine import engine_beyond
from boxless.proposals.extract import extract
from boxless.proposals.proposer import make_proposer

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "inference"), str(HERE.parent / "cli")]
EDGES = make_proposer("edge_boxes", max_boxes=40, size=80)


@pytest.fixture(scope="module")
def engine(cluster):
    with engine_beyond("ray", address=cluster.address) as engine:
        engine.images_per_unit = 4
        yield engine


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "pictures", 24)


def propose(records, folder, **options):
    settings = {"manifest_fingerprint": "m", "load_image": load_image, "shard_size": 7}
    return extract(records, EDGES, folder, **{"workers": 1, **settings, **options})


@pytest.fixture(scope="module")
def local_store(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("local") / "store"
    propose(records, folder)
    return folder


def test_the_command_writes_the_same_store(cluster, records, tmp_path):
    table = tmp_path / "tags.csv"
    rows = [f"{record.path},cat,{'train' if n else 'test'}" for n, record in enumerate(records)]
    table.write_text("\n".join(["path,labels,split", *rows]))
    words = ["proposals", f"csv:{table}", "--max-boxes", "40", "--out"]
    main([*words, str(tmp_path / "local"), "--workers", "1"])
    ray = [str(tmp_path / "ray"), "--engine", "ray", "--ray-address", cluster.address]
    command = [sys.executable, "-m", "boxless", *words, *ray]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(contents(tmp_path / "ray")) == 2
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_bad_images_are_left_out_with_the_same_words(engine, records, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    mixed = [*records[:5], type(records[0])("bad", str(bad), "train", (1,)), *records[5:9]]
    with pytest.raises(DataError, match="not an image"):
        propose(mixed, tmp_path / "refused", engine=engine)
    for name, own in {"local": {}, "ray": {"engine": engine}}.items():
        assert len(propose(mixed, tmp_path / name, skip_bad=True, **own).skipped) == 1
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_images_out_of_a_workers_sight_are_never_skipped(engine, records, tmp_path):
    here = partial(load_here_alone, os.getpid())
    with pytest.raises(RunError, match="which this machine can") as caught:
        propose(records, tmp_path / "store", engine=engine, load_image=here, skip_bad=True)
    assert "shared file system" in caught.value.hint


def test_errors_of_a_function_come_back(engine):
    with pytest.raises(DataError, match="three is a crowd") as caught:
        list(engine.map(refuse_three, range(6)))
    assert "take two" in caught.value.hint


def test_methods_of_one_process_are_refused(engine, records, tmp_path):
    boxes = tmp_path / "boxes.npz"
    np.savez(boxes, **{record.image_id: np.array([[0, 0, 9, 9]]) for record in records})
    with pytest.raises(ConfigError, match="works in one process"):
        extract(
            records,
            make_proposer("file", file=str(boxes)),
            tmp_path / "store",
            manifest_fingerprint="m",
            load_image=load_image,
            engine=engine,
        )


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_predictions_are_the_same_file(engine, tmp_path, suffix, monkeypatch):
    from tiny_student import write_student

    monkeypatch.chdir(tmp_path)
    student = write_student(tmp_path / "student.onnx")
    write_images(tmp_path / "photos", 21)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    words = ["predict", str(student), "photos", "--batch-size", "4"]
    for name, own in {"local": [], "ray": ["--engine", "ray"]}.items():
        out = ["--out", str(tmp_path / f"{name}.{suffix}"), "--threads", "1"]
        with pytest.raises(SystemExit) as stop:
            main([*words, *out, *own, "--threshold", "0.4"])
        assert stop.value.code == 1  # one image cannot be read
    local, ray = (tmp_path / f"{name}.{suffix}" for name in ("local", "ray"))
    assert local.read_bytes() == ray.read_bytes()
    assert suffix != "json" or len(json.loads(local.read_text())) == 22


def test_proposals_maps_and_cache_of_a_run_are_the_same_files(engine, tmp_path):
    torch = pytest.importorskip("torch")
    from command_line import TINY

    local, other = tmp_path / "local", tmp_path / "ray"
    words = ["cache", "scenes:train=70,test=6,size=48", "--recipe", str(TINY)]
    words += ["--teacher.trainable", "head", "--teacher.folds", "2"]
    torch.manual_seed(0)  # the backbone is frozen as it is born
    main([*words, "--out", str(local)])
    shutil.copytree(local, other)
    for step in ("proposals/store", "maps", "cache"):
        for file in (other / step).glob("*.*"):
            file.unlink()
    again = ["--force", "proposals", "--force", "maps", "--run.engine", "ray"]
    torch.manual_seed(0)
    main([*words, "--out", str(other), *again])
    for step in ("proposals/store", "maps", "cache", "teacher"):
        mine, theirs = contents(local / step), contents(other / step)
        mine.pop("step.json", None), theirs.pop("step.json", None)
        mine.pop("events.jsonl", None), theirs.pop("events.jsonl", None)
        assert mine
        assert mine == theirs, step


def test_a_node_killed_in_mid_run_costs_nothing(engine, cluster, records, local_store, tmp_path):
    engine.images_per_unit = 1
    second = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
    alive = []

    def kill_once(done, _):
        if done >= 3 and not alive:
            alive.append(done)
            cluster.remove_node(second, allow_graceful=False)

    propose(records, tmp_path / "store", engine=engine, load_image=load_slowly, progress=kill_once)
    assert alive
    assert alive[0] < len(records) // 2
    assert contents(tmp_path / "store") == contents(local_store)
    pixels = np.zeros((4, 4, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "after.png")  # what is left goes on working
    assert list(engine.map(len, ["one", "more"])) == [3, 4]
