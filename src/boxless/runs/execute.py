"""Carry out the steps of a run: skip what is done, refuse what changed, resume where it stopped.

Of several processes the first does that; the others wait for it, and train along.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from boxless.data.readiness import FEW_HELD_OUT, FIRM_HELD_OUT, opening_lines, shortcomings
from boxless.errors import ConfigError, NumericsError, RunError, unknown_name
from boxless.files.atomic import write_atomically
from boxless.files.console import plain_console
from boxless.files.lock import held
from boxless.files.progress import left_in_all, roughly, step_of, titled
from boxless.methods.table import ORACLE
from boxless.recipe.recipe_files import dotted, toml_value
from boxless.runs.context import Run
from boxless.runs.finished import MARK, refuse_foreign_folder
from boxless.runs.leak_check import refuse_leaks
from boxless.runs.outlook import Outlook, Remaining, expected_records, outlook
from boxless.runs.plan import AFTER_TRAINING, VERBS, Step, plan
from boxless.runs.record import NAME, StepRecord, is_done, now, read_record, to_json
from boxless.training.events import CHECKPOINT

if TYPE_CHECKING:
    from boxless.training.processes import Processes

RUN_FILES = ("recipe.toml", "results.json", "report.html")
"""Files that lie in the run folder itself."""

LOADERS = 30.0
"""Seconds that loading processes may outlive the one that a launcher has just started again."""


def execute(
    run: Run, *, until: str = "report", force: Iterable[str] = (), only: bool = False
) -> None:
    """Bring a run to a step.

    Args:
        run: The run.
        until: Last verb to carry out; see `VERBS`.
        force: Verbs whose results are discarded, with all that depends on them.
        only: Carry out `until` and what it needs, not every step before it.

    Raises:
        ConfigError: `until` or `force` names no step.
        RunError: Settings or data changed since a step was done; each difference is listed.
    """
    forced_verbs = set(force)
    for verb in (until, *forced_verbs):
        if verb not in VERBS:
            raise ConfigError(unknown_name("step", verb, VERBS))
    refuse_foreign_folder(run.folder)
    _check_splits(run, until)
    console = plain_console(stderr=True)
    steps = plan(run)
    redo = _forced(steps, forced_verbs)
    places = [place for place, step in enumerate(steps) if step.verb == until]
    steps = steps[: max(places, default=len(steps)) + 1]
    chosen = _needed(steps, until) if only else {step.name for step in steps}
    items = [item for item in outlook(run, steps, redo) if item.step.name in chosen]
    todo = [item.step for item in items if not item.done]
    _check_networks(run, todo)
    for name in RUN_FILES:
        _sweep(run.folder, name)
    if any(step.verb not in AFTER_TRAINING for step in todo):
        _look_at_images(run, console)
    _save_settings(run)  # not before: what cannot work leaves nothing behind
    for name in redo:  # also what lies beyond `until`: it was made from what goes now
        with held(run.folder / name):
            _discard(run.folder / name)
    _walk(run, items, console)


def _walk(run: Run, items: list[Outlook], console: Console) -> None:
    """Carry out the steps that are not done, one after the other."""
    remaining = _remaining(run, [item for item in items if not item.done], console)
    for place, item in enumerate(items, start=1):
        step, wanted, folder = item.step, item.record, run.folder / item.step.name
        done = read_record(folder)
        if done is not None and done.fingerprint != wanted.fingerprint:
            _discard(folder)
            done = None
        if done is not None and done.status == "done":
            (folder / CHECKPOINT).unlink(missing_ok=True)  # killed just before it was removed
            told = f"[{place}/{len(items)}] {step.name}: done already ({done.seconds:.0f} s)"
            console.print(told, style="dim")
            continue
        overall = remaining.step(step.name, place, len(items))
        with held(folder, patience=LOADERS if run.processes is not None else 0), step_of(overall):
            if not is_done(run.folder, wanted):  # another process may just have done it
                _carry_out(run, step, done or wanted, folder, console)


def _check_splits(run: Run, until: str) -> None:
    """Fail before hours of training where the data cannot carry the run to its end."""
    _ = run.train
    if VERBS.index(until) >= VERBS.index("evaluate"):
        _ = run.test


def _look_at_images(run: Run, console: Console) -> None:
    """Refuse images that nothing may be learned from, and say how the others are dealt out."""
    refuse_leaks(run.manifest, allow=run.recipe.run.leaks == "allow")
    tagged, untagged, held_out = len(run.train), len(run.pool) - len(run.train), run.held_out
    if ORACLE in run.recipe.methods:
        _ = run.oracle
    config = run.recipe.data
    needs = shortcomings(run.manifest, held_out=config.held_out, seed=config.seed)
    for line in opening_lines(run.manifest, needs):
        console.print(line)
    few = len(held_out) if held_out is not None else 0
    if FEW_HELD_OUT <= few < FIRM_HELD_OUT:  # fewer are among the shortcomings
        told = f"note: {few} held-out images choose the student and its thresholds: their figures"
        console.print(f"{told} have wide intervals")
    if untagged:
        apart = f"{len(held_out) if held_out else 0:,} more with tags are held out"
        told = f"trained on: {tagged:,} tagged and {untagged:,} untagged images; {apart}"
        console.print(told)


def _carry_out(run: Run, step: Step, record: StepRecord, folder: Path, console: Console) -> None:
    verb = "resumes" if folder.exists() and (folder / NAME).exists() else "begins"
    console.print(Text(titled(step.name), "bold"), f"{verb}{left_in_all()}")
    _sweep(folder)
    write_atomically(folder / NAME, to_json(record))
    began = time.monotonic()
    try:
        if step.trains and run.processes is not None:
            word = {"step": step.name, "fingerprint": record.fingerprint}
            run.processes.broadcast(json.dumps(word))
        record.facts = step.action(run, folder)
    except NumericsError as error:
        hint = f"{error.hint}; the command then names the --force that a changed setting needs"
        raise NumericsError(f"step {step.name}: {error.message}", hint=hint) from error
    except OSError as error:
        if error.errno is None:
            raise
        raise RunError(
            f"step {step.name} stopped: {error.strerror} ({error.filename or folder})",
            hint="mend that and run the same command again: it resumes where it stopped",
        ) from error
    if not (folder / NAME).exists():
        raise RunError(
            f"step {step.name} stopped: the folder {folder} has vanished",
            hint="if it lies on a drive that is gone, bring that back and run the same command"
            " again: finished work is kept",
        )
    record.seconds = time.monotonic() - began + record.facts.pop("seconds_before", 0.0)
    record.status, record.finished = "done", now()
    write_atomically(folder / NAME, to_json(record))
    (folder / CHECKPOINT).unlink(missing_ok=True)
    console.print(Text(f"{titled(step.name)} done", "green"), f"in {record.seconds:.1f} s")


def _remaining(run: Run, todo: list[Outlook], console: Console) -> Remaining:
    """Time left, after a trial of the machine where training is to come; says how long in all."""
    trains = any(item.step.verb not in AFTER_TRAINING for item in todo)
    remaining, beside = Remaining(run, todo, None), ""
    if trains and remaining.total() is None:
        from boxless.runs.forecast import busy, pace_of  # noqa: PLC0415  (imports torch)

        remaining, beside = Remaining(run, todo, pace_of(run)), busy()
    total = remaining.total()
    if trains and total is not None:
        told = f"; {beside}" if beside else ""
        console.print(
            f"{len(todo)} steps to do, about {roughly(total)} in all on this machine{told}"
        )
    return remaining


def _check_networks(run: Run, todo: list[Step]) -> None:
    """Build the networks of the steps to come once; only they import torch."""
    if all(step.verb in ("proposals", *AFTER_TRAINING) for step in todo):
        return
    from boxless.runs.preflight import check_networks  # noqa: PLC0415

    check_networks(run, todo)


def _discard(folder: Path) -> None:
    """Throw a step away, its record first: killed half-way, what is left never passes as done."""
    (folder / NAME).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path, name: str = "*") -> None:
    """Delete what a killed attempt was just writing under a name."""
    for leftover in folder.glob(f".{name}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _needed(steps: list[Step], verb: str) -> set[str]:
    """Names of a verb's steps and of all that they read."""
    needed: set[str] = set()
    for step in reversed(steps):
        if step.verb == verb or step.name in needed:
            needed |= {step.name, *step.needs}
    return needed


def _forced(steps: list[Step], verbs: set[str]) -> set[str]:
    """Names of the forced steps and of all that read their results."""
    redo: set[str] = set()
    for step in steps:
        if step.verb in verbs or redo.intersection(step.needs):
            redo.add(step.name)
    return redo


def _save_settings(run: Run) -> None:
    """Keep the resolved recipe beside the results, for people and for `boxless report`."""
    lines = [f"# {run.spec}", MARK]
    values = dotted(run.recipe).items()
    lines += [f"{key} = {toml_value(value)}" for key, value in values if value is not None]
    path, data = run.folder / "recipe.toml", ("\n".join(lines) + "\n").encode()
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data)


END = "end"
VISIBLE = 60.0
"""Seconds within which a file of another machine must be seen here; network drives keep lists."""


def execute_together(
    processes: "Processes",
    load: Callable[[], Run],
    *,
    until: str,
    force: tuple[str, ...],
    only: bool,
) -> None:
    """Bring a run to a step with several processes; see `boxless.runs.execute.execute`.

    The first walks through the steps and does alone what trains nothing; the others come along
    where a step trains.

    Args:
        processes: Those of this launch.
        load: Makes the run; the others do so when they are needed first.
        until: Last verb to carry out; "" for the run's own method.
        force: Verbs whose results are discarded.
        only: Carry out `until` and what it needs.

    Raises:
        PeerError: Another process has ended.
        RunError: The others do not see the same run folder or the same data.
    """
    if processes.leads:
        run = load()
        execute(run, until=until or run.recipe.method, force=force, only=only)
        processes.broadcast(END)
        return
    own: Run | None = None
    while (word := processes.receive()) != END:
        step = json.loads(word)
        own = own or load()
        _train_along(own, step["step"], step["fingerprint"])


def _train_along(run: Run, step: str, fingerprint: str) -> None:
    """Take part in a step that the first process has announced."""
    steps = {one.name: one for one in plan(run)}
    own = expected_records(run, list(steps.values())).get(step)
    if own is None or own.fingerprint != fingerprint:
        raise RunError(
            f"step {step}: the first process has other images, labels or settings",
            hint="every machine needs the same data set, recipe and version of boxless",
        )
    _wait_for(run.folder / step / NAME)
    steps[step].action(run, run.folder / step)


def _wait_for(path: Path) -> None:
    """Wait for a file that the first process has written."""
    end = time.monotonic() + VISIBLE
    while not path.exists():
        if time.monotonic() > end:
            raise RunError(
                f"{path}, which the first process has written, is not seen here",
                hint="--out must lie on a drive that all machines share",
            )
        time.sleep(0.1)
