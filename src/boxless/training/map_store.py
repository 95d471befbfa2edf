"""Feature maps of a frozen backbone, computed once for the training images (float16).

Only the plain view is kept: a mirrored view uses the flipped map (`MapStore.maps` does that).
Killed and started again, finished shards are kept.
"""

import math
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from boxless.errors import NumericsError, StoreError
from boxless.files.seals import damage, repair_hint, require_whole
from boxless.models.backbone import Backbone
from boxless.models.quick_maps import QuickMaps
from boxless.training.batches import Batch, brought
from boxless.training.sharded import SHARD, RuntimeOf, Shard

FEW = 2
"""Images that a CPU computes at a time: what they take stays in its caches. Measured at 320 px with
EfficientNet-Lite0, ms per image: 55 at 32, 39 at 8, 38 at 4, 30 at 2."""

LOOKED_AT = 16
"""Shards whose cells show which directions of the channels are the widest: a quarter of the cells
of every second image, some 6,000 at 320 px."""

SPREAD_FLOOR = 0.25
"""Part of the mean spread added to every channel's own, so that dead channels do not explode."""


def shard_path(folder: Path, number: int) -> Path:
    """File of a shard."""
    return folder / f"maps-{number:05d}.safetensors"


@dataclass(frozen=True, slots=True)
class MapShards:
    """Computes the content of one shard.

    Attributes:
        backbone: In evaluation mode.
        view_size: Input side in pixels.
        levels: Levels to keep.
        runtime: Device and precision of the process that computes.
        quick: The backbone as ONNX Runtime computes it, which is then asked instead.
    """

    backbone: Backbone
    view_size: int
    levels: tuple[str, ...]
    runtime: RuntimeOf
    quick: QuickMaps | None = None

    def __call__(self, shard: Shard) -> bytes:
        """Maps of its images, as a safetensors file."""
        content: bytes = save(self.maps(shard))
        return content

    @torch.no_grad()
    def maps(self, shard: Shard) -> dict[str, Tensor]:
        """Maps (N, C, H, W) float16 of its images by level."""
        runtime = self.runtime()
        backbone = cast("Backbone", runtime.place(self.backbone))
        pixels = shard.batch(self.view_size).pixels
        if self.quick is not None:
            return self._kept(self.quick(pixels))
        placed = pixels.to(runtime.device).float()
        step = len(pixels) if runtime.device.type != "cpu" else FEW
        parts = []
        for few in torch.split(placed, step):
            with runtime.autocast():
                parts.append(backbone(backbone.normalize(few), self.levels))
        return self._kept({k: torch.cat([part[k] for part in parts]) for k in self.levels})

    def _kept(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Maps as they are kept."""
        kept = {k: v.half().cpu().contiguous() for k, v in maps.items()}
        require_finite(kept, "the teacher's feature map (float16)")
        return kept


class MapStore:
    """Finished maps.

    Args:
        folder: Where the shards lie.
        images: Number of images.
        places: Where the maps of each row lie, if not in the order of the rows.

    Raises:
        StoreError: A shard is missing.
    """

    def __init__(self, folder: Path, images: int, places: Sequence[int] | None = None) -> None:
        self._places = range(images) if places is None else places
        self._files = [shard_path(folder, n) for n in range(-(-images // SHARD))]
        self._whole: set[Path] = set()
        self._near: dict[tuple[int, str], Tensor] = {}
        for path in self._files:
            if not path.exists():
                raise StoreError(
                    f"teacher maps {path} are missing",
                    hint="run the same command with --force maps",
                )

    def maps(self, index: Tensor, mirrored: Tensor, level: str) -> Tensor:
        """Maps (N, C, H, W) float32 of some images, flipped where the view is mirrored.

        Args:
            index: (N,) rows.
            mirrored: (N,) bool.
            level: A level the store was built with.

        Raises:
            StoreError: A shard is damaged.
        """
        return self._levels(index, mirrored, (level,))[level]

    def batch(self, batch: Batch, levels: Sequence[str]) -> dict[str, Tensor]:
        """Maps of a batch by level, float32 on its device; a GPU gets them as they are kept."""
        device = batch.pixels.device
        if device.type == "cpu":
            return self._levels(batch.index, batch.mirrored, levels)
        mirrored = brought(batch.mirrored, device)[:, None, None, None]
        found = {}
        for level in levels:
            kept = self._halves(batch.index.tolist(), level, device).float()
            found[level] = torch.where(mirrored, kept.flip(-1), kept)
        return found

    def _halves(self, rows: Sequence[int], level: str, device: torch.device) -> Tensor:
        """Maps of some images, float16 on a GPU, which keeps them while half its memory is free."""
        new = [row for row in rows if (row, level) not in self._near]
        fresh: dict[tuple[int, str], Tensor] = {}
        if new:
            parts = [self._kept(row, level) for row in new]
            shape, dtype = (len(parts), *parts[0].shape), parts[0].dtype
            locked = torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")
            there = brought(torch.stack(parts, out=locked), device)
            fresh = {(row, level): part for row, part in zip(new, there, strict=True)}
            if half_free(device):
                self._near |= fresh
        at_hand = ChainMap(fresh, self._near)
        return torch.stack([at_hand[row, level] for row in rows])

    def _levels(self, index: Tensor, mirrored: Tensor, levels: Sequence[str]) -> dict[str, Tensor]:
        rows, flips = index.tolist(), mirrored.tolist()
        found = {}
        for level in levels:
            parts = [self._kept(row, level) for row in rows]
            maps = found[level] = torch.empty(len(parts), *parts[0].shape)
            for place, (part, flip) in enumerate(zip(parts, flips, strict=True)):
                maps[place] = part.flip(-1) if flip else part
        return found

    def _kept(self, row: int, level: str) -> Tensor:
        shard, place = divmod(self._places[row], SHARD)
        return self._read(self._files[shard], level, place)

    def spread(self, level: str) -> Tensor:
        """Scale (C,) of a level's channels: standard deviation plus a quarter of their mean."""
        total = squares = torch.zeros(())
        count = 0
        for path in self._files:
            values = self._read(path, level, slice(None)).double()
            total = total + values.sum((0, 2, 3))
            squares = squares + values.square().sum((0, 2, 3))
            count += values[:, 0].numel()
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return (deviation + SPREAD_FLOOR * deviation.mean()).float()

    def directions(self, level: str, count: int, spread: Tensor | None) -> Tensor:
        """Principal directions (C, count) of a level's channels, the first the widest.

        Args:
            level: A level the store was built with.
            count: How many, at most C.
            spread: (C,) scale that channels are divided by first; a direction takes unscaled ones.
        """
        files = self._files[:: math.ceil(len(self._files) / LOOKED_AT)]
        parts = [self._read(path, level, slice(None, None, 2)).flatten(2) for path in files]
        cells = torch.cat([part[..., ::4].transpose(1, 2).flatten(0, 1) for part in parts]).float()
        scaled = cells if spread is None else cells / spread
        scaled = scaled - scaled.mean(0)
        _, vectors = torch.linalg.eigh((scaled.T @ scaled).double())
        widest: Tensor = vectors[:, -count:].flip(1).float()
        return widest if spread is None else widest / spread[:, None]

    def _read(self, path: Path, level: str, place: int | slice) -> Tensor:
        try:
            if path not in self._whole:  # all of a shard is looked over once, at its first use
                require_whole(path)
                self._whole.add(path)
            with safe_open(path, "pt") as file:
                values: Tensor = file.get_slice(level)[place]
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"teacher maps {path} are damaged: {str(error)[:200]}",
                hint=repair_hint(path),
            ) from error
        return values


def half_free(device: torch.device) -> bool:
    """Whether half of a GPU's memory is free; of others it is not known, so it is not."""
    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    return free > total / 2


class LevelMaps:
    """Maps whose levels lie in several stores.

    Args:
        stores: The store of each level.
    """

    def __init__(self, stores: dict[str, MapStore]) -> None:
        self._stores = stores

    def batch(self, batch: Batch, levels: Sequence[str]) -> dict[str, Tensor]:
        """Maps of a batch by level, on its device; see `MapStore.batch`."""
        return {lv: self._stores[lv].batch(batch, (lv,))[lv] for lv in levels}

    def spread(self, level: str) -> Tensor:
        """Scale (C,) of a level's channels; see `MapStore.spread`."""
        return self._stores[level].spread(level)

    def directions(self, level: str, count: int, spread: Tensor | None) -> Tensor:
        """Principal directions (C, count) of a level's channels; see `MapStore.directions`."""
        return self._stores[level].directions(level, count, spread)


def require_finite(tensors: dict[str, Tensor], what: str) -> None:
    """Refuse values that would spoil everything computed from them.

    Raises:
        NumericsError: One of them holds NaN or infinity.
    """
    for name, values in tensors.items():
        if not bool(torch.isfinite(values).all()):
            raise NumericsError(
                f"{what} {name!r} is not finite",
                hint="the teacher was trained badly: lower teacher.optim.lr or set"
                " teacher.optim.clip_norm to 1",
            )


def remove_damaged(folder: Path, pattern: str) -> list[Path]:
    """Delete shards that cannot be read, so that they are built again.

    All of each shard is read, as its checksum asks; memory does not grow with it.

    Returns:
        The files deleted.
    """
    bad = []
    for path in sorted(folder.glob(pattern)):
        if _is_damaged(path):
            path.unlink()
            bad.append(path)
    return bad


def _is_damaged(path: Path) -> bool:
    try:
        with safe_open(path, "pt"):
            return bool(damage(path))
    except (OSError, SafetensorError):
        return True
