"""Checkpoints of a training step: everything the next update depends on, in one safetensors file.

Written to a temporary file in the same folder, flushed to disk, then renamed: a reader sees the old
file or the new one, never half of one.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from boxless.errors import StoreError
from boxless.files.seals import require_whole, write_sealed
from boxless.training.events import CHECKPOINT as NAME
from boxless.training.optimization import AveragedWeights

_UNUSABLE = (StoreError, OSError, SafetensorError, KeyError, ValueError, RuntimeError, TypeError)


@dataclass(slots=True)
class Progress:
    """Plain values of a checkpoint.

    Attributes:
        update: Updates done.
        seconds: Training time spent.
        plateau: State of the plateau schedule.
        extra: State of the runtime.
        profile: Where the time of the updates went, if that was measured; in no checkpoint.
        processes: How many trained together in this attempt; in no checkpoint.
        before: `seconds` of earlier attempts; in no checkpoint.
    """

    update: int = 0
    seconds: float = 0.0
    plateau: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, object] | None = None
    processes: int = 1
    before: float = 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """What the record of a step that trains keeps of a finished attempt."""
        known: dict[str, Any] = {"seconds_before": self.before, "updates": self.update}
        if self.processes > 1:
            known["processes"] = self.processes
        return known if self.profile is None else known | {"profile": self.profile}


def save_checkpoint(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: AveragedWeights | None,
    progress: Progress,
) -> None:
    """Write the state after ``progress.update`` updates."""
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{k}": v for k, v in average.state.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in slots.items() if v is not None}
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    meta = {
        "update": progress.update,
        "seconds": progress.seconds,
        "plateau": progress.plateau,
        "extra": progress.extra,
    }
    packed = {k: torch.as_tensor(v).detach().cpu().contiguous() for k, v in tensors.items()}
    write_sealed(folder / NAME, save(_separate(packed), {"progress": json.dumps(meta)}))


def load_checkpoint(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: AveragedWeights | None,
) -> Progress:
    """Restore the last checkpoint into module, optimiser, average and random state.

    Returns:
        The progress; all zero if there is no checkpoint.

    Raises:
        StoreError: The checkpoint is damaged or belongs to another model.
    """
    path = folder / NAME
    if not path.exists():
        return Progress()
    try:
        require_whole(path)
        with safe_open(path, "pt") as file:
            meta = json.loads(file.metadata()["progress"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        module.load_state_dict(_part(tensors, "module."))
        if average is not None:
            for key, value in _part(tensors, "average.").items():
                average.state[key].copy_(value)
        _restore_optimizer(optimizer, _part(tensors, "optimizer."))
        torch.set_rng_state(tensors["rng.cpu"])
        progress = Progress(**meta)
    except _UNUSABLE as error:
        reason = error.message if isinstance(error, StoreError) else str(error)
        raise StoreError(
            f"checkpoint {path} cannot be used: {reason[:300]}",
            hint=f"delete {path} to start this step again from its beginning",
        ) from error
    if torch.cuda.is_available() and "rng.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    return progress


def saved_update(folder: Path) -> int:
    """Updates done at the last checkpoint; 0 where there is none that can be read."""
    try:
        with safe_open(folder / NAME, "pt") as file:
            return int(json.loads(file.metadata()["progress"])["update"])
    except _UNUSABLE:
        return 0


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, slot = key.split(".", 1)
        state.setdefault(int(index), {})[slot] = _like(parameters[int(index)], value)
    full = optimizer.state_dict()
    full["state"] = state
    optimizer.load_state_dict(full)


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """A value laid out as its parameter: fused updates walk through both memories side by side."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Clone tensors that share memory; safetensors refuses aliases."""
    seen: set[int] = set()
    result = {}
    for key, value in tensors.items():
        pointer = value.data_ptr()
        result[key] = value.clone() if pointer in seen else value
        seen.add(pointer)
    return result
