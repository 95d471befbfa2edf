"""What a training step leaves behind: names of its files, and its log, one JSON line per entry."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

CHECKPOINT = "checkpoint.safetensors"
"""State of a step under way; deleted when it is done."""

WEIGHTS = "weights.safetensors"
"""What the step trained."""

NAME = "events.jsonl"


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
