"""A network of the user's as teacher: asked once about every image, then it is a file."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from boxless.data.manifest import Manifest
from boxless.data.teacher_table import write_teacher_table
from boxless.errors import ConfigError, ShapeError
from boxless.files.progress import ProgressBar
from boxless.runs.context import Run
from boxless.training.batches import PREDICT_BATCH, whole_batches
from boxless.types import Float32Array


def module_file(module: object, folder: Path) -> Path:
    """Where the table of a network is kept: another network, another file.

    Raises:
        ConfigError: It is no network.
    """
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"teacher must be an nn.Module, found {type(module).__name__}",
            hint="a table in a file is given as teacher={'kind': 'file', 'file': PATH}",
        )
    seen = sha256(repr(module).encode())
    for name, tensor in module.state_dict().items():
        seen.update(name.encode())
        seen.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return folder / f"teacher-{seen.hexdigest()[:12]}.npz"


def write_module_file(run: Run, module: object, path: Path) -> None:
    """Ask a network about all images of a run; nothing is done where the file is there already.

    Args:
        run: The run; `teacher.input_size` is the side of the images.
        module: Turns RGB pixels (N, 3, S, S) in 0-255 into logits (N, K), a sigmoid each.
        path: Of `module_file`.

    Raises:
        ShapeError: The network gives something else.
    """
    if path.exists() or not isinstance(module, nn.Module):
        return
    parts = [part for part in (run.pool, run.held_out, run.test) if part is not None]
    ids = [name for part in parts for name in part.image_ids]
    training = module.training
    run.runtime.place(module)
    module.eval()
    with ProgressBar("teacher", len(ids)) as bar:
        found = [_probabilities(run, module, part, bar) for part in parts]
    module.train(training)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_teacher_table(path, ids, run.classes, np.concatenate(found))


@torch.no_grad()
def _probabilities(run: Run, module: nn.Module, part: Manifest, bar: ProgressBar) -> Float32Array:
    """Probabilities (M, K) of a part of the data."""
    rows = []
    size, classes = run.recipe.teacher.input_size, len(run.classes)
    for batch in whole_batches(run.dataset(part), size=size, batch_size=PREDICT_BATCH):
        with run.runtime.autocast():
            logits = module(batch.pixels.to(run.runtime.device).float())
        if not isinstance(logits, Tensor) or logits.shape != (len(batch.index), classes):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ShapeError(
                f"the teacher must give logits ({len(batch.index)}, {classes}), found {shape}",
                hint=f"one logit for each of {', '.join(run.classes[:5])}, … in this order",
            )
        rows.append(logits.float().sigmoid().cpu().numpy())
        bar.advance(len(batch.index))
    return np.concatenate(rows)
