"""Which runs a table needs, what of each is still to do, and what another run has finished.

A step's fingerprint covers its settings and, through its inputs, all it was made from, so an equal
one has the same result. Files are linked where the disk can; finished steps replace files and never
write into them, so links stay apart.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from boxless.data.manifest import Manifest
from boxless.experiments.tables import MAIN, PaperTable
from boxless.files.lock import held
from boxless.methods.table import COMPARED
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.outlook import Estimate, Timings, outlook
from boxless.runs.parts import read_images
from boxless.runs.record import NAME, StepRecord, is_done, read_record


def find_finished(record: StepRecord, sources: Iterable[Path]) -> Path | None:
    """The folder of a finished step with a record's fingerprint."""
    for source in sources:
        if is_done(source, record):
            return source / record.name
    return None


def take_finished(run: Run, sources: Iterable[Path]) -> list[str]:
    """Link into a run what others have finished of it.

    Args:
        run: The run; steps that it began itself are left alone.
        sources: Folders of other runs.

    Returns:
        Names of the steps that were taken.
    """
    others = [source for source in sources if source.resolve() != run.folder.resolve()]
    taken = []
    for item in outlook(run):
        target = run.folder / item.step.name
        if item.step.cheap or read_record(target) is not None:
            continue
        source = find_finished(item.record, others)
        if source is not None:
            with held(target):
                _link(source, target)
            taken.append(item.step.name)
    return taken


def _link(source: Path, target: Path) -> None:
    """Link all files of a step, its record last: killed before, the step does not pass as done."""
    files = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file()]
    for name in sorted(files, key=lambda path: path == Path(NAME)):
        if name.suffix == ".tmp":
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copy2(source / name, target / name)


Overrides = dict[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for.

    Attributes:
        data: Data set.
        recipe: Name or path of the recipe.
        overrides: Dotted settings for all runs; with a run's name in front, for that run alone.
        out: Folder of the tables; runs lie in ``runs`` below it.
        reuse: Folders of other runs whose finished steps may be taken.
    """

    data: str
    recipe: str
    overrides: Overrides
    out: Path
    reuse: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run and the state of its steps.

    Attributes:
        run: The run.
        done: Names of finished steps.
        shared: Names of steps that another run has or will have finished.
        todo: Names of the other steps.
        estimate: Time that those will take.
    """

    run: Run
    done: tuple[str, ...]
    shared: tuple[str, ...]
    todo: tuple[str, ...]
    estimate: Estimate


def make_runs(table: PaperTable, request: Request) -> dict[str, Run]:
    """The run behind each of the table's run names.

    Rows that differ in their method alone share a run; so do runs whose settings turn out equal. A
    run keeps the methods that another table asked for before.

    Raises:
        ConfigError: A setting or recipe is wrong.
        DataError: The data set cannot be read.
    """
    shared, own = _split(request.overrides, table)
    plain = load_recipe(request.recipe, shared)
    places: dict[str, str] = {}
    settings: dict[str, Overrides] = {}
    for name in table.run_names:
        changes = {key: json.dumps(value) for key, value in table.runs.get(name, {}).items()}
        changed = {**shared, **changes, **own.get(name, {})}
        same = load_recipe(request.recipe, changed) == plain
        places[name] = MAIN if same else f"{table.name}-{name}"
        settings[places[name]] = changed
    manifest = read_images(request.data, plain)
    asked: dict[str, set[str]] = {place: set() for place in settings}
    for row in table.own_rows:
        asked[places[row.run]] |= {str(row.method)} & set(COMPARED)
    runs = {
        place: _run(request, place, changed, asked[place], manifest)
        for place, changed in settings.items()
    }
    return {name: runs[place] for name, place in places.items()}


def _split(overrides: Overrides, table: PaperTable) -> tuple[Overrides, dict[str, Overrides]]:
    """Settings of all runs, and those of single ones by the run's name."""
    shared: Overrides = {}
    own: dict[str, Overrides] = {}
    for key, value in overrides.items():
        first, _, rest = key.partition(".")
        if first in table.runs:
            own.setdefault(first, {})[rest] = value
        else:
            shared[key] = value
    return shared, own


def _run(
    request: Request, place: str, changes: Overrides, asked: set[str], manifest: Manifest
) -> Run:
    folder = request.out / "runs" / place
    before = folder / "recipe.toml"
    if before.exists():
        asked = asked | set(load_recipe(str(before)).methods)
    names = [name for name in COMPARED if name in asked]
    recipe = load_recipe(request.recipe, {**changes, "methods": json.dumps(names)})
    return Run(folder, request.data, recipe, manifest)


def distinct(runs: Mapping[str, Run]) -> list[Run]:
    """Each run once, in the order of work."""
    return list({run.folder: run for run in runs.values()}.values())


def plan_runs(runs: Mapping[str, Run], reuse: tuple[Path, ...] = ()) -> list[RunPlan]:
    """What is done, what can be shared, and what is left of each run, in the order of work.

    Raises:
        RunError: A run folder was made with other settings.
    """
    plans: list[RunPlan] = []
    coming: set[str] = set()  # fingerprints of what earlier runs have when a run's turn comes
    sources = [*reuse, *(run.folder for run in runs.values())]
    timings = Timings([*reuse, *_run_folders(runs)])
    for run in distinct(runs):
        done, shared, todo = [], [], []
        for item in outlook(run):
            known = item.record.fingerprint in coming or find_finished(item.record, sources)
            if item.done:
                done.append(item.step.name)
            elif known and not item.step.cheap:
                shared.append(item.step.name)
            else:
                todo.append(item)
            coming.add(item.record.fingerprint)
        names = tuple(item.step.name for item in todo)
        estimate = timings.estimate(run, todo)
        plans.append(RunPlan(run, tuple(done), tuple(shared), names, estimate))
    return plans


def _run_folders(runs: Mapping[str, Run]) -> list[Path]:
    """Every run folder beside the runs': of other tables, too."""
    above = {run.folder.parent for run in runs.values()}
    return [
        path for folder in sorted(above) if folder.is_dir() for path in sorted(folder.iterdir())
    ]
