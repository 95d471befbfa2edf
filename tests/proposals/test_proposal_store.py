import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proposal_pictures import contents
from safetensors.numpy import load_file, save_file

from boxless.errors import DataError, StoreError
from boxless.files.copies import file_sha256
from boxless.proposals.checks import check_proposals
from boxless.proposals.index import StoreInputs, read_index, write_index
from boxless.proposals.store import ProposalStore
from boxless.proposals.writer import ProposalWriter
from boxless.types import Proposals


def proposals(count, width=50, height=40, seed=0):
    random = np.random.default_rng(seed)
    low = random.uniform(0, [width / 2, height / 2], (count, 2))
    high = random.uniform([width / 2 + 1, height / 2 + 1], [width, height], (count, 2))
    boxes = np.concatenate([low, high], 1).astype(np.float32)
    return Proposals(boxes, random.random(count).astype(np.float32), width, height)


def inputs(ids, shard_size=2):
    return StoreInputs("grid", {"max_boxes": 5}, "manifest", shard_size, tuple(ids))


def write(folder, entries, shard_size=2):
    writer = ProposalWriter(folder, inputs([name for name, _ in entries], shard_size))
    for number in range(writer.shard_count):
        writer.write_shard(number, entries[number * shard_size : (number + 1) * shard_size])
    return writer.finish()


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "store", [(f"i{n}", proposals(3 + n, seed=n)) for n in range(5)])
    return tmp_path / "store"


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=7), shard_size=st.integers(1, 4))
def test_what_is_written_is_read(tmp_path_factory, counts, shard_size):
    entries = [(f"image {n}", proposals(count, seed=n)) for n, count in enumerate(counts)]
    store = write(tmp_path_factory.mktemp("stores") / "store", entries, shard_size)
    assert list(store) == [name for name, _ in entries]
    for name, entry in reversed(entries):
        found = store[name]
        np.testing.assert_array_equal(found.boxes, entry.boxes)
        np.testing.assert_array_equal(found.scores, entry.scores)
        assert (found.width, found.height) == (50, 40)
        assert found.boxes.dtype == found.scores.dtype == np.float32


def test_membership_and_unknown_id(folder):
    store = ProposalStore.open(folder)
    assert len(store) == 5
    assert "i4" in store
    assert "i5" not in store
    with pytest.raises(StoreError, match="no proposals for image 'i5'"):
        store["i5"]


def test_a_pickled_store_reads_the_same(folder):
    store = ProposalStore.open(folder)
    before = store["i3"]
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again["i3"].boxes, before.boxes)
    assert again.fingerprint == store.fingerprint


def test_require(folder):
    store = ProposalStore.open(folder)
    store.require(["i0", "i4"], "manifest")
    with pytest.raises(StoreError, match="expected fingerprint other, found manifest"):
        store.require(["i0"], "other")
    with pytest.raises(StoreError, match="lacks 2 of the images, first 'a', 'b'"):
        store.require(["a", "i0", "b"], "manifest")


def test_missing_store(tmp_path):
    with pytest.raises(StoreError, match="found no such file"):
        ProposalStore.open(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"schema": "boxless-proposals/1"}', '{"schema": "boxless-proposals/9"}'],
)
def test_damaged_index(folder, text):
    (folder / "index.json").write_text(text)
    with pytest.raises(StoreError, match=r"index\.json"):
        ProposalStore.open(folder)


def test_edited_index(folder):
    path = folder / "index.json"
    facts = json.loads(path.read_text())
    facts["inputs"]["manifest_fingerprint"] = "another"
    path.write_text(json.dumps(facts))
    with pytest.raises(StoreError, match="was edited or damaged: expected fingerprint"):
        ProposalStore.open(folder)


def test_missing_shard(folder):
    (folder / "shard-00001.safetensors").unlink()
    with pytest.raises(StoreError, match=r"lacks the shard shard-00001\.safetensors"):
        ProposalStore.open(folder)


def test_truncated_shard(folder):
    shard = folder / "shard-00001.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match=f"expected {len(whole)} bytes, found {len(whole) - 1}"):
        ProposalStore.open(folder)


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_flipped_bit(folder, place):
    shard = folder / "shard-00002.safetensors"
    content = bytearray(shard.read_bytes())
    content[int(place * len(content))] ^= 1
    shard.write_bytes(content)
    store = ProposalStore.open(folder)
    with pytest.raises(StoreError, match=r"shard-00002\.safetensors is damaged: expected sha256"):
        _ = [store[image_id] for image_id in store]


def reindex(folder, number, tensors):
    """Replace a shard and make index and checksum fit, as a foreign tool would."""
    index = read_index(folder)
    path = folder / index.shards[number].file
    save_file(tensors, path)
    shards = list(index.shards)
    shards[number] = replace(shards[number], bytes=path.stat().st_size, sha256=file_sha256(path))
    write_index(folder, replace(index, shards=tuple(shards)))
    return ProposalStore.open(folder)


def test_foreign_shard_with_a_bad_box_names_image_and_row(folder):
    tensors = load_file(folder / "shard-00001.safetensors")
    tensors["boxes"][tensors["offsets"][1] + 2, 0] = np.nan
    store = reindex(folder, 1, tensors)
    assert len(store["i2"]) == 5
    with pytest.raises(StoreError, match=r"image 'i3' in .*00001.*row 2: a coordinate is not fin"):
        store["i3"]


@pytest.mark.parametrize("name", ["boxes", "scores", "offsets", "sizes"])
def test_foreign_shard_of_wrong_length(folder, name):
    tensors = load_file(folder / "shard-00001.safetensors")
    tensors[name] = tensors[name][:-1].copy()
    with pytest.raises(StoreError, match="does not fit its index"):
        reindex(folder, 1, tensors)["i2"]


def test_foreign_shard_without_a_tensor(folder):
    tensors = load_file(folder / "shard-00001.safetensors")
    del tensors["scores"]
    with pytest.raises(StoreError, match="scores"):
        reindex(folder, 1, tensors)["i2"]


GOOD = [5.0, 5.0, 20.0, 30.0]


@pytest.mark.parametrize(
    ("box", "score", "fault"),
    [
        (GOOD, np.nan, "score is not finite"),
        (GOOD, -0.1, "score is negative"),
        ([5, 5, 5, 30], 1, "inverted or empty"),
        ([20, 5, 5, 30], 1, "inverted or empty"),
        ([-1, 5, 20, 30], 1, "leaves the image of 50 x 40"),
        ([5, 5, 51, 30], 1, "leaves the image"),
        ([5, 5, 20, 41], 1, "leaves the image"),
        ([5, 5, np.inf, 30], 1, "not finite"),
    ],
)
def test_unusable_boxes_are_refused_on_write(tmp_path, box, score, fault):
    bad = Proposals(np.array([GOOD, box], np.float32), np.array([1, score], np.float32), 50, 40)
    writer = ProposalWriter(tmp_path / "store", inputs(["fine", "bad"]))
    with pytest.raises(StoreError, match=f"image 'bad', row 1: .*{fault}"):
        writer.write_shard(0, [("fine", proposals(3)), ("bad", bad)])
    assert writer.finished(0) is None


def test_no_boxes_and_wrong_shapes_are_refused():
    none = Proposals(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 5, 5)
    with pytest.raises(StoreError, match="at least one box"):
        check_proposals(none, "i")
    with pytest.raises(StoreError, match=r"found \(2, 4\) and \(3,\)"):
        check_proposals(Proposals(np.ones((2, 4), np.float32), np.ones(3, np.float32), 5, 5), "i")


def test_unfinished_writer(tmp_path):
    writer = ProposalWriter(tmp_path / "store", inputs(["a", "b", "c"]))
    writer.write_shard(0, [("a", proposals(2)), ("b", proposals(2))])
    with pytest.raises(StoreError, match="shard 1 is not written"):
        writer.finish()
    writer.write_shard(1, [], skipped=(("c", "torn"),))
    store = writer.finish()
    assert store.skipped == (("c", "torn"),)
    assert all(len(store[image_id]) for image_id in store)
    with pytest.raises(StoreError, match="already holds a finished"):
        ProposalWriter(tmp_path / "store", inputs(["a", "b", "c"]))


def test_half_written_files_of_a_killed_writer_are_swept_up(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / ".unfinished.json.17.tmp").write_bytes(b"half")
    ProposalWriter(tmp_path / "store", inputs(["a"]))
    (tmp_path / "store" / ".shard-00000.safetensors.17.tmp").write_bytes(b"half")
    (tmp_path / "store" / ".index.json.17.tmp").write_bytes(b"half")
    writer = ProposalWriter(tmp_path / "store", inputs(["a"]))
    writer.write_shard(0, [("a", proposals(2))])
    writer.finish()
    assert set(contents(tmp_path / "store")) == {"index.json", "shard-00000.safetensors"}


def test_every_image_skipped(tmp_path):
    writer = ProposalWriter(tmp_path / "store", inputs(["a"]))
    writer.write_shard(0, [], skipped=(("a", "torn"),))
    with pytest.raises(DataError, match="first 'a': torn"):
        writer.finish()


def test_fingerprint_follows_inputs_and_contents(tmp_path):
    entries = [("a", proposals(3)), ("b", proposals(4))]
    first = write(tmp_path / "1", entries).fingerprint
    assert write(tmp_path / "2", entries).fingerprint == first
    assert write(tmp_path / "3", entries, shard_size=1).fingerprint != first
    assert write(tmp_path / "4", [("a", proposals(3, seed=9)), entries[1]]).fingerprint != first
    assert write(tmp_path / "5", [("c", proposals(3)), entries[1]]).fingerprint != first
