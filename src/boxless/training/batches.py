"""Batches of views, reproducible from the update's number alone.

The images form one endless stream, shuffled anew for every pass; update u takes the positions
``[u * batch_size, (u + 1) * batch_size)``, so a batch may straddle two passes (as in the original).
Where some images are untagged there may be two such streams, and every batch takes the same number
from each.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from boxless.data.kept_images import KeptImages
from boxless.errors import ConfigError, DataError
from boxless.training.loading import Arrays, Plan, load_ahead, load_elsewhere
from boxless.training.views import (
    WHOLE,
    View,
    crop_side,
    draw_view,
    view_boxes,
    view_pixels,
    view_window,
)
from boxless.types import Float32Array, ImageRecord, Proposals, UInt8Array

PREDICT_BATCH = 16
"""Images at a time where nothing is trained: on a CPU a fifth faster than 32 at a time."""

ImageLoader = Callable[[str], UInt8Array]
ProposalLookup = Callable[[str], Proposals]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of views.

    Attributes:
        pixels: (N, 3, S, S) uint8 RGB, channels last in memory.
        labels: (N, K) int8 of 1, 0, -1.
        index: (N,) int64 rows of the images in the training set.
        mirrored: (N,) bool.
        boxes: (N, R, 4) float32 unit boxes in the view (R may be 0).
        whole_boxes: (N, R, 4) float32 the same regions in the uncropped image, mirrored alike.
        scores: (N, R) float32 proposal scores.
        mask: (N, R) bool, False for padding.
        windows: (N, 4) float32 unit box of the view in the uncropped image, mirrored alike.
        everyone: (B,) int64, `index` of the whole batch where several processes have a part each.
    """

    pixels: Tensor
    labels: Tensor
    index: Tensor
    mirrored: Tensor
    boxes: Tensor
    whole_boxes: Tensor
    scores: Tensor
    mask: Tensor
    windows: Tensor
    everyone: Tensor

    @property
    def share(self) -> float:
        """Part of the whole batch that these images are, in (0, 1]."""
        return len(self.index) / len(self.everyone)

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; which images it has stays here: looked up without waiting."""
        here = ("index", "everyone")
        parts = {name: getattr(self, name) for name in self.__slots__}
        return Batch(**{k: v if k in here else brought(v, device) for k, v in parts.items()})


def brought(values: Tensor, device: torch.device) -> Tensor:
    """Values on a device; a GPU is not waited for, as it would be without locked memory."""
    if device.type != "cuda" or values.is_cuda:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class Sample:
    """What to fetch: an image, its view, the side in pixels, and the side crops are cut from.

    A `crop_side` of 0 says that the view is the whole image.
    """

    index: int
    view: View
    size: int
    crop_side: int = 0


class ViewDataset:
    """Turns each `Sample` of a batch into pixels and boxes.

    Args:
        records: Images, in the order of `Sample.index`.
        load: Image decoder, or `KeptImages`.
        proposals: Proposals by image id, or None where no regions are needed.
        regions: Regions per image: the best proposals, and the whole image if asked for.
        whole_image: Make the last region the whole image, with score 0.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        load: ImageLoader,
        *,
        proposals: ProposalLookup | None = None,
        regions: int = 0,
        whole_image: bool = False,
    ) -> None:
        self.records, self.load = records, load
        self.proposals, self.regions, self.whole_image = proposals, regions, whole_image

    def __len__(self) -> int:
        """Number of images, M."""
        return len(self.records)

    def part(self, rows: Sequence[int], *, travels: bool = False) -> "ViewDataset":
        """Some of the images, renumbered from 0.

        Args:
            rows: Which.
            travels: Leave kept images behind and take the proposals along: for another machine.
        """
        records, load, proposals = [self.records[row] for row in rows], self.load, self.proposals
        if travels and isinstance(load, KeptImages):
            load = load.loader
        if travels and proposals is not None:
            proposals = {r.image_id: proposals(r.image_id) for r in records}.__getitem__
        return ViewDataset(
            records, load, proposals=proposals, regions=self.regions, whole_image=self.whole_image
        )

    def reserve(self, size: int, side: int) -> None:
        """Make room for images that will be looked at again; see `KeptImages.reserve`."""
        if isinstance(self.load, KeptImages):
            self.load.reserve(size, side)

    def _image(self, record: ImageRecord, sample: Sample) -> UInt8Array:
        try:
            if isinstance(self.load, KeptImages):
                return self.load.source(record.path, sample.size, sample.crop_side)
            return self.load(record.path)
        except DataError as error:
            listed = f" (listed in {record.source})" if record.source else ""
            raise DataError(
                f"{error.message}{listed}",
                hint="repair or remove it, or leave such images out with --data.skip_bad true",
            ) from error

    def unit_boxes(self, record: ImageRecord) -> tuple[Float32Array, Float32Array]:
        """Regions (R, 4) of an image as unit boxes, and their scores (R,)."""
        if self.proposals is None:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        found = self.proposals(record.image_id)
        size = np.array([found.width, found.height] * 2, np.float32)
        count = self.regions - int(self.whole_image)
        boxes = (found.boxes[:count] / size).astype(np.float32)
        scores = found.scores[:count].astype(np.float32)
        if self.whole_image:
            boxes = np.concatenate([boxes, np.array([[0, 0, 1, 1]], np.float32)])
            scores = np.append(scores, np.float32(0))
        return boxes, scores

    def arrays(self, plan: Sequence[Sample], room: UInt8Array | None = None) -> Arrays:
        """What a batch is made of; regions are padded to the longest list.

        Args:
            plan: Its samples, all of one size.
            room: Flat memory for the pixels; by default new memory.

        Returns:
            Pixels (N, S, S, 3), and all else of a `Batch` by name.
        """
        pixels, boxes, whole, scores = zip(*map(self._view, plan), strict=True)
        count = max(len(b) for b in boxes)
        shape = (len(pixels), *pixels[0].shape)
        into = None if room is None else room[: math.prod(shape)].reshape(shape)
        return np.stack(pixels, out=into), {
            "labels": np.array([self.records[s.index].labels for s in plan], np.int8),
            "index": np.array([s.index for s in plan], np.int64),
            "mirrored": np.array([s.view.mirrored for s in plan], np.bool_),
            "boxes": _padded(boxes, count),
            "whole_boxes": _padded(whole, count),
            "scores": _padded(scores, count),
            "mask": _padded([np.ones(len(b), np.bool_) for b in boxes], count),
            "windows": np.stack([view_window(s.view) for s in plan]),
        }

    def _view(self, sample: Sample) -> tuple[UInt8Array, Float32Array, Float32Array, Float32Array]:
        """Pixels, boxes in the view, boxes in the image, and scores."""
        record = self.records[sample.index]
        pixels = view_pixels(self._image(record, sample), sample.view, sample.size)
        unit, scores = self.unit_boxes(record)
        whole = View(mirrored=sample.view.mirrored)
        return pixels, view_boxes(unit, sample.view), view_boxes(unit, whole), scores


@dataclass(frozen=True, slots=True)
class BatchStream:
    """The endless, reproducible stream of training batches.

    Attributes:
        dataset: Source of views.
        batch_size: Images per update.
        seed: Seed of order and views.
        sizes: Input sides; one is drawn per batch.
        mirror: Flip with probability 1/2.
        crop: Largest part of the area cut off.
        workers: Loading processes; 0 = this one.
        tagged: Images that have tags, the first rows; looked at where there is a `quota`.
        quota: Tagged images per batch, drawn from a stream of their own; 0 = all images form one.
        rank: Number of this process among those that train together.
        processes: How many there are; each gets every so many-th image of a batch.
    """

    dataset: ViewDataset
    batch_size: int
    seed: int
    sizes: tuple[int, ...]
    mirror: bool = True
    crop: float = 0.0
    workers: int = 0
    tagged: int = 0
    quota: int = 0
    rank: int = 0
    processes: int = 1

    def part(self, rank: int, processes: int) -> "BatchStream":
        """The part of one of several processes.

        Raises:
            ConfigError: There are more processes than images in a batch.
        """
        if processes > self.batch_size:
            raise ConfigError(
                f"batch_size = {self.batch_size} leaves some of {processes} processes without an"
                " image: it counts the images of all processes together",
                hint=f"set ….optim.batch_size to {processes} or more, or start fewer processes",
            )
        return replace(self, rank=rank, processes=processes)

    def updates(self, epochs: float) -> int:
        """Number of updates that make up `epochs` passes."""
        return max(1, round(epochs * len(self.dataset) / self.batch_size))

    def images(self, update: int) -> list[tuple[int, int]]:
        """Pass and row of every image of one update, of all processes; tagged ones first."""
        count = len(self.dataset)
        if self.quota == 0:
            return self._drawn(update, self.batch_size, range(count), stream=0)
        tagged = self._drawn(update, self.quota, range(self.tagged), stream=0)
        rest = range(self.tagged, count)
        return tagged + self._drawn(update, self.batch_size - self.quota, rest, stream=2)

    def _drawn(
        self, update: int, number: int, rows: range, *, stream: int
    ) -> list[tuple[int, int]]:
        """Pass and row of an update's part of the endless, shuffled stream of some rows."""
        places = range(update * number, (update + 1) * number)
        passes = (divmod(place, len(rows)) for place in places)
        return [
            (epoch, rows[int(_order(self.seed, stream, epoch, len(rows))[place])])
            for epoch, place in passes
        ]

    def plan(self, update: int) -> list[Sample]:
        """The samples of one update, of this process."""
        size = int(np.random.default_rng([self.seed, 1, update]).choice(self.sizes))
        samples = []
        for epoch, index in self.images(update)[self.rank :: self.processes]:
            view = draw_view(
                seed=self.seed, epoch=epoch, index=index, mirror=self.mirror, crop=self.crop
            )
            samples.append(Sample(index, view, size, crop_side(size, self.crop)))
        return samples

    def arrays(self, update: int, room: UInt8Array | None = None) -> Arrays:
        """What the batch of an update is made of; see `ViewDataset.arrays`."""
        return self.dataset.arrays(self.plan(update), room)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Batches of the updates in [start, stop)."""
        for size in self.sizes:
            self.dataset.reserve(size, crop_side(size, self.crop))
        room = self.batch_size * max(self.sizes) ** 2 * 3
        found = _loader(self.arrays, iter(range(start, stop)), self.workers, room)
        if self.processes == 1:
            yield from found
            return
        for update, batch in zip(range(start, stop), found, strict=True):
            everyone = torch.tensor([index for _, index in self.images(update)])
            yield replace(batch, everyone=everyone)


def whole_batches(
    dataset: ViewDataset,
    *,
    size: int,
    batch_size: int,
    rows: Sequence[int] | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """Every image once, in order, whole; for inference."""
    wanted = list(range(len(dataset)) if rows is None else rows)
    plans = (
        [Sample(row, WHOLE, size) for row in wanted[at : at + batch_size]]
        for at in range(0, len(wanted), batch_size)
    )
    yield from _loader(dataset.arrays, plans, workers, batch_size * size * size * 3, ahead=True)


def _loader(
    make: Callable[[Plan, UInt8Array | None], Arrays],
    plans: Iterator[Plan],
    workers: int,
    room: int,
    *,
    ahead: bool = False,
) -> Iterator[Batch]:
    """Batches of plans; `room` is the bytes of the largest one's pixels.

    Without loading processes the next batch is made `ahead` by a thread, where there may be two.
    """
    made: Iterator[Arrays] = (make(plan, None) for plan in plans)
    if workers:
        made = load_elsewhere(make, plans, workers=workers, room=room)
    elif ahead and torch.get_num_threads() > 1:
        made = load_ahead(made)
    for pixels, rest in made:
        tensors = {name: torch.from_numpy(values) for name, values in rest.items()}
        channels_last = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        yield Batch(pixels=channels_last, everyone=tensors["index"], **tensors)


def _order(seed: int, stream: int, epoch: int, count: int) -> np.ndarray:
    """The shuffled rows of one pass of a stream (kept for the passes that are under way)."""
    key = (seed, stream, epoch, count)
    if key not in _ORDERS:
        if len(_ORDERS) > 4:
            _ORDERS.clear()
        _ORDERS[key] = np.random.default_rng([seed, stream, epoch]).permutation(count)
    return _ORDERS[key]


_ORDERS: dict[tuple[int, int, int, int], np.ndarray] = {}


def _padded(arrays: Sequence[NDArray[Any]], count: int) -> NDArray[Any]:
    padded = np.zeros((len(arrays), count, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = array
    return padded
