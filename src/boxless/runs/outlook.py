"""What is done of a run and what is to do, before any work; nothing is written."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from boxless.errors import RunError
from boxless.runs.context import Run
from boxless.runs.phases import updates
from boxless.runs.plan import VERBS, plan
from boxless.runs.record import StepRecord, differences, is_done, read_record
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


def outlook(
    run: Run, steps: list[Step] | None = None, redo: AbstractSet[str] = frozenset()
) -> list[Outlook]:
    """Steps of a run and which are done; nothing is written.

    Args:
        run: The run.
        steps: The first ones of `plan`; None = all.
        redo: Names of those that are done again in any case.

    Raises:
        RunError: Settings or data changed since a step was done; each difference is listed.
    """
    steps = plan(run) if steps is None else steps
    wanted = expected_records(run, steps)
    _refuse_changes(run, steps, wanted, redo)
    return [
        Outlook(step, record, step.name not in redo and is_done(run.folder, record))
        for step, record in zip(steps, wanted.values(), strict=True)
    ]


def expected_records(run: Run, steps: list[Step]) -> dict[str, StepRecord]:
    """What each step's record must say now, by name."""
    records: dict[str, StepRecord] = {}
    for step in steps:
        inputs = {"data": run.manifest.fingerprint}
        inputs |= {need: records[need].fingerprint for need in step.needs}
        records[step.name] = StepRecord(step.name, step.kind, step.settings, inputs)
    return records


def images_of(run: Run, item: Outlook) -> int:
    """Images that a step looks at, each as often as it does."""
    phase, kind = item.step.phase, item.record.kind
    if phase is not None:
        batch = phase.optim.batch_size
        return batch * updates(run.recipe, phase, run.pool_size, len(run.train))
    if kind == "teacher":
        passes = run.recipe.teacher.optim.epochs if run.recipe.teacher.kind == "wsddn" else 1
        return round(passes * len(run.train))
    if kind in ("maps", "cache"):
        return run.pool_size
    if kind == "proposals":
        return len(run.manifest)
    test = len(run.test) if "test" in run.manifest.split_names else 0
    return test + len(run.held_out or ())


def _refuse_changes(
    run: Run, steps: list[Step], wanted: dict[str, StepRecord], redo: AbstractSet[str]
) -> None:
    """Refuse to go on with other settings or data than a finished step was made with."""
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
