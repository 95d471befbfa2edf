"""A loss on the held-out part of train, for schedules that watch it."""

from collections.abc import Callable

import torch

from boxless.data.manifest import Manifest
from boxless.errors import ConfigError
from boxless.runs.context import Run
from boxless.training.batches import PREDICT_BATCH, Batch, whole_batches


def held_out_loss(
    run: Run,
    model: torch.nn.Module,
    part: Manifest | None,
    size: int,
    regions: int,
    loss_of: Callable[[Batch], torch.Tensor],
) -> Callable[[], float]:
    """A function that measures a loss on the held-out part of train.

    Raises:
        ConfigError: Nothing is held out.
    """
    if part is None:
        raise ConfigError(
            "schedule = 'plateau' watches held-out images, but data.held_out is 0",
            hint="set data.held_out to 0.1, or schedule to 'cosine'",
        )
    dataset, images = run.dataset(part, regions=regions), len(part)
    rows = run.runtime.processes.part(range(images))

    @torch.no_grad()
    def measure() -> float:
        model.eval()
        total = 0.0
        workers = run.recipe.run.workers
        for batch in whole_batches(
            dataset, size=size, batch_size=PREDICT_BATCH, rows=rows, workers=workers
        ):
            total += float(loss_of(batch.to(run.runtime.device))) * len(batch.index)
        return run.runtime.total(total) / images

    return measure
