"""What is done of a run and what is to do, before any work; nothing is written."""

from dataclasses import dataclass

from boxless.errors import RunError
from boxless.runs.context import Run
from boxless.runs.plan import VERBS, plan
from boxless.runs.record import StepRecord, differences, read_record
from boxless.runs.step import Step


@dataclass(frozen=True, slots=True)
class Outlook:
    """A step of a run before any work.

    Attributes:
        step: The step.
        record: What its record must say.
        done: Whether it is finished and up to date.
    """

    step: Step
    record: StepRecord
    done: bool


def outlook(run: Run) -> list[Outlook]:
    """All steps of a run and which are done; nothing is written.

    Args:
        run: The run.

    Raises:
        RunError: Settings or data changed since a step was done; each difference is listed.
    """
    steps = plan(run)
    wanted = expected_records(run, steps)
    refuse_changes(run, steps, wanted, set())
    return [Outlook(step, wanted[step.name], is_done(run, wanted, step)) for step in steps]


def expected_records(run: Run, steps: list[Step]) -> dict[str, StepRecord]:
    """What each step's record must say now, by name."""
    records: dict[str, StepRecord] = {}
    for step in steps:
        inputs = {"data": run.manifest.fingerprint}
        inputs |= {need: records[need].fingerprint for need in step.needs}
        records[step.name] = StepRecord(step.name, step.kind, step.settings, inputs)
    return records


def is_done(run: Run, wanted: dict[str, StepRecord], step: Step) -> bool:
    """Whether a step's result is there and up to date."""
    done = read_record(run.folder / step.name)
    fits = done is not None and done.fingerprint == wanted[step.name].fingerprint
    return done is not None and fits and done.status == "done"


def refuse_changes(
    run: Run, steps: list[Step], wanted: dict[str, StepRecord], redo: set[str]
) -> None:
    """Refuse to go on with other settings or data than a finished step was made with.

    Args:
        run: The run.
        steps: Its steps.
        wanted: What the record of each must say.
        redo: Names of those that are done again anyway.

    Raises:
        RunError: There is one; each difference is listed.
    """
    lines: list[str] = []
    verbs: list[str] = []
    for step in steps:
        done = read_record(run.folder / step.name)
        if done is None or step.cheap or step.name in redo:
            continue
        found = differences(done.settings, wanted[step.name].settings)
        if done.inputs.get("data") != run.manifest.fingerprint:
            found.append("data set: its images or labels changed")
        if found:
            lines.append(f"  {step.name}:")
            lines += [f"    {line}" for line in found]
            verbs.append(step.verb)
    if lines:
        first = min(verbs, key=VERBS.index)
        raise RunError(
            f"{run.folder} was made with other settings:\n" + "\n".join(lines),
            hint=f"choose another --out, undo the changes, or do these steps again with"
            f" --force {' --force '.join(dict.fromkeys([first, *verbs]))}",
        )
