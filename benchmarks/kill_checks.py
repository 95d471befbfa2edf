"""What must hold whenever a run was killed, and once it has ended all the same."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from process_table import every_process
from safetensors import safe_open
from safetensors.torch import load_file

from boxless.runs.verify import find_damage
from boxless.training.events import CHECKPOINT

RECORD = "step.json"
Stamp = tuple[int, int, int]
Steps = dict[str, dict[str, Stamp]]


def finished_steps(run: Path) -> Steps:
    """Files of all finished steps with number, time and size: what is written again shows."""
    found: Steps = {}
    for record in run.rglob(RECORD):
        if json.loads(record.read_bytes())["status"] == "done":
            found[str(record.parent.relative_to(run))] = {
                str(path): _stamp(path)
                for path in record.parent.rglob("*")
                if path.is_file()
                and path.name != CHECKPOINT  # removed when the next attempt begins
            }
    return found


def touched_steps(before: Steps, after: Steps) -> list[str]:
    """Finished steps that were opened, removed or written again."""
    return [
        f"step {name} was finished, and was done again"
        for name, files in before.items()
        if after.get(name) != files
    ]


def damaged_files(run: Path) -> list[str]:
    """What `boxless verify` finds wrong."""
    if not any(run.rglob(RECORD)):
        return []
    return [f"damaged: {item.path}: {item.reason}" for item in find_damage(run).damaged]


@dataclass(frozen=True)
class Trace:
    """How an undisturbed run came about, as ``preloaded.py`` lists it.

    Attributes:
        changes: Changes of the file system below the folder of each step.
        checkpoints: Every checkpoint by step and number of updates.
    """

    changes: dict[str, int]
    checkpoints: dict[tuple[str, int], Path]

    @classmethod
    def read(cls, folder: Path, run: Path, steps: Iterable[str]) -> "Trace":
        """Read a trace.

        Args:
            folder: Where the trace is.
            run: The run it tells of.
            steps: Names of the run's steps.
        """
        changes, checkpoints = dict.fromkeys(steps, 0), {}
        for line in (folder / "changes.jsonl").read_text("utf-8").splitlines():
            entry = json.loads(line)
            for step in changes:
                if Path(entry["path"]).is_relative_to(run / step):
                    changes[step] += 1
                    if "kept" in entry:
                        kept = folder / entry["kept"]
                        checkpoints[step, _progress(kept)["update"]] = kept
        return cls(changes, checkpoints)

    def strange_checkpoints(self, run: Path) -> list[str]:
        """Checkpoints whose weights, optimiser or random state are not the undisturbed run's."""
        faults = []
        for path in run.rglob(CHECKPOINT):
            step, progress = str(path.parent.relative_to(run)), _progress(path)
            twin = self.checkpoints.get((step, progress["update"]))
            if twin is None:
                faults.append(f"{path}: no checkpoint of {progress['update']} updates in the trace")
                continue
            mine, theirs = load_file(path), load_file(twin)
            other = [
                k for k in mine.keys() | theirs.keys() if not _same(mine.get(k), theirs.get(k))
            ]
            other += [k for k in ("plateau", "extra") if progress[k] != _progress(twin)[k]]
            faults += [f"{path}: {name} differs" for name in sorted(other)]
        return faults


def survivors(group: int, patience: float = 15.0) -> list[str]:
    """Processes of a group that live on although its leader has ended.

    Args:
        group: Number of the process group.
        patience: Seconds they have to notice.
    """
    end = time.monotonic() + patience
    while (left := _members(group)) and time.monotonic() < end:
        time.sleep(0.05)
    return [f"process {number} lives on after its parent" for number in left]


def _members(group: int) -> list[int]:
    return [one.number for one in every_process() if one.group == group and one.state not in "ZX"]


def _progress(checkpoint: Path) -> dict:
    with safe_open(checkpoint, "numpy") as file:
        return json.loads(file.metadata()["progress"])


def _same(mine: torch.Tensor | None, theirs: torch.Tensor | None) -> bool:
    """Bit for bit, NaN included."""
    if mine is None or theirs is None or mine.dtype != theirs.dtype or mine.shape != theirs.shape:
        return False
    return mine.numpy().tobytes() == theirs.numpy().tobytes()


def _stamp(path: Path) -> Stamp:
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
