"""Run the teacher once over the training images and keep what it knows of them.

Kept for every image: p'^T (the soft targets), p^T, and s' of its regions. Distillation then never
runs the teacher again. With cross-fitting each image is described by the head that was trained
without it, an untagged one by the mean of all such heads. Killed and started again, finished shards
are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from boxless.errors import StoreError
from boxless.files.seals import repair_hint, require_whole
from boxless.models.network import RegionTeacher
from boxless.models.protocols import Answer
from boxless.training.batches import Batch
from boxless.training.map_store import MapStore, require_finite
from boxless.training.sharded import SHARD, RuntimeOf, Shard

UNSEEN = -1
"""Fold of an image that no head was trained on."""

ObjectnessOf = Callable[[Tensor, Batch], Tensor]
"""Region scores (N, R, K) and their batch -> s' (N, R)."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How predictions are softened and regions weighted.

    Attributes:
        class_temperature: t^c of p'^T.
        region_temperature: t^d of p'^T.
        objectness: Computes s'.
    """

    class_temperature: float
    region_temperature: float
    objectness: ObjectnessOf


def shard_path(folder: Path, number: int) -> Path:
    """File of a shard."""
    return folder / f"teacher-{number:05d}.safetensors"


@dataclass(frozen=True, slots=True)
class KnowledgeShards:
    """Computes the content of one shard.

    Attributes:
        teacher: The trained teacher, in evaluation mode.
        size: Input side of the teacher in pixels.
        maps: Maps of the teacher's backbone, or None to compute them from the pixels.
        folds: (M,) fold of each image or `UNSEEN`, or None without cross-fitting.
        knowledge: Temperatures and objectness.
        runtime: Device and precision of the process that computes.
    """

    teacher: RegionTeacher[Any]
    size: int
    maps: MapStore | None
    folds: Tensor | None
    knowledge: Knowledge
    runtime: RuntimeOf

    @property
    def view_size(self) -> int:
        """Side at which images are loaded: with kept maps nobody looks at their pixels."""
        return self.size if self.maps is None else 1

    @torch.no_grad()
    def __call__(self, shard: Shard) -> bytes:
        """What the teacher knows of its images, as a safetensors file."""
        runtime = self.runtime()
        teacher = cast("RegionTeacher[Any]", runtime.place(self.teacher))
        batch = shard.batch(self.view_size)
        placed = batch.to(runtime.device)
        with runtime.autocast():
            outputs = _score(teacher, placed, self.maps, self.size)
        found = self._describe(outputs, placed)
        kept = {k: v.float().cpu() for k, v in found.items()}
        require_finite(kept, "the teacher's output")
        content: bytes = save(kept)
        return content

    def _describe(self, outputs: Sequence[Answer], batch: Batch) -> dict[str, Tensor]:
        """What is kept of one batch, tensors with N rows; by head 0 without cross-fitting."""
        knowledge = self.knowledge
        heads = outputs[:1] if self.folds is None else outputs[1:]
        folds = torch.zeros_like(batch.index) if self.folds is None else self.folds[batch.index]
        scores = _unseen([head.region_scores() for head in heads], folds)
        targets = [
            head.image_probabilities(
                class_temperature=knowledge.class_temperature,
                region_temperature=knowledge.region_temperature,
            )
            for head in heads
        ]
        return {
            "targets": _unseen(targets, folds),
            "probabilities": _unseen([head.image_probabilities() for head in heads], folds),
            "seen": outputs[0].image_probabilities(),
            "objectness": knowledge.objectness(scores, batch),
        }


def _score(
    teacher: RegionTeacher[Any], batch: Batch, maps: MapStore | None, size: int
) -> Sequence[Answer]:
    """What every head says."""
    heads = tuple(range(len(teacher.heads)))
    if maps is None:
        pixels = batch.pixels.float()
        outputs: list[Answer] = teacher(pixels, batch.boxes, batch.scores, batch.mask, heads)
        return outputs
    level = maps.batch(batch, (teacher.level,))[teacher.level]
    return teacher.read(level, batch.boxes, batch.scores, batch.mask, view_size=size, heads=heads)


def _unseen(values: list[Tensor], folds: Tensor) -> Tensor:
    """Per image the value (N, ...) of the head trained without its fold; `UNSEEN`: their mean."""
    stacked, folds = torch.stack(values), folds.to(values[0].device)
    own = stacked[folds.clamp(min=0), torch.arange(len(folds), device=folds.device)]
    seen = (folds != UNSEEN).view(-1, *[1] * (own.ndim - 1))
    return torch.where(seen, own, stacked.mean(0))


class TeacherCache:
    """A finished cache; each of its tables is read when it is first asked for, and no other.

    Args:
        folder: Where its shards lie.
        images: Number of images it must describe.

    Raises:
        StoreError: A shard is missing or damaged; the file is named.
    """

    def __init__(self, folder: Path, images: int) -> None:
        self._files = [shard_path(folder, n) for n in range(-(-images // SHARD))]
        for path in self._files:
            with _opened(path, whole=True):
                pass

    @cached_property
    def targets(self) -> Tensor:
        """(M, K), p'^T."""
        return self._joined("targets")

    @cached_property
    def probabilities(self) -> Tensor:
        """(M, K), p^T of the head that describes the image."""
        return self._joined("probabilities")

    @cached_property
    def seen(self) -> Tensor:
        """(M, K), p^T of head 0, which was trained on the image."""
        return self._joined("seen")

    @cached_property
    def objectness(self) -> Tensor:
        """(M, R), s'; 0 where an image has fewer regions."""
        return self._joined("objectness")

    def _joined(self, name: str) -> Tensor:
        """One table of all shards, without a second copy of it in memory."""
        shapes = []
        for path in self._files:
            with _opened(path) as file:
                shapes.append(file.get_slice(name).get_shape())
        whole = torch.zeros(sum(rows for rows, _ in shapes), max(width for _, width in shapes))
        first = 0
        for path, (rows, width) in zip(self._files, shapes, strict=True):
            with _opened(path) as file:
                whole[first : first + rows, :width] = file.get_tensor(name)
            first += rows
        return whole


@contextmanager
def _opened(path: Path, *, whole: bool = False) -> Iterator[Any]:
    """A shard; `whole` looks at its checksum first."""
    try:
        if whole:
            require_whole(path)
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"teacher cache {path} is missing or damaged: {str(error)[:200]}",
            hint=repair_hint(path),
        ) from error
