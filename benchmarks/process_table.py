"""The processes of this machine, as Linux lists them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process: its number, its state (a letter), its parent's number and its group's."""

    number: int
    state: str
    parent: int
    group: int


def every_process() -> Iterator[Process]:
    """All that live, and those that have ended and were not waited for."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                facts = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            yield Process(int(folder.name), facts[0], int(facts[1]), int(facts[2]))
