"""The stream of batches: reproducible, complete, padded; decoded images within their limit."""

import signal
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from training_case import IMAGES, REGIONS, SIDE, dataset, picture, propose, records, stream

from boxless.data.kept_images import KeptImages
from boxless.errors import DataError
from boxless.training.batches import Batch, BatchStream, ViewDataset, whole_batches
from boxless.training.views import View, view_boxes


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(getattr(first, n), getattr(second, n)) for n in Batch.__slots__)


def test_plan_is_independent_of_history():
    fresh = stream().plan(5)
    used = stream()
    for update in (9, 0, 31, 2):
        used.plan(update)
    assert used.plan(5) == fresh
    assert stream(seed=4).plan(5) != fresh


@limits(deadline=None, max_examples=30)
@given(st.integers(1, 13), st.integers(0, 1000), st.integers(1, 4))
def test_every_image_exactly_once_a_pass(batch_size, seed, passes):
    source = stream(batch_size=batch_size, seed=seed)
    order = [s.index for u in range(passes * IMAGES) for s in source.plan(u)]
    for start in range(0, passes * IMAGES, IMAGES):
        assert sorted(order[start : start + IMAGES]) == list(range(IMAGES))


def test_batches_straddle_passes_and_views_change_with_the_pass():
    source = stream()
    straddling = source.plan(2)  # positions 8 to 11 of 10 images
    assert len(straddling) == 4
    views = {s.index: s.view for u in range(3) for s in source.plan(u)[: 4 if u < 2 else 2]}
    later = {s.index: s.view for u in (2, 3, 4) for s in source.plan(u)[2 if u == 2 else 0 :]}
    assert set(views) == set(later) == set(range(IMAGES))
    assert all(views[i] != later[i] for i in range(IMAGES))
    first = [s.index for u in range(5) for s in source.plan(u)][:10]
    second = [s.index for u in range(5) for s in source.plan(u)][10:]
    assert first != second


def deaf_to_interrupts(path):
    value = 255 if signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []) else 0
    return np.full((SIDE, SIDE, 3), value, np.uint8)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX")
def test_loading_processes_leave_interrupts_to_the_one_that_trains():
    source = ViewDataset(records(), deaf_to_interrupts)
    for workers, expected in ((0, 0), (2, 255)):
        found = next(BatchStream(source, 4, seed=3, sizes=(SIDE,), workers=workers).batches(0, 1))
        assert found.pixels.unique().tolist() == [expected]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_updates_of_a_number_of_passes():
    assert stream().updates(1) == round(IMAGES / 4)
    assert stream(batch_size=10).updates(3) == 3
    assert stream(batch_size=64).updates(0.1) == 1


def test_one_size_a_batch_and_all_sizes_in_time():
    source = stream(sizes=(32, 64, 96))
    sizes = [{s.size for s in source.plan(u)} for u in range(40)]
    assert all(len(s) == 1 for s in sizes)
    assert set.union(*sizes) == {32, 64, 96}


def test_starting_late_gives_the_same_batches():
    everything = list(stream(REGIONS).batches(0, 6))
    late = list(stream(REGIONS).batches(4, 6))
    assert all(same(a, b) for a, b in zip(everything[4:], late, strict=True))


def test_memory_that_is_used_again_changes_no_batch_that_was_handed_out():
    """More batches than there is room for, of several sizes, all of them held."""
    plain = list(stream(REGIONS, sizes=(16, SIDE)).batches(0, 12))
    parallel = list(stream(REGIONS, sizes=(16, SIDE), workers=2).batches(0, 12))
    assert len({batch.pixels.shape for batch in plain}) == 2
    assert all(same(a, b) for a, b in zip(plain, parallel, strict=True))


def test_loading_processes_change_nothing():
    """Neither the batches nor torch's generator, which dropout will use."""
    state = torch.get_rng_state()
    plain = list(stream(REGIONS).batches(1, 4))
    parallel = list(stream(REGIONS, workers=2).batches(1, 4))
    assert all(same(a, b) for a, b in zip(plain, parallel, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("crop", [0.0, 0.3])
def test_pixels_lie_channels_last_in_memory(workers, crop):
    source = BatchStream(dataset(), 4, seed=3, sizes=(SIDE,), crop=crop, workers=workers)
    for batch in source.batches(0, 2):
        assert batch.pixels.is_contiguous(memory_format=torch.channels_last)


def test_batch_by_hand():
    (batch,) = whole_batches(dataset(REGIONS), size=SIDE, batch_size=8, rows=[3, 0, 5])
    assert batch.pixels.shape == (3, 3, SIDE, SIDE)
    assert batch.pixels.dtype == torch.uint8
    assert batch.index.tolist() == [3, 0, 5]
    assert not batch.mirrored.any()
    assert batch.labels.tolist() == [list(records()[i].labels) for i in (3, 0, 5)]
    counts = [min(REGIONS, len(propose(str(i)))) for i in (3, 0, 5)]
    assert batch.mask.sum(1).tolist() == counts
    assert batch.mask.shape[1] == max(counts)
    for row, (image, count) in enumerate(zip((3, 0, 5), counts, strict=True)):
        found = propose(str(image))
        unit = found.boxes[:count] / np.array([found.width, found.height] * 2, np.float32)
        np.testing.assert_allclose(batch.boxes[row, :count], unit, atol=1e-6)
        np.testing.assert_allclose(batch.scores[row, :count], found.scores[:count])
        assert (batch.boxes[row, count:] == 0).all()
        assert not batch.mask[row, count:].any()


def test_whole_boxes_are_those_of_the_uncropped_view():
    source = stream(REGIONS)
    (batch,) = source.batches(1, 2)
    for row, sample in enumerate(source.plan(1)):
        unit, _ = source.dataset.unit_boxes(source.dataset.records[sample.index])
        whole = torch.from_numpy(view_boxes(unit, View(mirrored=sample.view.mirrored)))
        count = int(batch.mask[row].sum())
        assert bool(batch.mirrored[row]) == sample.view.mirrored
        assert torch.equal(batch.whole_boxes[row, :count], whole)
        assert not torch.equal(batch.boxes[row, :count], whole)
    assert len(set(batch.mirrored.tolist())) == 2


def test_whole_image_is_the_last_region():
    source = ViewDataset(records(), picture, proposals=propose, regions=REGIONS, whole_image=True)
    (batch,) = whole_batches(source, size=SIDE, batch_size=IMAGES)
    for row in range(IMAGES):
        count = int(batch.mask[row].sum())
        assert count == min(REGIONS - 1, len(propose(str(row)))) + 1
        assert batch.boxes[row, count - 1].tolist() == [0, 0, 1, 1]
        assert batch.scores[row, count - 1] == 0


def broken(path):
    if path == records()[5].path:
        raise DataError("the sixth is damaged")
    return picture(path)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_made_ahead_is_the_same_and_so_is_its_error(threads):
    before = torch.get_num_threads()
    expected = [b.pixels for b in whole_batches(dataset(), size=SIDE, batch_size=2)]
    try:
        torch.set_num_threads(threads)
        ahead = [b.pixels for b in whole_batches(dataset(), size=SIDE, batch_size=2)]
        faulty = whole_batches(ViewDataset(records(), broken), size=SIDE, batch_size=2)
        found = [next(faulty).index.tolist() for _ in range(2)]
        with pytest.raises(DataError, match="sixth"):
            next(faulty)
        abandoned = whole_batches(dataset(), size=SIDE, batch_size=2)
        next(abandoned)
        abandoned.close()
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, ahead, expected))
    assert len(ahead) == len(expected)
    assert found == [[0, 1], [2, 3]]


def test_whole_batches_cover_every_image_in_order():
    found = [b.index.tolist() for b in whole_batches(dataset(), size=SIDE, batch_size=4)]
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    (batch,) = whole_batches(dataset(), size=SIDE, batch_size=16)
    assert batch.boxes.shape == (IMAGES, 0, 4)


def kept(mode="auto", limit=10**9, folder=None, loads=None):
    """The data set with images that are kept."""
    source = dataset(REGIONS)
    counts = Counter() if loads is None else loads

    def load(path):
        counts[path] += 1
        return picture(path)

    source.load = KeptImages(
        load,
        [r.path for r in source.records],
        mode=mode,
        limit_bytes=limit,
        folder=folder,
        size_of=lambda path: picture(path).shape[1::-1],
    )
    return source


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("limit", [0, 20_000, 10**9])
@pytest.mark.parametrize("crop", [0.0, 0.3])
def test_kept_images_change_no_pixel(tmp_path, workers, limit, crop):
    """In memory, in a file or not at all; two passes, so that all are looked at again."""
    plain = BatchStream(dataset(REGIONS), 4, seed=3, sizes=(SIDE,), crop=crop).batches(0, 5)
    source = kept(limit=limit, folder=tmp_path / "images")
    stream_of = BatchStream(source, 4, seed=3, sizes=(SIDE,), crop=crop, workers=workers)
    assert all(same(a, b) for a, b in zip(plain, stream_of.batches(0, 5), strict=True))


@pytest.mark.parametrize("crop", [0.0, 0.3])
def test_an_image_is_decoded_once(tmp_path, crop):
    for limit, mode in ((10**9, "auto"), (0, "sized")):
        loads = Counter()
        source = kept(mode, limit, tmp_path / f"{crop}-{mode}", loads)
        stream_of = BatchStream(source, 5, seed=3, sizes=(SIDE,), crop=crop)
        list(stream_of.batches(0, 6))
        assert set(loads.values()) == {1}
        assert len(loads) == IMAGES


def test_sized_crops_are_close_and_their_boxes_the_same(tmp_path):
    source = kept("sized", 0, tmp_path)
    arguments = {"seed": 3, "sizes": (16,), "crop": 0.3}
    exact = BatchStream(dataset(REGIONS), IMAGES, **arguments).batches(0, 2)
    for a, b in zip(exact, BatchStream(source, IMAGES, **arguments).batches(0, 2), strict=True):
        assert all(torch.equal(getattr(a, n), getattr(b, n)) for n in Batch.__slots__[1:])
        # Noise is the hardest case: the mean difference stays far below its spread.
        difference = (a.pixels.float() - b.pixels.float()).abs().mean()
        assert 0 < difference < 0.25 * a.pixels.float().std()


def test_loading_processes_fill_one_memory(tmp_path):
    """What a forked process has decoded, this one need not decode again."""
    loads = Counter()
    source = kept("auto", 10**9, tmp_path, loads)
    list(BatchStream(source, 5, seed=3, sizes=(SIDE,), crop=0.3, workers=2).batches(0, 2))
    list(BatchStream(source, 5, seed=3, sizes=(SIDE,), crop=0.3).batches(0, 2))
    assert not loads
