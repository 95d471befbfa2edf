"""The command line in processes that are cheap to start, so that many can be killed.

Imports everything once, then forks a process for every command read from standard input: a real
process that can be killed, without the seconds that importing torch takes.

One JSON object a line: ``{"words": [...], "log": FILE, "cwd": DIR, "after": N, "below": DIR}``.
Answers with ``{"pid": N}`` at once and ``{"code": N}`` at its end. With ``after``, the process
kills itself before its N-th change of the file system below the folder ``below``.
"""

import importlib
import json
import os
import signal
import sys
from pathlib import Path

MODULES = (
    "torch", "torchvision", "timm", "accelerate", "onnx", "onnxscript", "onnxruntime", "jinja2",
    "torch.onnx._internal.exporter._core", "boxless.cli.train", "boxless.cli.predict",
    "boxless.pipeline.execute", "boxless.pipeline.training_steps", "boxless.pipeline.reporting",
    "boxless.pipeline.export", "boxless.pipeline.proposal_step", "boxless.inference.predictor",
)  # fmt: skip
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")


def die_at_change(number: int, below: str) -> None:
    """Kill this process before its n-th change of the file system below a folder."""
    left = number

    def watch(event: str, args: tuple) -> None:
        nonlocal left
        if event == "open":
            changes = isinstance(args[1], str) and any(c in args[1] for c in "wax+")
        else:
            changes = event in CHANGES
        if changes and not isinstance(args[0], int) and os.fspath(args[0]).startswith(below):
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def child(command: dict) -> None:
    os.chdir(command["cwd"])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if command.get("after"):
        die_at_change(command["after"], command["below"])
    from boxless.cli.app import main

    sys.argv = ["boxless", *command["words"]]
    main()


def answer(value: dict) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def warm_up() -> None:
    """Export once: torch fills tables then that take seconds and are kept."""
    import torch

    torch.onnx.export(torch.nn.Linear(1, 1).eval(), (torch.zeros(1, 1),), verbose=False)


def serve() -> None:
    for name in MODULES:
        importlib.import_module(name)
    warm_up()
    answer({"ready": True})
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                child(json.loads(line))
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        answer({"pid": pid})
        answer({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
    serve()
