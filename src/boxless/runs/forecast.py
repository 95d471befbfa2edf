"""What a run would do, take and ship, before anything is written.

How fast this machine is with the run's own networks and images is tried for a few seconds: a
proposer on some images, the teacher's look at some, updates of the plain student. What a step takes
of such a look or update was measured for class maps and their cache (photos-cpu, 200 and 800 tags,
two CPU cores, 26 November 2026); the other shares are rules of thumb.
"""

import os
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from boxless.data.images import load_image
from boxless.data.kept_images import KeptImages
from boxless.data.readiness import FIRM_HELD_OUT
from boxless.errors import BoxlessError
from boxless.files.console import plain_console
from boxless.files.launched import available_cores
from boxless.methods.table import ORACLE, PLAIN
from boxless.proposals.imported import ImportedBoxes
from boxless.proposals.proposer import make_proposer, works_in_process
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.finished import refuse_foreign_folder
from boxless.runs.maps import runtime_of, takes_quick
from boxless.runs.outlook import Estimate, Outlook, Timings, images_of, outlook
from boxless.runs.phases import MAPS, MORE_MAPS, kept_levels, phases_of
from boxless.runs.preflight import check_networks
from boxless.runs.proposal_step import proposer_settings
from boxless.runs.train_phase import phase_task, view_size
from boxless.runs.variant import variants
from boxless.training.batches import ViewDataset
from boxless.training.loop import require_statistics
from boxless.training.map_store import FEW, MapShards
from boxless.training.optimization import build_optimizer
from boxless.training.sharded import Shard

SAMPLE: Final = 8
"""Images that a proposer and a teacher are tried on."""
SECONDS: Final = 2.0
"""Time after which no further image or update is tried."""
PATIENCE: Final = 10.0
"""Time after which even the first update, which warms up, has to do."""
UPDATES: Final = 4
KEEP: Final = 1 << 30
"""Bytes of memory for the decoded images of one update."""

FIT: Final = {"class_maps": 1.1, "wsddn": 0.3, "file": 0.0}
"""Of a look: the teacher's training for each tagged image and pass, if its backbone is frozen."""
TRAIN: Final = 3.5
"""Of a look: an update of all the teacher's layers."""
KEPT: Final = 0.15
"""Of a look: what the teacher says, from a kept map."""
QUICK: Final = 0.45
"""Of a look: by ONNX Runtime, where it is worth it."""
FORWARD: Final = 0.33
"""Of an update: the same images without learning from them."""
FIXED: Final = {"calibrate": 1.0, "export": 15.0, "report": 4.0}
"""Seconds of steps that hardly depend on the images."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a trial found.

    Attributes:
        propose: Seconds for each image of proposing regions, all processes together.
        look: Seconds for each image that the teacher looks at, decoding included.
        learn: Seconds for each image of an update of a student, already decoded.
        map_bytes: What is kept of each image's feature maps.
        student: Parameters of the student.
        teacher: Parameters of the teacher's backbone.
    """

    propose: float
    look: float
    learn: float
    map_bytes: int
    student: int
    teacher: int

    def seconds(self, run: Run, item: Outlook) -> float:
        """About how long a step will take."""
        recipe, kind = run.recipe, item.record.kind
        if kind in FIXED:
            return FIXED[kind]
        students = len(variants(recipe))
        judged = FORWARD * self.learn * students + self.look
        frozen = recipe.teacher.trainable == "head"
        each = {
            "proposals": self.propose,
            "maps": self.look,
            "teacher": (FIT[recipe.teacher.kind] if frozen else TRAIN) * self.look,
            "cache": (KEPT if kept_levels(recipe, MAPS) else 1.0) * self.look,
            "features": self.learn,
            "student": self.learn,
            "evaluate": judged,
            "locate": judged,
        }[kind]
        phase = item.step.phase
        if phase is not None and (
            phase.needs.along or (phase.needs.levels and recipe.stage1.along)
        ):
            each += self.look
        return each * images_of(run, item)


def try_pace(run: Run) -> Pace:
    """Try a run's networks on some of its training images.

    Raises:
        BoxlessError: An image cannot be read, or a network cannot be built.
    """
    with torch.random.fork_rng():
        look, map_bytes, teacher = _look(run)
        learn, student = _learn(run)
    return Pace(_propose(run), look, learn, map_bytes, student, teacher)


def busy() -> str:
    """Says whether other work keeps this machine busy, so that a trial is slow; else empty."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, available_cores()
    if load < cores + 1:
        return ""
    return f"measured beside other work (load {load:.0f} on {cores} cores): alone it takes less"


def pace_of(run: Run) -> Pace | None:
    """`try_pace` where one process computes all; None where it fails, for no run may end by it."""
    if run.processes is not None or run.recipe.run.engine != "local":
        return None
    try:
        return try_pace(run)
    except BoxlessError:
        return None  # the step that meets it too says so in its own words
    except Exception as error:
        console = plain_console(stderr=True)
        console.print(f"note: how long all takes is not known: the trial failed ({error!r:.200})")
        return None


def _propose(run: Run) -> float:
    config = run.recipe.proposals
    if not run.proposes:
        return 0.0
    proposer = make_proposer(config.method, **proposer_settings(config))
    if isinstance(proposer, ImportedBoxes):
        return 0.0
    times = []
    for record in run.train.records[:SAMPLE]:
        began = time.perf_counter()
        proposer(load_image(record.path))
        times.append(time.perf_counter() - began)
    return statistics.median(times) / (1 if works_in_process(proposer) else available_cores())


def _look(run: Run) -> tuple[float, int, int]:
    """Seconds and bytes for each image, and the backbone's parameters."""
    recipe = run.recipe
    if recipe.teacher.kind == "file":
        return 0.0, 0, 0
    levels = kept_levels(recipe, MAPS)
    trunk = build.backbone(recipe.teacher).eval()
    work = MapShards(
        trunk, recipe.teacher.input_size, levels or (recipe.teacher.level,), runtime_of(run, None)
    )
    records = run.train.records[: SAMPLE + FEW]
    images, rows = ViewDataset(records, load_image), range(len(records))

    def look(some: range) -> int:
        found = work.maps(Shard(tuple(some), images.part(some)))
        return sum(level.nbytes for level in found.values()) // len(some)

    kept = look(rows[:FEW])  # which warms up
    began, seen = time.perf_counter(), 0
    for at in range(min(FEW, len(rows) - 1), len(rows), FEW):
        some = rows[at : at + FEW]
        look(some)
        seen += len(some)
        if time.perf_counter() - began > SECONDS:
            break
    seconds = (time.perf_counter() - began) / seen
    if takes_quick(run):
        seconds *= QUICK
    return seconds, kept if levels else 0, build.parameters(trunk)


def _learn(run: Run) -> tuple[float, int]:
    """Seconds for each image of an update of the plain student, and its parameters."""
    recipe, runtime = run.recipe, run.runtime
    variant = next(one for one in variants(recipe) if one.method == PLAIN)
    (phase,) = phases_of(recipe, variant)
    model = build.student(recipe, len(run.classes), variant)
    task = phase_task(run, phase, model)
    runtime.place(task.module)
    task.train_mode()
    require_statistics(task.module, phase.optim.batch_size)
    optimizer = build_optimizer(task.module, build.optim_settings(phase.optim), task.is_new)
    records = run.train.records[: phase.optim.batch_size]
    kept = KeptImages(load_image, [record.path for record in records], limit_bytes=KEEP)
    view = view_size(run, phase)
    stream = build.stream(ViewDataset(records, kept), phase.optim, sizes=(view,), seed=0, workers=0)
    times: list[float] = []
    began = before = time.perf_counter()
    for batch in stream.batches(0, 1 + UPDATES):
        with runtime.autocast():
            losses = task.losses(batch.to(runtime.device))
        found = runtime.step(losses, task.module, optimizer, phase.optim.clip_norm)
        float(found["loss"])  # waits for a GPU
        now = time.perf_counter()
        times.append(now - before)
        before = now
        if now - began > (SECONDS if len(times) > 1 else PATIENCE):
            break
    # The first update decodes its images and warms up.
    return statistics.median(times[1:] or times) / phase.optim.batch_size, build.parameters(model)


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
