"""The command line in processes that are cheap to start, so that many can be killed.

Imports everything once, then forks a process for every command read from standard input: a real
process that can be killed, without the seconds that importing torch takes.

One JSON object a line: ``{"words": [...], "log": FILE, "cwd": DIR}``. Answers with ``{"pid": N}``
at once and ``{"code": N}`` at its end. With ``"after": N`` the process kills itself, by the signal
``signal``, before its N-th change of the file system below the folder ``below``; changes count from
the first one below ``since``, a folder in it. With ``trace``, a folder, it lists the paths it
changes there and keeps each checkpoint it writes.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

MODULES = (
    "torch", "torchvision", "timm", "accelerate", "onnx", "onnxscript", "onnxruntime", "jinja2",
    "torch.onnx._internal.exporter._core", "boxless.cli.train", "boxless.cli.predict",
    "boxless.runs.execute", "boxless.runs.train_phase", "boxless.runs.teacher_steps",
    "boxless.runs.reporting",
    "boxless.runs.export", "boxless.runs.proposal_step", "boxless.inference.predictor",
)  # fmt: skip
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")


def on_change(see: Callable[[str, tuple], None]) -> None:
    """Have this process tell of each change of the file system just before it happens."""

    def watch(event: str, args: tuple) -> None:
        if event == "open":
            changes = isinstance(args[1], str) and any(c in args[1] for c in "wax+")
        else:
            changes = event in CHANGES
        if changes and not isinstance(args[0], int):
            see(event, args)

    sys.addaudithook(watch)


def die_at_change(number: int, below: str, since: str, how: int) -> None:
    """Kill this process before its n-th change of the file system below a folder."""
    left = number
    counts = False

    def see(_: str, args: tuple) -> None:
        nonlocal left, counts
        path = os.fspath(args[0])
        counts = counts or path.startswith(since)
        if counts and path.startswith(below):
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), how)

    on_change(see)


def trace_changes(folder: Path) -> None:
    """List every changed path in ``changes.jsonl``, and keep each checkpoint that is written."""
    listed = os.open(folder / "changes.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    count = 0

    def see(event: str, args: tuple) -> None:
        nonlocal count
        count += 1
        line = {"path": os.fspath(args[0])}
        if event == "os.rename" and os.fspath(args[1]).endswith("/checkpoint.safetensors"):
            line["kept"] = f"{count}.safetensors"
            os.link(args[0], folder / line["kept"])
        os.write(listed, json.dumps(line).encode() + b"\n")

    on_change(see)


def child(command: dict) -> None:
    os.setsid()  # a group of its own, as a shell gives to each command
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(command["cwd"])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if command.get("after"):
        below = command["below"]
        die_at_change(command["after"], below, command.get("since", below), command["signal"])
    if command.get("trace"):
        trace_changes(Path(command["trace"]))
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
    for name in (*MODULES, "tiny_vgg"):  # a network of the tests, which timm then knows
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
    tests = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(tests.parent / "src"))
    sys.path.append(str(tests))
    serve()
