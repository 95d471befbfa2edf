"""``boxless verify``: is every byte of a run folder or store as it was written?"""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from boxless.files.console import plain_console

if TYPE_CHECKING:
    from boxless.runs.verify import Findings


def verify(place: Path, *, repair: bool = False, json: bool = False) -> None:
    """Check every byte of a run folder, a step, a proposal store, or one file.

    Damage is a flipped bit, a lost end, a missing shard; the command exits with 1 if there is any.
    With --repair damaged files are deleted and their steps opened again: the command that made the
    run then makes just those anew and leaves everything else as it is.

    For example:

        boxless verify runs/voc

        boxless verify runs/voc/cache --repair

    Args:
        place: Run folder, folder of a step, proposal store, or a single file such as student.onnx.
        repair: Delete what is damaged and let the next command make it again.
        json: Print JSON.
    """
    from boxless.runs.verify import find_damage
    from boxless.runs.verify import repair as make_room

    console = plain_console(stderr=True)
    with console.status("reading") as status:
        found = find_damage(place, on_file=lambda path: status.update(Text(f"reading {path}")))
    steps = make_room(found.damaged) if repair else []
    if json:
        listed = [{"file": str(item.path), "reason": item.reason} for item in found.damaged]
        facts = {"files": found.files, "damaged": listed, "repaired": repair}
        print(jsonlib.dumps(facts, indent=1))
    else:
        _show(place, found, steps, repaired=repair)
    if found.damaged and not repair:
        raise SystemExit(1)


def _show(place: Path, found: "Findings", steps: list[Path], *, repaired: bool) -> None:
    for item in found.damaged:
        print(f"damaged: {item.path}: {item.reason}")
    print(f"{found.files} files read, {len(found.damaged)} damaged")
    if found.damaged and not repaired:
        print(f"  -> boxless verify {place} --repair")
    elif found.damaged:
        for step in steps:
            print(f"opened again: {step}")
        print("deleted; the command that made them makes them again, and nothing else")
