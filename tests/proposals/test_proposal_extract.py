import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from proposal_pictures import contents, load, write_pictures

from boxless.errors import BoxlessError, DataError, RunError, StoreError
from boxless.proposals.proposer import make_proposer
from boxless.proposals.store import ProposalStore

SOURCE = Path(__file__).resolve().parents[2] / "src"


def test_bytes_do_not_depend_on_the_number_of_workers(make_store, tmp_path):
    make_store(tmp_path / "one", workers=1)
    make_store(tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "one")) == 4  # three shards of at most 4 images, one index


def test_boxes_are_the_proposers_own(make_store, records):
    proposer = make_proposer("edge_boxes", max_boxes=60, size=96)
    store = make_store(proposer=proposer)
    assert store.image_ids == tuple(record.image_id for record in records)
    for record in records:
        pixels = load(record.path)
        boxes, scores = proposer(pixels)
        found = store[record.image_id]
        np.testing.assert_array_equal(found.boxes, boxes)
        np.testing.assert_array_equal(found.scores, scores)
        assert (found.height, found.width) == pixels.shape[:2]


def test_finished_store_is_returned_without_loading_an_image(make_store):
    first = make_store()
    calls = []
    again = make_store(load_image=calls.append, progress=lambda *state: calls.append(state))
    assert calls == [(10, 10)]
    assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"manifest_fingerprint": "m2"}, "manifest_fingerprint: 'm1' there, 'm2' asked for"),
        ({"proposer": make_proposer("grid", max_boxes=60)}, "proposer: 'edge_boxes' there, 'grid'"),
        (
            {"proposer": make_proposer("edge_boxes", max_boxes=60, size=64)},
            "settings.size: 96 there, 64",
        ),
        ({"shard_size": 5}, "shard_size: 4 there, 5"),
    ],
)
def test_other_inputs_are_refused_by_field(make_store, finished, change, named):
    if finished:
        make_store()
    else:
        with pytest.raises(DataError):
            make_store(load_image=_fail_on_last)
    with pytest.raises(StoreError, match=named):
        make_store(**change)


def test_other_images_are_refused(make_store, records):
    make_store()
    with pytest.raises(StoreError, match="image_ids: 10 images there, 9 asked for"):
        make_store(use=records[:-1])
    with pytest.raises(StoreError, match="image 0 is 'picture000' there, 'picture009' asked for"):
        make_store(use=records[::-1])


def _fail_on_last(path):
    if path.endswith("009.png"):
        raise OSError("disk on fire")
    return load(path)


def test_failure_keeps_finished_shards(make_store, tmp_path):
    with pytest.raises(DataError, match=r"picture009.*pictures\.csv:1.*disk on fire"):
        make_store(load_image=_fail_on_last)
    with pytest.raises(StoreError, match="unfinished extraction"):
        ProposalStore.open(tmp_path / "store")
    states = []
    make_store(progress=lambda done, total: states.append((done, total)))
    assert states == [(8, 10), (9, 10), (10, 10)]
    make_store(tmp_path / "fresh")
    assert contents(tmp_path / "store") == contents(tmp_path / "fresh")


def test_damaged_shard_of_an_unfinished_store_is_made_again(make_store, tmp_path):
    with pytest.raises(DataError):
        make_store(load_image=_fail_on_last)
    shard = tmp_path / "store" / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    make_store()
    make_store(tmp_path / "fresh")
    assert contents(tmp_path / "store") == contents(tmp_path / "fresh")


def test_bad_image_in_a_worker_process_is_named(make_store, records, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    broken = [*records[:2], _with_path(records[2], bad)]
    with pytest.raises(DataError, match=r"picture002.*bad\.png"):
        make_store(use=broken, workers=2)


def _with_path(record, path):
    return type(record)(record.image_id, str(path), record.split, record.labels, source="list:7")


def test_skip_bad_lists_what_was_left_out(make_store, records, tmp_path):
    store = make_store(load_image=_fail_on_last, skip_bad=True)
    assert store.skipped == (("picture009", "disk on fire"),)
    assert len(store) == 9
    with pytest.raises(StoreError, match="skipped as unreadable: disk on fire"):
        store["picture009"]
    with pytest.raises(DataError, match="without 1 unreadable images"):
        make_store()


def test_all_images_bad_is_an_error(make_store):
    with pytest.raises(DataError, match="at least one readable image"):
        make_store(load_image=_always_fail, skip_bad=True)


def _die(path):
    os._exit(1)


def test_a_worker_that_dies_is_an_error_with_advice(make_store):
    with pytest.raises(RunError, match="worker process died"):
        make_store(load_image=_die, workers=2)


def _always_fail(path):
    raise DataError("nothing there")


def _grey(path):
    return load(path)[:, :, 0]


def test_wrong_pixels_are_refused(make_store):
    with pytest.raises(DataError, match=r"expected \(H, W, 3\) uint8 pixels, found \(60, 80\)"):
        make_store(load_image=_grey)


def test_bad_arguments(make_store, records, tmp_path):
    with pytest.raises(DataError, match="picture000' occurs twice"):
        make_store(use=[records[0], records[0]])
    with pytest.raises(DataError, match="found none"):
        make_store(use=[])
    with pytest.raises(BoxlessError, match="shard_size"):
        make_store(shard_size=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("do not mix with shards")
    with pytest.raises(StoreError, match="expected an empty folder"):
        make_store(tmp_path / "full")


SCRIPT = """
import sys
from pathlib import Path
from proposal_pictures import load_slowly, write_pictures
from boxless.proposals.extract import extract
from boxless.proposals.proposer import make_proposer
if __name__ == "__main__":
    extract(write_pictures(sys.argv[1], 14), make_proposer("edge_boxes", max_boxes=60, size=96),
            Path(sys.argv[2]), manifest_fingerprint="m1", load_image=load_slowly,
            workers=int(sys.argv[3]), shard_size=3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_extraction_carries_on_to_the_same_bytes(tmp_path, workers):
    script = tmp_path / "extract_slowly.py"
    script.write_text(SCRIPT)
    pictures, folder, fresh = tmp_path / "pictures", tmp_path / "killed", tmp_path / "fresh"
    path = os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path}

    def command(store):
        return [sys.executable, str(script), str(pictures), str(store), str(workers)]

    process = subprocess.Popen(command(folder), env=environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (folder / "shard-00001.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must notice by themselves
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")}
    assert 2 <= len(kept) < 5
    assert not (folder / "index.json").exists()
    assert _group_is_gone(process.pid)

    subprocess.run(command(folder), env=environment, check=True)
    subprocess.run(command(fresh), env=environment, check=True)
    assert contents(folder) == contents(fresh)
    for name, written in kept.items():
        assert (folder / name).stat().st_mtime_ns == written, "a finished shard was made again"


def _group_is_gone(group):
    """Whether no process of the group is left (waits up to 10 s)."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_records_can_be_written_twice(tmp_path):
    """The kill test relies on it: same pictures, same bytes."""
    write_pictures(tmp_path / "a", 2)
    write_pictures(tmp_path / "b", 2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
