"""What a run would do, take and ship, before anything is written."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from boxless.data.readiness import FIRM_HELD_OUT
from boxless.methods.table import ORACLE
from boxless.runs.claim import refuse_foreign_folder
from boxless.runs.context import Run
from boxless.runs.estimate import Estimate, Timings
from boxless.runs.levels import MAPS, MORE_MAPS
from boxless.runs.outlook import Outlook, images_of, outlook
from boxless.runs.pace import FIXED, Pace, try_pace
from boxless.runs.preflight import check_networks
from boxless.runs.variant import variants

BOX = 12
"""Bytes of a proposed box and its score."""
FLOAT = 4


@dataclass(frozen=True, slots=True)
class Forecast:
    """A run before any work.

    Attributes:
        run: The run.
        items: Its steps, and which are done.
        estimate: Seconds of the others.
        pace: What the machine was tried for.
        disk: What will lie in the run folder, in bytes, by the step that leaves it.
        free: Bytes that are free on its disk.
    """

    run: Run
    items: list[Outlook]
    estimate: Estimate
    pace: Pace
    disk: dict[str, int]
    free: int

    def images(self, item: Outlook) -> int:
        """Images that a step looks at, each as often as it does; 0 where it looks at none."""
        return 0 if item.record.kind in FIXED else images_of(self.run, item)


def forecast(run: Run) -> Forecast:
    """Plan a whole run and try the machine for a few seconds; nothing is written.

    Raises:
        ConfigError: A network, its weights or a level does not exist.
        DataError: Images are missing, unreadable, or too few.
        RunError: The folder holds something else, or was made with other settings.
    """
    refuse_foreign_folder(run.folder)
    _ = run.train, run.test
    items = outlook(run)
    todo = [item for item in items if not item.done]
    check_networks(run, [item.step for item in todo])
    pace = try_pace(run)
    estimate = Timings([run.folder]).estimate(run, todo, pace)
    return Forecast(run, items, estimate, pace, _disk(run, items, pace), _free(run.folder))


def _disk(run: Run, items: list[Outlook], pace: Pace) -> dict[str, int]:
    """Bytes by step, without those that come to next to nothing."""
    recipe, names = run.recipe, {item.step.name for item in items}
    trained = sum(item.step.phase is not None for item in items)
    each = (2 * len(run.classes) + recipe.teacher.regions) * FLOAT
    found = {
        "proposals": BOX * recipe.proposals.max_boxes * len(run.manifest) * ("proposals" in names),
        "maps": pace.map_bytes * run.pool_size * len(names & {MAPS, MORE_MAPS}),
        "cache": each * run.pool_size,
        "students": FLOAT * pace.student * trained,
        "export": FLOAT * pace.student,
    }
    if recipe.teacher.trainable == "all":
        found["teacher"] = FLOAT * pace.teacher
    return found


def _free(folder: Path) -> int:
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def shipped(found: Forecast) -> str:
    """What the run will deliver, in a sentence."""
    run, student = found.run, found.run.recipe.student
    held_out = len(run.held_out or ())
    size = FLOAT * found.pace.student / 1e6
    names = dict.fromkeys(one.method for one in variants(run.recipe) if one.method != ORACLE)
    few = " (few: wide intervals)" if held_out < FIRM_HELD_OUT else ""
    which = (
        f"{' or '.join(names)}, whichever is best on {held_out:,} held-out images{few}"
        if held_out
        else f"{run.recipe.method}: nothing is held out to choose by"
    )
    return (
        f"{run.folder / 'export' / 'student.onnx'}: {student.title},"
        f" {len(run.classes):,} classes, about {size:.1f} MB; {which}"
    )
