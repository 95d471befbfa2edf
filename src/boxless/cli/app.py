"""The ``boxless`` command: verbs are imported when they are called, errors printed without traceback."""

import os
import sys

from cyclopts import App, CycloptsError
from rich.console import Console

from boxless import __version__
from boxless.errors import BoxlessError

app = App(
    name="boxless",
    version=__version__,
    help="Turn images that carry only tags into a fast multi-label classifier that learned where to"
    " look.\n\nStart with `boxless train scenes: --recipe demo --out runs/demo`.",
    result_action="return_value",
)

VERBS = {
    "train": "boxless.cli.train:train",
    "proposals": "boxless.cli.proposals:proposals",
    "teacher": "boxless.cli.train:teacher",
    "cache": "boxless.cli.train:cache",
    "baseline": "boxless.cli.train:baseline",
    "distill": "boxless.cli.train:distill",
    "evaluate": "boxless.cli.train:evaluate",
    "export": "boxless.cli.train:export",
    "report": "boxless.cli.train:report",
    "predict": "boxless.cli.predict:predict",
    "data": "boxless.cli.data:app",
    "recipes": "boxless.cli.recipes:app",
    "doctor": "boxless.cli.doctor:doctor",
}
for _name, _target in VERBS.items():
    app.command(_target, name=_name)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Words after ``boxless``; default: the process's own.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    # Fewer spinning threads when commands share a machine; a user's own setting wins.
    os.environ.setdefault("KMP_BLOCKTIME", "1")
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        console.print(f"[bold red]error:[/] {error}", markup=True)
        console.print("  -> `boxless --help` lists the commands, `boxless COMMAND --help` explains one")
        sys.exit(2)
    except BoxlessError as error:
        console.print("[bold red]error:[/] ", end="")
        console.print(str(error), markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("stopped; run the same command again to go on from the last checkpoint")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
