"""Train small models in one, two and three forked processes; a script, so that nothing is shared.

``python several_case.py FOLDER`` leaves everything that `test_several_processes` looks at.
"""

import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import torch
from forked import launch
from task_case import FOLDS, classifier_task, region_task, student, teacher, teacher_task
from training_case import REGIONS, settings, stream

from boxless.training.loop import train
from boxless.training.processes import joined
from boxless.training.runtime import Runtime

PLAIN = {"optimizer": "sgd", "lr": 1e-3, "clip_norm": 1.0}

CASES = {
    "teacher": (
        lambda: teacher_task(heads=3, folds=FOLDS, detector=teacher(3, dropout=0.0)),
        PLAIN,
    ),
    "baseline": (lambda: classifier_task(model=student(dropout=0.0)), PLAIN | {"ema": 0.9}),
    "stage2": (lambda: classifier_task(soft="bce", learn=True, model=student(dropout=0.0)), PLAIN),
    "stage1": (
        lambda: region_task(model=student(dropout=0.0)),
        PLAIN | {"schedule": "plateau", "epochs": 2.4},
    ),
}
THREE = ("teacher", "baseline")
DROPOUT = (classifier_task, {"ema": 0.5})


def train_one(case, folder, processes, task=None):
    """Train a case, with a checkpoint after every update."""
    build, options = case
    task = task or build()
    if processes.rank:  # the first process's weights count
        with torch.no_grad():
            for value in task.module.parameters():
                value.add_(1)
    runtime = Runtime(processes=processes, threads=1)
    regions = 0 if getattr(task, "logits", False) else REGIONS
    torch.manual_seed(77)

    def held_out():
        return runtime.total(1.0 + processes.rank)  # never better: the rate falls

    train(
        task,
        stream(regions, batch_size=4),
        settings(**options),
        folder=folder,
        runtime=runtime,
        title=folder.name,
        checkpoint_seconds=-1.0,
        validate=held_out if options.get("schedule") == "plateau" else None,
    )


class Disturbed:
    """A task that something happens to in the last process's third update."""

    def __init__(self, task, what, processes):
        self.task, self.what = task, what
        self.left = 2 if processes.rank == processes.count - 1 else 1 << 30
        self.module, self.is_new, self.train_mode = task.module, task.is_new, task.train_mode

    def losses(self, batch):
        self.left -= 1
        losses = self.task.losses(batch)
        return losses if self.left >= 0 else self.what(losses)


def kill(losses):
    os.kill(os.getpid(), signal.SIGKILL)


def not_a_number(losses):
    return losses | {"loss": losses["loss"] * torch.nan}


def main(out):
    os.fsync = lambda _: None  # checkpoints after every update would wait for the disk

    def all_cases(folder):
        with joined() as processes:
            for name, case in CASES.items():
                if processes.count < 3 or name in THREE:
                    train_one(case, folder / name, processes)

    def again(folder, case):
        with joined() as processes:
            train_one(case, folder, processes)

    def disturbed(folder, case, what):
        with joined() as processes:
            train_one(case, folder, processes, Disturbed(case[0](), what, processes))

    def start(count, name, body, *more):
        launch(count, out / name, partial(body, out / name, *more))

    for name, count in (("one", 1), ("two", 2), ("three", 3)):
        start(count, name, all_cases)
    start(2, "dropout", again, DROPOUT)
    start(2, "killed", disturbed, DROPOUT, kill)
    start(2, "killed", again, DROPOUT)
    plain = CASES["baseline"]
    start(2, "plain-killed", disturbed, plain, kill)
    for count in (1, 3):
        other = f"plain-killed-{count}"
        shutil.copytree(out / "plain-killed", out / other)
        start(count, other, again, plain)
    start(2, "nan", disturbed, DROPOUT, not_a_number)
    start(5, "five", again, DROPOUT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
