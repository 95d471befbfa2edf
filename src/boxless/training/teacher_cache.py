"""Run the teacher once over the training images and keep what it knows.

Kept for every image, plain and mirrored: p'^T (the soft targets), p^T, s' of its regions, and on
request the backbone's maps (float16). Distillation then never runs the teacher again. With
cross-fitting each image is described by the head that was trained without it.

A cache is a folder of shards of `SHARD` images, each written atomically: killed and started again,
finished shards are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from boxless.distill.region_transfer import channel_spread
from boxless.errors import StoreError
from boxless.models.detector import Detector, DetectorOutput
from boxless.training.batches import Batch, ViewDataset, whole_batches
from boxless.atomic import write_atomically
from boxless.training.runtime import Runtime

SHARD = 32
"""Images per shard; also the batch size the teacher runs at, so that shards never depend on it."""

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


@torch.no_grad()
def build_teacher_cache(
    detector: Detector,
    dataset: ViewDataset,
    folder: Path,
    *,
    size: int,
    levels: Sequence[str],
    folds: Tensor | None,
    knowledge: Knowledge,
    runtime: Runtime,
    advance: Callable[[int], None] = lambda _: None,
    workers: int = 0,
) -> None:
    """Write all missing shards of a cache.

    Args:
        detector: The trained teacher, in evaluation mode.
        dataset: Training images with proposals.
        folder: Where the shards go.
        size: Input side of the teacher.
        levels: Levels whose maps are kept; empty = none.
        folds: (M,) fold of each image, or None without cross-fitting.
        knowledge: Temperatures and objectness.
        runtime: Device and precision.
        advance: Told how many images are done.
        workers: Loading processes.
    """
    for number, first in enumerate(range(0, len(dataset), SHARD)):
        rows = list(range(first, min(first + SHARD, len(dataset))))
        path = shard_path(folder, number)
        if not path.exists():
            halves = []
            for mirrored in (False, True):
                (batch,) = whole_batches(
                    dataset,
                    size=size,
                    batch_size=SHARD,
                    mirrored=mirrored,
                    rows=rows,
                    workers=workers,
                )
                halves.append(
                    _describe(detector, batch.to(runtime.device), levels, folds, knowledge, runtime)
                )
            tensors = {k: torch.stack([h[k] for h in halves], 1).contiguous() for k in halves[0]}
            write_atomically(path, save(tensors))
        advance(len(rows))


def shard_path(folder: Path, number: int) -> Path:
    """File of a shard."""
    return folder / f"teacher-{number:05d}.safetensors"


def _describe(
    detector: Detector,
    batch: Batch,
    levels: Sequence[str],
    folds: Tensor | None,
    knowledge: Knowledge,
    runtime: Runtime,
) -> dict[str, Tensor]:
    """Everything that is kept of one batch, tensors with N rows."""
    wanted = tuple(dict.fromkeys([detector.level, *levels]))
    with runtime.autocast():
        maps = detector.backbone(detector.backbone.normalize(batch.pixels.float()), wanted)
        pooled = detector.pooled(
            maps[detector.level], batch.boxes, batch.scores, view_size=batch.pixels.shape[-1]
        )
        outputs = detector.describe(pooled, batch.mask, tuple(range(len(detector.heads))))
    chosen = outputs[0] if folds is None else _unseen(outputs, folds[batch.index.cpu()])
    region_scores = chosen.region_scores()
    found = {
        "targets": chosen.image_probabilities(
            class_temperature=knowledge.class_temperature,
            region_temperature=knowledge.region_temperature,
        ),
        "probabilities": region_scores.sum(1).clamp(max=1),
        "seen": outputs[0].image_probabilities(),
        "objectness": _pad_regions(
            knowledge.objectness(region_scores, batch), dataset_regions(batch)
        ),
    }
    found |= {f"map.{level}": maps[level].half() for level in levels}
    return {k: v.cpu() if k.startswith("map.") else v.float().cpu() for k, v in found.items()}


def dataset_regions(batch: Batch) -> int:
    """Regions of a batch; shards of one cache may differ in it."""
    return int(batch.mask.shape[1])


def _pad_regions(values: Tensor, count: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, count - values.shape[1]))


def _unseen(outputs: list[DetectorOutput], folds: Tensor) -> DetectorOutput:
    """Per image the output of the head that was trained without its fold."""
    rows = torch.arange(len(folds))

    def pick(name: str) -> Tensor:
        return torch.stack([getattr(o, name) for o in outputs[1:]])[folds, rows]

    return DetectorOutput(pick("class_logits"), pick("region_logits"), outputs[0].mask)


class TeacherCache:
    """A finished cache.

    Args:
        folder: Where its shards lie.
        images: Number of images it must describe.

    Attributes:
        targets: (M, 2, K), p'^T; the second axis is plain, mirrored.
        probabilities: (M, 2, K), p^T of the head that describes the image.
        seen: (M, 2, K), p^T of head 0, which was trained on the image.
        objectness: (M, 2, R), s'.

    Raises:
        StoreError: A shard is missing or damaged; the file is named.
    """

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, self.images = folder, images
        self._files = [shard_path(folder, n) for n in range(-(-images // SHARD))]
        parts = [self._small(path) for path in self._files]
        most = max(p["objectness"].shape[-1] for p in parts)
        for part in parts:
            part["objectness"] = _pad_regions(part["objectness"].flatten(0, 1), most).unflatten(
                0, (-1, 2)
            )
        joined = {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
        self.targets, self.probabilities = joined["targets"], joined["probabilities"]
        self.seen, self.objectness = joined["seen"], joined["objectness"]

    def maps(self, index: Tensor, mirrored: Tensor, level: str) -> Tensor:
        """Maps (N, C, H, W) float32 of some images.

        Args:
            index: (N,) rows.
            mirrored: (N,) bool.
            level: A level the cache was built with.
        """
        found = []
        for row, flip in zip(index.tolist(), mirrored.tolist(), strict=True):
            shard, place = divmod(row, SHARD)
            with safe_open(self._files[shard], "pt") as file:
                found.append(file.get_slice(f"map.{level}")[place : place + 1, int(flip)])
        return torch.cat(found).float()

    def spread(self, level: str) -> Tensor:
        """Standard deviation (C,) of a level's channels over all plain maps."""
        total = squares = torch.zeros(())
        count = 0
        for path in self._files:
            with safe_open(path, "pt") as file:
                values = file.get_slice(f"map.{level}")[:, 0].double()
            total = total + values.sum((0, 2, 3))
            squares = squares + values.square().sum((0, 2, 3))
            count += values[:, 0].numel()
        return channel_spread(total, squares, count).float()

    def _small(self, path: Path) -> dict[str, Tensor]:
        """The shard's tensors other than maps."""
        try:
            with safe_open(path, "pt") as file:
                keys = [k for k in file.keys() if not k.startswith("map.")]  # noqa: SIM118
                return {k: file.get_tensor(k) for k in keys}
        except (OSError, SafetensorError, FileNotFoundError) as error:
            raise StoreError(
                f"teacher cache {path} is missing or damaged: {str(error)[:200]}",
                hint=f"delete {path} and run the same command with --force cache; good shards stay",
            ) from error


def remove_damaged(folder: Path) -> list[Path]:
    """Delete shards that cannot be read, so that they are built again.

    Returns:
        The files deleted.
    """
    bad = []
    for path in sorted(folder.glob("teacher-*.safetensors")):
        try:
            load_file(path)
        except (OSError, SafetensorError):
            path.unlink()
            bad.append(path)
    return bad
