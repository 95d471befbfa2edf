"""Shards of what a network says about all images: computed on an engine, written here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

import torch

from boxless.files.engine import Engine, LocalEngine
from boxless.files.seals import write_sealed
from boxless.training.batches import Batch, ViewDataset, whole_batches
from boxless.training.runtime import Runtime

RuntimeOf = Callable[[], Runtime]

SHARD = 32
"""Images per shard."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The images of one shard: a unit of work.

    Attributes:
        rows: Their rows among all images.
        images: These images alone.
        loaded: All of them as one batch, where a loading process has made it.
    """

    rows: tuple[int, ...]
    images: ViewDataset
    loaded: Batch | None = None

    def batch(self, size: int) -> Batch:
        """All of them as one batch, whole, numbered by their rows."""
        if self.loaded is not None:
            return self.loaded
        (batch,) = whole_batches(self.images, size=size, batch_size=len(self.rows))
        return replace(batch, index=torch.tensor(self.rows, dtype=torch.int64))


class ShardWork(Protocol):
    """What a worker does."""

    @property
    def view_size(self) -> int:
        """Side that images are looked at, in pixels."""

    def __call__(self, shard: Shard) -> bytes:
        """Content of a shard's file, without a seal."""


def write_shards(
    dataset: ViewDataset,
    path_of: Callable[[int], Path],
    content_of: ShardWork,
    *,
    engine: Engine | None = None,
    advance: Callable[[int], None] = lambda _: None,
    workers: int = 0,
) -> None:
    """Write all missing shards, in order.

    Args:
        dataset: All images.
        path_of: Number of a shard -> its file.
        content_of: Images -> content of the file.
        engine: Where; None for this process.
        advance: Told how many images are done.
        workers: Processes that load images, where the engine computes in this one; 0 = it loads
            them itself.
    """
    engine = engine or LocalEngine()
    wanted = range(len(dataset))
    parts = [
        (path_of(number), tuple(wanted[first : first + SHARD]))
        for number, first in enumerate(range(0, len(wanted), SHARD))
    ]
    path_of(0).parent.mkdir(parents=True, exist_ok=True)
    missing = [(path, part) for path, part in parts if not path.exists()]
    done = len(wanted) - sum(len(part) for _, part in missing)
    if done:
        advance(done)

    def shards() -> Iterator[Shard]:
        if not engine.elsewhere:
            rows = [row for _, part in missing for row in part]
            size = content_of.view_size
            batches = whole_batches(
                dataset, size=size, batch_size=SHARD, rows=rows, workers=workers
            )
            for (_, part), batch in zip(missing, batches, strict=True):
                yield Shard(part, dataset, batch)
            return
        for _, part in missing:
            yield Shard(part, dataset.part(part, travels=engine.elsewhere))

    for (path, part), content in zip(missing, engine.map(content_of, shards()), strict=True):
        write_sealed(path, content)
        advance(len(part))


def runtime_for(engine: Engine | None, here: Runtime, *, precision: str, threads: int) -> RuntimeOf:
    """Where an engine's workers compute: as this process does, or on a CPU of their own.

    Args:
        engine: The engine; None for this process.
        here: The runtime of this process.
        precision: Mixed precision.
        threads: CPU threads of torch; 0 = one per worker.
    """
    if engine is None or not engine.elsewhere:
        return lambda: here
    return partial(_worker_runtime, precision, threads or 1)


@lru_cache(maxsize=1)
def _worker_runtime(precision: str, threads: int) -> Runtime:
    return Runtime(precision=precision, threads=threads, cpu=True)
