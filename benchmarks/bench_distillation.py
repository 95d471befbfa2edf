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

from measure import Figure, interleaved, parser, publish, ratio, some_images, voc_mini

from boxless.recipe.recipe_files import load_recipe
from boxless.recipe.schema import Recipe
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.execute import execute
from boxless.runs.phases import Phase, phases_of
from boxless.runs.train_phase import phase_task, regions_of, view_size
from boxless.runs.variant import variants
from boxless.training.batches import Batch
from boxless.training.clock import Clock
from boxless.training.loop import Task, _State

SCENES = "scenes:train=120,test=8"
ONLINE = {
    "teaching.predictions": '"online"',
    "stage1.teacher_maps": '"online"',
    "student.resize_from": "320",
    "teacher.folds": "0",
}


class Stage:
    """A training step, one update after the other."""

    def __init__(self, run: Run, task: Task, stage: str, *, regions: int, size: int) -> None:
        optim = run.recipe.stage1.optim if stage == "stage1" else run.recipe.stage2.optim
        run.runtime.place(task.module)
        task.train_mode()
        settings = replace(build.optim_settings(optim), updates=10**6)
        self.task, self._state = task, _State.begin(task, settings, run.runtime)
        dataset = run.dataset(run.train, regions=regions)
        stream = build.stream(dataset, optim, sizes=(size,), seed=0, workers=run.recipe.run.workers)
        self.batches, self._updates = stream.batches(0, 10**6), count()
        self._clock, self._lr = Clock(run.runtime.device), optim.lr

    def step(self) -> None:
        """One update, its batch fetched too."""
        with self._clock.running():
            with self._clock.part("loader"):
                batch = next(self.batches)
            self.update(batch)
            self._clock.end_update()

    def update(self, batch: Batch) -> None:
        """One update on a batch."""
        self._state.update(batch, next(self._updates), self._lr, 0.0)

    def profile(self) -> Mapping[str, Any]:
        """Mean milliseconds by part."""
        return self._clock.summary()


def prepared(folder: Path, spec: str, recipe: Recipe, images: int) -> Run:
    """A run whose teacher is trained and cached."""
    run = Run(folder, spec, recipe, some_images(spec, images))
    execute(run, until="cache")
    return run


def students_of(run: Run, *, online: bool) -> dict[str, Stage]:
    """Both stages of the run's own method, with the plain student where all is cached."""
    names = ("stage 1 online", "stage 2 online") if online else ("stage 1", "stage 2")
    plain, own = variants(run.recipe)
    phases = dict(zip(names, phases_of(run.recipe, own), strict=True))
    if not online:
        phases = {"plain": phases_of(run.recipe, plain)[0], **phases}
    return {name: _arm(run, phase) for name, phase in phases.items()}


def _arm(run: Run, phase: Phase) -> Stage:
    model = build.student(run.recipe, len(run.classes))
    run.runtime.place(model)
    task, stage = phase_task(run, phase, model), "stage2" if phase.last else "stage1"
    return Stage(run, task, stage, regions=regions_of(run, phase), size=view_size(run, phase))


def figures(spent: Mapping[str, list[float]], facts: Mapping[str, Any]) -> list[Figure]:
    """Ratios round by round."""
    plain = spent["plain"]
    both = [(a + b) / 2 for a, b in zip(spent["stage 1"], spent["stage 2"], strict=True)]
    online = [
        (a + b) / 2 for a, b in zip(spent["stage 1 online"], spent["stage 2 online"], strict=True)
    ]
    return [
        Figure("distillation step, both stages / plain step", ratio(both, plain), "lower", 1.05,
               1.03, facts),
        Figure("stage 1 step / plain step", ratio(spent["stage 1"], plain), "lower", 1.05, 1.03),
        Figure("stage 2 step / plain step", ratio(spent["stage 2"], plain), "lower", 1.05, 1.03),
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
        students = {**students_of(run, online=False), **students_of(along, online=True)}
        for _ in range(2 if options.quick else len(run.train) // 16 + 1):
            for kind in ("plain", "stage 1", "stage 2"):
                students[kind].step()  # until all images are kept
        repeats = 1 if options.quick else 4
        spent = interleaved(
            {kind: student.step for kind, student in students.items()},
            rounds,
            repeats={kind: 1 if "online" in kind else repeats for kind in students},
        )
    facts = {
        "data": spec.partition(":")[0],
        "milliseconds": {kind: [1000 * t for t in found] for kind, found in spent.items()},
        "profile": {kind: student.profile() for kind, student in students.items()},
    }
    publish("a distillation step beside a plain step, voc-lite0", figures(spent, facts), options)


if __name__ == "__main__":
    main()
