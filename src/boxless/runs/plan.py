"""The steps of a run: what each depends on, and what it does."""

from pathlib import Path
from typing import Any

from boxless.methods.table import METHODS
from boxless.runs.context import Run
from boxless.runs.levels import keeps_maps, kept_levels
from boxless.runs.maps_step import maps_step
from boxless.runs.method_plan import METHOD_VERBS, method_steps
from boxless.runs.methods import own_method
from boxless.runs.record import Settings
from boxless.runs.step import Action, Step, pick

AFTER_TRAINING = ("evaluate", "calibrate", "locate", "export", "report")
VERBS = (
    "proposals", "maps", "teacher", "cache",
    "baseline", "stage1", "stage2", *METHOD_VERBS, *AFTER_TRAINING,
)  # fmt: skip


def plan(run: Run) -> list[Step]:
    """All steps of a run, in order.

    Args:
        run: The run; only its recipe and class names are looked at.
    """
    # Actions import torch and friends: the plan alone must not.
    steps = [*_shared_steps(run), *_student_steps(run), *method_steps(run)]
    students = {"teacher", "baseline", "stage2", *METHODS}
    trained = tuple(s.name for s in steps if s.verb in students)
    steps.append(Step("evaluate", "evaluate", {}, (*trained, "cache"), _evaluate, cheap=True))
    steps.append(Step("calibrate", "calibrate", {}, ("evaluate",), _calibrate, cheap=True))
    steps.append(Step("locate", "locate", {}, ("evaluate",), _locate, cheap=True))
    measured = ("evaluate", "calibrate", "locate")
    # Raised whenever the file's format changes, so that finished runs export again.
    steps.append(Step("export", "export", {"format": 2}, measured, _export, cheap=True))
    steps.append(Step("report", "report", {}, (*measured, "export"), _report, cheap=True))
    return steps


def _shared_steps(run: Run) -> list[Step]:
    cache_settings = pick(
        run,
        "stage1.objectness.",
        "stage1.selection",
        "stage1.nms_",
        "stage2.class_temperature",
        "stage2.region_temperature",
        "teaching.region_weight",
    )
    frozen = run.recipe.teacher.trainable == "head"
    compiled = () if frozen else ("run.compile",)
    teacher = pick(run, "data.", "teacher.", "run.seed", "run.precision", *compiled)
    del teacher["run.seeds"]
    proposals = Step("proposals", "proposals", _proposal_settings(run), (), _proposals)
    kept = _keeps_maps(run)
    before = ("maps",) if kept and frozen else ()
    training = Step("teacher", "teacher", teacher, ("proposals", *before), _teacher, trains=True)
    cache = Step("cache", "cache", cache_settings, ("teacher", *kept), _cache)
    maps = [_maps_step(run)] if kept else []
    first, second = (maps, [training]) if frozen else ([training], maps)
    return [proposals, *first, *second, cache]


def _proposal_settings(run: Run) -> Settings:
    """All settings of the section but those of methods that are not used."""
    settings = pick(run, "proposals.", "data.skip_bad")
    method = run.recipe.proposals.method
    others = {"file": ("file", "outside"), "faster_rcnn": ("detector",)}
    unused = tuple(
        f"proposals.{name}" for other in others if other != method for name in others[other]
    )
    return {key: value for key, value in settings.items() if not key.startswith(unused)}


def _keeps_maps(run: Run) -> tuple[str, ...]:
    """The name of the maps step, if the run has one."""
    return ("maps",) if keeps_maps(run.recipe) else ()


def _maps_step(run: Run) -> Step:
    settings = pick(run, "teacher.level", "stage1.levels")
    return maps_step(run, "maps", "maps", kept_levels, settings)


def _student_steps(run: Run) -> list[Step]:
    common = pick(run, "data.", "student.", "run.precision", "run.compile")
    optim = {f"baseline.optim.{k}": v for k, v in run.recipe.baseline_optim().model_dump().items()}
    if run.recipe.baseline.optim is None:  # then its updates are those of both stages
        budget = ("stage1.enabled", "stage1.optim.epochs", "stage1.optim.batch_size")
        optim |= pick(run, *budget, "stage2.optim.epochs", "stage2.optim.batch_size")
    stage1 = pick(run, "stage1.")
    stage2 = pick(run, "stage2.")
    teaching = pick(run, "teaching.")
    steps = []
    for seed in run.seeds:
        tail = f"/seed-{seed}"
        size = run.recipe.student.input_size
        steps.append(_baseline(f"baseline{tail}", seed, size, {**common, **optim}))
        for other in run.recipe.baseline.input_sizes:
            settings = {**common, **optim, "student.input_size": other}
            steps.append(_baseline(f"baseline-{other}{tail}", seed, other, settings))
        first: tuple[str, ...] = ()
        if run.recipe.stage1.enabled:
            first = (f"stage1{tail}",)
            settings = {**common, **stage1, **teaching, "seed": seed}
            needs = ("teacher", "cache", *_keeps_maps(run))
            steps.append(Step(*first, "stage1", settings, needs, _stage1(seed), trains=True))
        settings = {**common, **stage2, **teaching, "seed": seed}
        needs = ("teacher", "cache", *first)
        second = f"stage2{tail}"
        steps.append(Step(second, "stage2", settings, needs, _stage2(seed), trains=True))
    return steps


def _baseline(name: str, seed: int, size: int, settings: Settings) -> Step:
    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.training_steps import train_baseline  # noqa: PLC0415

        return train_baseline(run, folder, seed, size)

    return Step(name, "baseline", {**settings, "seed": seed}, (), action, trains=True)


def _stage1(seed: int) -> Action:
    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.feature_training import train_stage1  # noqa: PLC0415
        from boxless.runs.teacher_check import check_teacher  # noqa: PLC0415
        from boxless.runs.training_steps import weights_of  # noqa: PLC0415

        teacher = weights_of(run.folder / "teacher")
        features = own_method(run.recipe).features
        found = check_teacher(run, folder, seed)
        return found | train_stage1(run, folder, seed, teacher, run.folder / "cache", features)

    return action


def _stage2(seed: int) -> Action:
    def action(run: Run, folder: Path) -> dict[str, Any]:
        from boxless.runs.teacher_check import check_teacher  # noqa: PLC0415
        from boxless.runs.training_steps import train_stage2, weights_of  # noqa: PLC0415

        first = weights_of(run.folder / "stage1" / f"seed-{seed}")
        stage1 = first if run.recipe.stage1.enabled else None
        teacher = weights_of(run.folder / "teacher")
        # With stage 1 it was looked at there.
        found = {} if run.recipe.stage1.enabled else check_teacher(run, folder, seed)
        return found | train_stage2(run, folder, seed, teacher, run.folder / "cache", stage1)

    return action


def _proposals(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.proposal_step import extract_proposals  # noqa: PLC0415

    return extract_proposals(run, folder)


def _teacher(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.training_steps import train_teacher  # noqa: PLC0415

    return train_teacher(run, folder)


def _cache(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.training_steps import cache_teacher, weights_of  # noqa: PLC0415

    return cache_teacher(run, folder, weights_of(run.folder / "teacher"))


def _evaluate(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.evaluation import evaluate  # noqa: PLC0415

    return evaluate(run, folder)


def _calibrate(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.calibration_step import calibrate  # noqa: PLC0415

    return calibrate(run, folder)


def _locate(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.location_step import locate_arms  # noqa: PLC0415

    return locate_arms(run, folder)


def _export(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.export import export_student  # noqa: PLC0415

    return export_student(run, folder)


def _report(run: Run, folder: Path) -> dict[str, Any]:
    from boxless.runs.reporting import write_results  # noqa: PLC0415

    return write_results(run, folder)
