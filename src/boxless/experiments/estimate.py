"""How long steps will take, from what like steps took here before.

Time is taken to grow with the images a step looks at: epochs times training images where it
trains, the data set's images elsewhere. Steps are alike if they do the same with networks of one
kind and size. Another machine, or a busy one, takes another time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boxless.errors import StoreError
from boxless.methods.table import METHODS
from boxless.recipe.schema import Recipe
from boxless.runs.context import Run
from boxless.runs.execute import Outlook
from boxless.runs.record import NAME, StepRecord, read_record

_NETWORK: Final = ("backbone", "input_size", "fold_norms")
_TRAINING: Final = ("teacher", "first phase", "student")
_ALIKE: Final = {
    "teacher": tuple(f"teacher.{k}" for k in (*_NETWORK, "trainable", "folds", "regions")),
    "first phase": (
        *(f"student.{k}" for k in (*_NETWORK, "frozen_to")),
        "stage1.target",
        "stage1.teacher_maps",
    ),
    "student": (*(f"student.{k}" for k in (*_NETWORK, "frozen_to")), "teaching.predictions"),
    "maps": tuple(f"teacher.{k}" for k in _NETWORK),
    "proposals": ("proposals.method", "proposals.size"),
}
"""Settings that must agree for one step's speed to tell another's."""
_USUAL: Final = {
    "stage1.target": "conv", "stage1.teacher_maps": "cache", "teaching.predictions": "cache"
}  # fmt: skip
"""Of steps whose records need not say so."""

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

    def estimate(self, run: Run, items: Iterable[Outlook]) -> Estimate:
        """Time that steps of a run will take.

        Args:
            run: The run.
            items: Its steps to come.
        """
        seconds, unknown = {}, []
        for item in items:
            rate = self._rates.get(_kind(item.record))
            if rate is None:
                unknown.append(item.step.name)
            else:
                seconds[item.step.name] = rate * _work(run, item.record)
        return Estimate(seconds, tuple(unknown))


def _finished(folder: Path) -> StepRecord | None:
    try:
        record = read_record(folder)
    except StoreError:
        return None  # whose run it is will say so
    return record if record is not None and record.status == "done" else None


def _what(record: StepRecord) -> str:
    """What a step does, by its place in the run folder."""
    parts = record.name.split("/")
    if parts[0] == "methods":
        return {"stage1": "first phase", "stage2": "student"}.get(parts[-2], "maps")
    name = parts[0].partition("-")[0]  # of a plain student at another size: baseline-192
    return {"baseline": "student", "stage2": "student", "stage1": "first phase"}.get(name, name)


def _kind(record: StepRecord) -> Kind:
    """What must agree for one step's speed to tell another's."""
    what = _what(record)
    values = [record.settings.get(key, _USUAL.get(key)) for key in _ALIKE.get(what, ())]
    if what in _TRAINING:
        return (what, *values)
    # Its number of images is not recorded: it must have had the same ones.
    return (what, record.inputs.get("data"), record.settings.get("data.limit"), *values)


def _done_work(record: StepRecord) -> float:
    """Images that a finished step trained on, or parts it had."""
    if _what(record) not in _TRAINING:
        return _parts(record)
    batch = record.settings[f"{_section(record)}.optim.batch_size"]
    return max(1.0, float(record.facts["updates"] * batch))


def _work(run: Run, record: StepRecord) -> float:
    """The same of a step to come."""
    what, recipe = _what(record), run.recipe
    if what not in _TRAINING:
        return _parts(record)
    match _section(record):
        case "teacher":
            epochs = recipe.teacher.optim.epochs
        case "stage1":
            epochs = recipe.stage1.optim.epochs
        case "baseline":
            epochs = recipe.baseline_optim().epochs
        case _:
            epochs = recipe.stage2.optim.epochs + _inherited(recipe, record)
    return float(epochs * len(run.train))


def _inherited(recipe: Recipe, record: StepRecord) -> float:
    """Epochs of stage 1 that fall to a method's phase on tags, where it has no first phase."""
    if not record.name.startswith("methods/"):
        return 0.0
    first = recipe.stage1.optim.epochs
    method = METHODS[record.name.split("/")[1]]
    return first * (recipe.stage1.enabled - method.has_first_phase)


def _section(record: StepRecord) -> str:
    """Section of the recipe whose ``optim`` a training step follows."""
    what = _what(record)
    if what == "student":
        return "baseline" if record.name.startswith("baseline") else "stage2"
    return {"first phase": "stage1"}.get(what, what)


def _parts(record: StepRecord) -> float:
    """An evaluation grows with the students it looks at; all else is one part."""
    return float(len(record.inputs)) if record.name == "evaluate" else 1.0
