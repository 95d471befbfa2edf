"""Cost of a distillation step beside a plain fine-tuning step: same student, same images.

Recipe voc-lite0 on real photographs where they are at hand, else on painted scenes. A step is all
of it: fetching the batch (images kept), forward, loss, backward, optimiser. Kinds of step are timed
in turn. Online steps are those of the authors' code: the teacher runs along in every update.

    python benchmarks/bench_distillation.py [--quick] [--out bench_distillation.json]
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from boxless.runs.map_keeping import maps_for
from boxless.runs.training_steps import teacher_targets
from measure import Figure, interleaved, parser, publish, ratio, some_images, voc_mini

from boxless.recipe.recipe_files import load_recipe
from boxless.recipe.schema import Recipe
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.execute import execute
from boxless.training.clock import Clock
from boxless.training.files import WEIGHTS
from boxless.training.loop import Task, _State
from boxless.training.teacher_cache import TeacherCache

SCENES = "scenes:train=120,test=8"
ONLINE = {
    "teaching.predictions": '"online"',
    "stage1.teacher_maps": '"online"',
    "student.resize_from": "320",
    "teacher.folds": "0",
}


class Arm:
    """A training step, one update after the other."""

    def __init__(self, run: Run, task: Task, stage: str, *, regions: int, size: int) -> None:
        optim = run.recipe.stage1.optim if stage == "stage1" else run.recipe.stage2.optim
        run.runtime.place(task.module)
        task.train_mode()
        settings = replace(build.optim_settings(optim), updates=10**6)
        self._state = _State.begin(task, settings, run.runtime)
        dataset = run.dataset(run.train, regions=regions)
        stream = build.stream(dataset, optim, sizes=(size,), seed=0, workers=0)
        self._batches, self._updates = stream.batches(0, 10**6), count()
        self._clock, self._lr = Clock(run.runtime.device), optim.lr

    def step(self) -> None:
        """One update, its batch fetched too."""
        with self._clock.running():
            with self._clock.part("loader"):
                batch = next(self._batches)
            self._state.update(batch, next(self._updates), self._lr, 0.0)
            self._clock.end_update()

    def profile(self) -> Mapping[str, Any]:
        """Mean milliseconds by part."""
        return self._clock.summary()


def prepared(folder: Path, spec: str, recipe: Recipe, images: int) -> Run:
    """A run whose teacher is trained and cached."""
    run = Run(folder, spec, recipe, some_images(spec, images))
    execute(run, until="cache")
    return run


def cached_arms(run: Run) -> dict[str, Arm]:
    """Plain step and both stages with everything cached."""
    recipe, classes = run.recipe, len(run.classes)
    size, weights = recipe.student.input_size, run.folder / "teacher" / WEIGHTS
    targets, _ = teacher_targets(run, weights, run.folder / "cache")
    students = [build.student(recipe, classes) for _ in range(3)]
    teacher = build.teaching_detector(recipe, classes, weights)
    objectness = TeacherCache(run.folder / "cache", len(run.train)).objectness
    maps = maps_for(run, recipe.stage1.levels)
    plain = build.baseline_task(recipe.stage2.optim, students[0])
    first = build.region_task(recipe, students[1], teacher, objectness, maps)
    second = build.stage2_task(recipe, students[2], classes, targets)
    return {
        "plain": Arm(run, plain, "stage2", regions=0, size=size),
        "stage 1": Arm(run, first, "stage1", regions=recipe.stage1.regions, size=size),
        "stage 2": Arm(run, second, "stage2", regions=0, size=size),
    }


def online_arms(run: Run) -> dict[str, Arm]:
    """Both stages with the teacher running along."""
    recipe, classes = run.recipe, len(run.classes)
    size, weights = recipe.teacher.input_size, run.folder / "teacher" / WEIGHTS
    teachers = [build.teaching_detector(recipe, classes, weights) for _ in range(2)]
    for teacher in teachers:
        run.runtime.place(teacher)
    objectness = TeacherCache(run.folder / "cache", len(run.train)).objectness
    first = build.region_task(recipe, build.student(recipe, classes), teachers[0], objectness, None)
    targets = build.online_targets(recipe, teachers[1])
    second = build.stage2_task(recipe, build.student(recipe, classes), classes, targets)
    regions = recipe.teacher.regions
    return {
        "stage 1 online": Arm(run, first, "stage1", regions=regions, size=size),
        "stage 2 online": Arm(run, second, "stage2", regions=regions, size=size),
    }


def figures(spent: Mapping[str, list[float]], facts: Mapping[str, Any]) -> list[Figure]:
    """Ratios round by round."""
    plain = spent["plain"]
    both = [(a + b) / 2 for a, b in zip(spent["stage 1"], spent["stage 2"], strict=True)]
    online = [
        (a + b) / 2 for a, b in zip(spent["stage 1 online"], spent["stage 2 online"], strict=True)
    ]
    return [
        Figure("distillation step, both stages / plain step", ratio(both, plain), "lower", 1.10,
               1.03, facts),
        Figure("stage 1 step / plain step", ratio(spent["stage 1"], plain), "lower", 1.10, 1.03),
        Figure("stage 2 step / plain step", ratio(spent["stage 2"], plain), "lower", 1.10, 1.03),
        Figure("online teacher step / cached step, both stages", ratio(online, both)),
        Figure("stage 1: online / cached", ratio(spent["stage 1 online"], spent["stage 1"])),
        Figure("stage 2: online / cached", ratio(spent["stage 2 online"], spent["stage 2"])),
    ]  # fmt: skip


def main() -> None:
    """Prepare, time and publish."""
    options = parser(__doc__, "distillation").parse_args()
    photos = voc_mini()
    spec = SCENES if photos is None or options.quick else f"voc:{photos}"
    images = 40 if options.quick else 96
    rounds = options.rounds or (1 if options.quick else 9)
    common = {"teacher.optim.epochs": "0.5"}
    with tempfile.TemporaryDirectory() as name:
        run = prepared(Path(name) / "cached", spec, load_recipe("voc-lite0", common), images)
        along = prepared(
            Path(name) / "online", spec, load_recipe("voc-lite0", common | ONLINE), images
        )
        arms = {**cached_arms(run), **online_arms(along)}
        for _ in range(2 if options.quick else len(run.train) // 16 + 1):
            for kind in ("plain", "stage 1", "stage 2"):
                arms[kind].step()  # until all images are kept
        repeats = 1 if options.quick else 4
        spent = interleaved(
            {kind: arm.step for kind, arm in arms.items()},
            rounds,
            repeats={kind: 1 if "online" in kind else repeats for kind in arms},
        )
    facts = {
        "data": spec.partition(":")[0],
        "milliseconds": {kind: [1000 * t for t in found] for kind, found in spent.items()},
        "profile": {kind: arm.profile() for kind, arm in arms.items()},
    }
    publish("a distillation step beside a plain step, voc-lite0", figures(spent, facts), options)


if __name__ == "__main__":
    main()
