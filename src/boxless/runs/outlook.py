"""What is done of a run, what is to do, and how long that will take; nothing is written.

Time is told from what like steps took here before, or else from a trial. It is taken to grow with
the images a step looks at: those that it trains on, the data set's images elsewhere. Steps are
alike if they do the same with networks of one kind and size. Another machine, or a busy one, takes
another time.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from boxless.errors import RunError, StoreError
from boxless.files.progress import Overall
from boxless.runs.context import Run
from boxless.runs.phases import updates
from boxless.runs.plan import VERBS, Step, plan
from boxless.runs.record import NAME, StepRecord, differences, is_done, read_record

if TYPE_CHECKING:
    from boxless.runs.forecast import Pace  # imports torch


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
    """Refuse to resume with other settings or data than a finished step was made with."""
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


_NETWORK: Final = ("backbone", "input_size", "fold_norms")
_STUDENT: Final = (*(f"student.{k}" for k in (*_NETWORK, "frozen_to")),)
_ALIKE: Final = {
    "teacher": tuple(f"teacher.{k}" for k in ("kind", *_NETWORK, "trainable", "folds", "regions")),
    "features": (*_STUDENT, "stage1.target", "stage1.teacher_maps"),
    "student": (*_STUDENT, "teaching.predictions"),
    "maps": tuple(f"teacher.{k}" for k in _NETWORK),
    "proposals": ("proposals.method", "proposals.size"),
}
"""Settings that must agree for one step's speed to tell another's, by `StepRecord.kind`."""
_USUAL: Final = {
    "stage1.target": "conv", "stage1.teacher_maps": "cache", "teaching.predictions": "cache",
    "teacher.kind": "wsddn",
}  # fmt: skip
"""Of steps whose records need not say so."""
_TRAINED: Final = ("teacher", "features", "student")
"""Kinds of steps that train: their work is that of the images they are trained on."""

Kind = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Time that steps will take.

    Attributes:
        seconds: Step -> seconds; steps without a like one are left out.
        unknown: Names of those.
    """

    seconds: dict[str, float]
    unknown: tuple[str, ...]

    @property
    def total(self) -> float:
        """Seconds of all steps that are known."""
        return sum(self.seconds.values())


class Timings:
    """Seconds a unit of work of every kind of step that is recorded in some run folders.

    Args:
        folders: Of runs; all their finished steps count, the last of a kind most: it alone is kept.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        found: list[tuple[str, Kind, float]] = []
        for folder in dict.fromkeys(folders):
            for path in folder.rglob(NAME):
                record = _finished(path.parent)
                if record is not None:
                    work = _done_work(record)
                    found.append((record.finished, _kind(record), record.seconds / work))
        self._rates = {kind: rate for _, kind, rate in sorted(found, key=lambda item: item[0])}

    def estimate(self, run: Run, items: Iterable[Outlook], pace: "Pace | None" = None) -> Estimate:
        """Time that steps of a run will take.

        Args:
            run: The run.
            items: Its steps to come.
            pace: A trial, for steps without a like one.
        """
        seconds, unknown = {}, []
        for item in items:
            rate = self._rates.get(_kind(item.record))
            if rate is not None:
                seconds[item.step.name] = rate * _work(run, item)
            elif pace is not None:
                seconds[item.step.name] = pace.seconds(run, item)
            else:
                unknown.append(item.step.name)
        return Estimate(seconds, tuple(unknown))


class Remaining:
    """Time that a run still takes, by the steps that it has finished meanwhile, or by a trial.

    Args:
        run: The run.
        todo: Its steps to come, in order.
        pace: The trial, if there was one.
    """

    def __init__(self, run: Run, todo: Sequence[Outlook], pace: "Pace | None") -> None:
        self._run, self._todo, self._pace = run, list(todo), pace

    def total(self) -> float | None:
        """Seconds of all steps to come; None where one is not known."""
        return self._seconds(self._todo)

    def step(self, name: str, place: int, count: int) -> Overall:
        """Where the run stands with a step that begins now; those before it are done."""
        names = [item.step.name for item in self._todo]
        first = names.index(name) if name in names else 0
        self._todo = self._todo[first:]
        own, later = self._seconds(self._todo[:1]), self._seconds(self._todo[1:])
        return Overall(place, count, own, later)

    def _seconds(self, items: Sequence[Outlook]) -> float | None:
        found = Timings([self._run.folder]).estimate(self._run, items, self._pace)
        return None if found.unknown else found.total


def _finished(folder: Path) -> StepRecord | None:
    try:
        record = read_record(folder)
    except StoreError:
        return None  # whose run it is will say so
    return record if record is not None and record.status == "done" else None


def _kind(record: StepRecord) -> Kind:
    """What must agree for one step's speed to tell another's."""
    values = [record.settings.get(key, _USUAL.get(key)) for key in _ALIKE.get(record.kind, ())]
    if record.kind in _TRAINED:
        return (record.kind, *values)
    # Its number of images is not recorded: it must have had the same ones.
    return (record.kind, record.inputs.get("data"), record.settings.get("data.limit"), *values)


def _done_work(record: StepRecord) -> float:
    """Images that a finished step trained on, or parts it had."""
    return max(1.0, float(record.facts.get("images", _parts(record))))


def _work(run: Run, item: Outlook) -> float:
    """The same of a step to come."""
    if item.record.kind in _TRAINED:
        return float(images_of(run, item))
    return _parts(item.record)


def _parts(record: StepRecord) -> float:
    """An evaluation grows with the students it looks at; all else is one part."""
    return float(len(record.inputs)) if record.kind == "evaluate" else 1.0
