"""``boxless predict``: label images with an exported student."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from boxless.inference.prediction import Label, Prediction

_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
)


def predict(
    run: Path,
    images: list[Path],
    *,
    top: int = 5,
    threshold: float | None = None,
    json: bool = False,
) -> None:
    """Label images with the student of a run.

    Needs neither PyTorch nor the data set: the exported file is enough. Images that cannot be read
    are listed at the end, and the exit code is 1 then.

    Examples:
        boxless predict runs/first street.jpg

        boxless predict student.onnx photos/ --threshold 0.5 --json > labels.jsonl

    Args:
        run: Run folder, or an exported student (.onnx).
        images: Image files, or folders to search for images.
        top: Most labels shown for an image.
        threshold: Show only labels more probable than this.
        json: Print one JSON object a line for each image.
    """
    from rich.console import Console

    from boxless.errors import BoxlessError, ConfigError
    from boxless.inference.predictor import Predictor, Source

    if top < 1:
        raise ConfigError(f"--top must be at least 1, found {top}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"--threshold must be between 0 and 1, found {threshold}")
    predictor = Predictor.load(run)
    failures: list[tuple[str, str]] = []

    def failed(source: Source, error: BoxlessError) -> None:
        failures.append((str(source), error.message))

    found = _find_images(images, failures)
    console = Console()
    for prediction in predictor.stream(_watched(found), on_error=failed):
        shown = prediction.top(top)
        if threshold is not None:
            shown = tuple(label for label in shown if label.probability > threshold)
        if json:
            _print_json(prediction, shown)
        else:
            _print_table(console, prediction, shown)
    _report(failures, total=len(found), json=json)
    if failures:
        raise SystemExit(1)


def _find_images(paths: list[Path], failures: list[tuple[str, str]]) -> list[Path]:
    """Files as given; folders searched to the bottom, sorted, hidden files left out."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
        found += inside
        if not inside:
            failures.append((str(path), f"{path}: no image in this folder"))
    return found


def _watched(paths: list[Path]) -> Iterator[Path]:
    """Show progress on the terminal where the results go elsewhere."""
    import sys

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    quiet = sys.stdout.isatty() or not sys.stderr.isatty()
    columns = (
        TextColumn("labelling"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("labelling", total=len(paths), rate="")
        for path in paths:
            yield path
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate=f"{speed:.1f} images/s" if speed else "")


def _print_json(prediction: "Prediction", shown: "tuple[Label, ...]") -> None:
    from dataclasses import replace
    from json import dumps

    print(dumps(replace(prediction, labels=shown).to_dict(), ensure_ascii=False), flush=True)


def _print_table(console: "Console", prediction: "Prediction", shown: "tuple[Label, ...]") -> None:
    """The file's name and, below it, one line a label with a bar."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    console.print(str(prediction.path), style="bold", soft_wrap=True, markup=False, highlight=False)
    if not shown:
        console.print("  no label above the threshold", style="dim")
        return
    table = Table.grid(padding=(0, 1))
    for label in shown:
        bar = ProgressBar(total=1.0, completed=label.probability, width=20)
        table.add_row(" ", f"{label.probability:.3f}", bar, Text(label.name))
    console.print(table)


def _report(failures: list[tuple[str, str]], *, total: int, json: bool) -> None:
    """List what could not be read: as JSON lines where asked for, else on stderr."""
    if not failures:
        return
    if json:
        from json import dumps

        for path, reason in failures:
            print(dumps({"path": path, "error": reason}, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(stderr=True)
    for _, reason in failures:
        console.print(reason, style="red", soft_wrap=True, markup=False, highlight=False)
    console.print(f"{len(failures)} of {max(total, len(failures))} could not be read", style="red")
