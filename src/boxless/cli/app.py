"""The ``boxless`` command: verbs are imported when called, errors printed without traceback."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cyclopts import App, CycloptsError, MissingArgumentError
from rich.console import Console
from rich.text import Text

from boxless import __version__
from boxless.errors import BoxlessError, ConfigError, PeerError, package_fault, system_fault
from boxless.files.console import escape_what_streams_lack, plain_console
from boxless.files.launched import launched, quiet_unless_first

VERBS = (
    ("train", "train:train", "Everything: from tags to a distilled, evaluated, exported student."),
    ("proposals", "proposals:app", "Propose regions for every image and measure their recall."),
    ("teacher", "train:teacher", "Train the teacher on the tags."),
    ("cache", "train:cache", "Run the teacher once and keep what it knows."),
    ("baseline", "train:baseline", "Train the student without distillation."),
    ("distill", "train:distill", "Train the distilled student."),
    ("evaluate", "train:evaluate", "Measure all variants on the test images."),
    ("calibrate", "train:calibrate", "Fit temperatures and thresholds on held-out images."),
    ("locate", "train:locate", "See where students look: boxes from class maps, measured."),
    ("export", "export:export", "Deliver a run's student: ONNX, int8, or a Hub folder."),
    ("report", "train:report", "Write results.json and report.html again."),
    ("experiments", "experiments:app", "The paper's tables and the learning curve of tags."),
    ("predict", "predict:predict", "Label images with an exported student; needs no torch."),
    ("serve", "serve:serve", "Serve an exported student over HTTP, with a page; needs no torch."),
    ("data", "data:app", "Check a data set and its tags, or convert it."),
    ("recipes", "recipes:app", "List, show, copy and check recipes."),
    ("weights", "weights:app", "Convert ImageNet weights of other frameworks."),
    ("verify", "verify:verify", "Look for damaged files in a run folder or store, and repair it."),
    ("doctor", "doctor:doctor", "Report versions, and what is missing for which part."),
)


def command_line(asked: str = "") -> App:
    """The command with all its verbs; the one that is asked for tells all of its help itself."""
    app = App(
        name="boxless",
        version=__version__,
        help="Train a small multi-label classifier from image tags alone, with no bounding boxes,"
        " and see where it looks.\n\n"
        "Start with `boxless train scenes: --recipe demo --out runs/demo`.",
        help_format="plaintext",  # verbs have markdown, whose parser takes a third of the start-up
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # `main` tells how to resume
    )
    for place, (name, target, text) in enumerate(VERBS):
        markdown = {} if target.endswith(":app") else {"help_format": "markdown"}
        listed = {} if name == asked else {"help": text}
        app.command(f"boxless.cli.{target}", name=name, sort_key=place, **markdown, **listed)
    app.register_install_completion_command(help="Have this shell complete words.")
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Words after ``boxless``; default: the process's own.
    """
    escape_what_streams_lack()
    console = plain_console(stderr=True)
    # Fewer spinning threads when commands share a machine; a user's own setting wins.
    os.environ.setdefault("KMP_BLOCKTIME", "1")
    with _noted_interrupts() as interrupts:
        try:
            console.quiet = launched().rank > 0
            words = sys.argv[1:] if arguments is None else arguments
            verb = words[0] if words else ""
            _refuse_several(verb)
            with quiet_unless_first():
                command_line(verb)(words, exit_on_error=False, print_error=False)
        except (Exception, KeyboardInterrupt) as error:
            # A library that is interrupted may raise an error of its own instead.
            code = _stopped(console) if interrupts else _told(error, console)
            if code is None:
                raise
            sys.exit(code)


@contextmanager
def _noted_interrupts() -> Iterator[list[int]]:
    """Note each SIGINT in a list, beside raising what it raises."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        signal.default_int_handler(number, frame)

    own = threading.current_thread() is threading.main_thread()
    own = own and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if own:
        signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        if own:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _stopped(console: Console) -> int:
    console.print("stopped; run the same command again to resume from the last checkpoint")
    return 130


def _told(error: BaseException, console: Console) -> int | None:
    """Print what went wrong; the exit code, or None for an error that nobody foresaw."""
    if isinstance(error, KeyboardInterrupt):
        return _stopped(console)
    if isinstance(error, MissingArgumentError) and error.argument and error.command_chain:
        verb = f"boxless {' '.join(error.command_chain)}"
        named, place = error.argument.names[0], error.argument.index is not None
        wanted = named.lstrip("-").replace("-", "_").upper() if place else f"a value for {named}"
        _print_error(console, f"`{verb}` needs {wanted}")
        console.print(f"  -> `{verb} --help` says what that is")
        return 2
    if isinstance(error, CycloptsError):
        _print_error(console, str(error))
        console.print(
            "  -> `boxless --help` lists the commands, `boxless COMMAND --help` explains one"
        )
        return 2
    if isinstance(error, BrokenPipeError):
        return 141
    fault: BaseException | None = error
    if isinstance(error, OSError):
        fault = system_fault(error)
    elif isinstance(error, ImportError):
        fault = package_fault(error)
    if not isinstance(fault, BoxlessError):
        return None
    if console.quiet and not isinstance(fault, PeerError):  # it has something of its own to say
        console.quiet = False
        console.print(f"{launched()}: ", end="")
    _print_error(console, str(fault))
    return 2


def _print_error(console: Console, message: str) -> None:
    console.print(Text("error:", "bold red"), message)


def _refuse_several(verb: str) -> None:
    """Only what trains is done by several processes together."""
    names = {name: target.startswith("train:") for name, target, _ in VERBS}
    count = launched().count
    if count > 1 and not names.get(verb, True):
        raise ConfigError(
            f"`boxless {verb}` was started in {count} processes, but runs in one",
            hint="start it without torchrun or accelerate launch",
        )
