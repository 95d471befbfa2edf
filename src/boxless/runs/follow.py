"""What all processes of a launch but the first do: wait for it, and train along."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from boxless.errors import RunError
from boxless.runs.context import Run
from boxless.runs.execute import execute
from boxless.runs.outlook import expected_records
from boxless.runs.plan import plan
from boxless.runs.record import NAME

if TYPE_CHECKING:
    from boxless.training.processes import Processes

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
        force: Verbs whose results are thrown away.
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
