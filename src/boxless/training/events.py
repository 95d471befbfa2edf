"""What happened while training: one JSON line an entry, and a progress bar for people."""

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from boxless.files.overall import left_in_all, titled
from boxless.files.progress import ProgressBar

NAME = "events.jsonl"
NOTE_SECONDS = 0.25
"""Time between two remarks beside a bar."""


class EventLog:
    """Append-only log of a training step that survives being killed.

    Args:
        folder: Folder of the step.
        update: Entries of later updates (written after the last checkpoint) are dropped.
    """

    def __init__(self, folder: Path, *, update: int) -> None:
        self._path = folder / NAME
        kept = [entry for entry in read_events(folder) if int(entry["update"]) < update]
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(entry) + "\n" for entry in kept)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(lines, "utf-8")
        temporary.replace(self._path)
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, entry: Mapping[str, float]) -> None:
        """Append an entry; values that are not finite become null."""
        clean = {k: v if math.isfinite(v) else None for k, v in entry.items()}
        self._file.write(json.dumps(clean) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(folder: Path) -> list[dict[str, float]]:
    """Entries of a step's log; a half-written last line is left out."""
    path = folder / NAME
    if not path.exists():
        return []
    entries = []
    for line in path.read_text("utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


class StepProgress(ProgressBar):
    """Progress of one step: a bar on a terminal, a line now and then elsewhere.

    Args:
        title: Name of the step.
        total: Units of work.
        done: Units done before.
        per: How many images a unit stands for; the rate is shown in images per second.
    """

    def __init__(self, title: str, total: int, *, done: int = 0, per: int = 1) -> None:
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
        )
        self._title, self._total, self._done, self._per = titled(title), total, done, per
        self._first, self._began = done, time.monotonic()
        self._next_line, self._next_note = done + max(1, total // 4), 0.0
        self._task = self._bar.add_task(self._title, total=total, completed=done, rate="", note="")

    def advance(self, count: int = 1, note: Callable[[], str] = str) -> None:
        """Count work done.

        Args:
            count: Units.
            note: Makes a short remark such as the loss; asked only when it will be seen, as a
                number on a GPU has to be waited for.
        """
        self._done += count
        if self._console.is_terminal:
            task = self._bar.tasks[0]
            fields: dict[str, Any] = {
                "rate": f"{task.speed * self._per:.1f} img/s" if task.speed else ""
            }
            if time.monotonic() >= self._next_note:
                self._next_note = time.monotonic() + NOTE_SECONDS
                fields["note"] = f"{note()}{self._whole()}".removeprefix(", ")
            self._bar.update(self._task, advance=count, **fields)
        elif self._done >= self._next_line:
            self._next_line = self._done + max(1, self._total // 4)
            line = f"{self._title}: {self._done}/{self._total} {note()}".rstrip()
            self._console.print(f"{line}{self._whole()}")

    def _whole(self) -> str:
        """The time that is left in all, by this step's pace."""
        done = self._done - self._first
        each = (time.monotonic() - self._began) / done if done > 0 else None
        return left_in_all(None if each is None else each * (self._total - self._done))
