"""Whole commands in one, two and three forked processes; a script of `test_torchrun`.

``python several_runs.py FOLDER`` runs each of `RUNS` into a folder of its name.
"""

import importlib
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from command_line import train_words
from forked import launch
from preloaded import MODULES, die_at_change

SPEC = "scenes:train=40,test=8,size=64"
PLAIN = (
    *("--teacher.optim.optimizer", "sgd", "--teacher.dropout", "0", "--teacher.optim.lr", "1e-3"),
    *("--student.dropout", "0", "--stage1.optim.optimizer", "sgd", "--stage1.optim.lr", "1e-5"),
    *("--stage2.optim.optimizer", "sgd", "--stage2.optim.schedule", "plateau"),
    *("--teacher.folds", "2", "--teacher.trainable", "head"),
    *("--data.tags", "16"),  # the others are untagged: few of a batch have tags, unevenly dealt
)
"""Nothing that chance or an adaptive rate would make different."""

RUNS = {
    # name: processes, verb, settings, changes of files after which the first process dies
    "one": (1, "distill", PLAIN, 0),
    "two": (2, "distill", PLAIN, 0),
    "undisturbed": (2, "baseline", (), 0),
    "killed": (2, "baseline", (), 12),
    "on-three": (3, "baseline", (), 0),  # of a copy of the killed one
}


def command(out, verb, more, dies):
    from boxless.cli.app import main

    log = os.open(out.parent / f"{out.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if dies and os.environ["RANK"] == "0":
        below = str(out / "students/plain")
        die_at_change(dies, below, below, signal.SIGKILL)
    words = train_words(out, "--run.checkpoint_seconds", "0", *more, verb=verb, spec=SPEC)
    sys.argv = ["boxless", *words]
    main()


def run(out, name):
    count, verb, more, dies = RUNS[name]
    launch(count, out / f"{name}.ended", partial(command, out / name, verb, more, dies))


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(module)
    os.fsync = lambda _: None  # checkpoints after every update would wait for the disk
    out = Path(sys.argv[1])
    for name in RUNS:
        if name == "on-three":
            shutil.copytree(out / "killed", out / name)
        run(out, name)
