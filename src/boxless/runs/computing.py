"""What ``auto`` in ``run.precision`` and ``run.compile`` stands for: measured once a run, kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape

from boxless.errors import StoreError
from boxless.files.lock import held
from boxless.runs.context import Run
from boxless.runs.methods import compared, own_method
from boxless.report.computing import Computing
from boxless.files.seals import KEY, require_whole, write_sealed
from boxless.training.fastest import Way, Work, choose, measure

if TYPE_CHECKING:
    import torch

NAME: Final = "computing.json"
PATIENCE = 600.0
"""Seconds to wait for another command that measures for the same run folder."""


def decided(run: Run) -> Run:
    """A run without ``auto``: as it was decided before, else as is fastest here.

    Args:
        run: Any run; one without ``auto`` is given back, and nothing is read or imported.

    Raises:
        ConfigError: The student cannot be built or trained.
        StoreError: What was decided before is damaged.
    """
    wanted = run.recipe.run.undecided
    if not wanted:
        return run
    console = Console(stderr=True)
    with held(run.folder, patience=PATIENCE):
        found = read_computing(run.folder)
        if found is None or not set(wanted) <= set(found.measured):
            console.print("[bold]computing[/]: timing updates of the student")
            before = () if found is None else found.measured
            kept: dict[str, str] = (
                {} if found is None else {name: values_of(found)[name] for name in before}
            )
            found = _measured(following(run, kept), before)
            write_sealed(run.folder / NAME, found.model_dump_json().encode())
    console.print(f"[bold]computing[/]: {escape(_told(found))}", soft_wrap=True, highlight=False)
    return following(run, values_of(found))


def values_of(found: Computing) -> dict[str, str]:
    """What was decided, by the name of its setting."""
    return {"precision": found.precision, "compile": found.compile}


def following(run: Run, values: Mapping[str, str]) -> Run:
    """A run whose ``auto`` is replaced where its value is known.

    Args:
        run: The run.
        values: By the name of the setting.
    """
    own = run.recipe.run
    known = {name: values[name] for name in own.undecided if name in values}
    changed = run.recipe.model_copy(update={"run": own.model_copy(update=known)})
    return replace(run, recipe=changed) if known else run


def read_computing(folder: Path) -> Computing | None:
    """What was decided for a run folder, or None if nothing was.

    Args:
        folder: The run's.

    Raises:
        StoreError: The file is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        require_whole(path)
        values = json.loads(path.read_text("utf-8"))
        if isinstance(values, dict):
            values.pop(KEY, None)
        return Computing.model_validate(values)
    except (OSError, ValueError, StoreError) as error:
        raise StoreError(
            f"{path} is damaged: {str(error).splitlines()[0]}",
            hint="delete it and run the same command again, which measures anew; should another way"
            " be the fastest now, give run.precision and run.compile as RUN/recipe.toml has them",
        ) from error


def measured_for(run: Run) -> Computing | None:
    """What was measured for a run, if the run goes by it."""
    found, config = read_computing(run.folder), run.recipe.run
    goes_by = {"precision": config.precision, "compile": config.compile}
    return found if found is not None and values_of(found) == goes_by else None


def _measured(run: Run, before: tuple[str, ...]) -> Computing:
    """Time all ways that the run's settings leave open."""
    import torch  # noqa: PLC0415  (seconds)

    from boxless.runs import build  # noqa: PLC0415
    from boxless.runs.preflight import check_networks  # noqa: PLC0415
    from boxless.training.compiling import compiled  # noqa: PLC0415
    from boxless.training.runtime import default_device  # noqa: PLC0415
    from boxless.training.trial import Trial  # noqa: PLC0415

    recipe, optim = run.recipe, run.recipe.baseline_optim()
    check_networks(run, {"baseline"})
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    device, processes = default_device(), 1 if run.processes is None else run.processes.count
    untrained = recipe.student.model_copy(update={"weights": "random"})
    student = build.student(recipe.model_copy(update={"student": untrained}), len(run.classes))
    task, work = build.baseline_task(optim, student), _work(run)
    images, size = -(-optim.batch_size // processes), build.student_view(recipe)
    trial = Trial(task, build.optim_settings(optim), device, images=images, size=size)
    ways = _ways(run, device, processes)
    with compiled(task.module, wanted=any(way.compile == "yes" for way in ways)):
        ways = measure(ways, trial.update, work)
    best = choose(ways, work)
    found: dict[str, Any] = {"precision": best.precision, "compile": best.compile}
    found |= {"measured": (*before, *recipe.run.undecided), "device": str(device)}
    found |= {"images": images, "size": size, "updates": work.updates}
    return Computing.model_validate(found | {"ways": [asdict(way) for way in ways]})


def _ways(run: Run, device: "torch.device", processes: int) -> list[Way]:
    """The ways that the settings leave open, the plain one first."""
    from boxless.training.compiling import missing_compiler  # noqa: PLC0415
    from boxless.training.trial import mixed_precision  # noqa: PLC0415

    config = run.recipe.run
    precisions: list[tuple[str, str]] = [(config.precision, "")]
    compiles: list[tuple[str, str]] = [(config.compile, "")]
    if config.precision == "auto":
        precisions = [("no", ""), mixed_precision(device)]
    if config.compile == "auto":
        compiles = [("no", ""), ("yes", missing_compiler(device, processes))]
    return [Way(p, c, left_out=one or other) for c, one in compiles for p, other in precisions]


def _work(run: Run) -> Work:
    """Updates of all students that the recipe plans, and the networks that they compile."""
    from boxless.runs import build  # noqa: PLC0415  (imports torch)

    recipe, dataset, others = run.recipe, run.dataset(run.train), compared(run.recipe).values()
    features = {own_method(recipe).features, *(method.features for method in others)}
    whole, own = build.budget(recipe, dataset), recipe.baseline.optim
    plain = whole if own is None else build.stage_updates(dataset, own)
    sizes = 1 + len(recipe.baseline.input_sizes)
    updates = plain * sizes + whole * (1 + len(others))
    return Work(updates * recipe.run.seeds, sizes + len(features - {"none"}))


def _told(found: Computing) -> str:
    """What was decided and why, in a line."""
    return f"{found.chosen.name}; an update of the student: " + "; ".join(
        f"{way.name}: {way.told}" for way in found.ways
    )
