"""``boxless predict``: label images with an exported student."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from boxless.files.engine import EngineName

if TYPE_CHECKING:
    from boxless.errors import BoxlessError
    from boxless.files.engine import Engine
    from boxless.files.paths import AnyPath, RemotePath
    from boxless.inference.prediction import Prediction
    from boxless.inference.predictor import Predictor
    from boxless.inference.result_files import ResultWriter

Format = Literal["table", "json", "csv", "parquet", "coco"]
_FORMATS: dict[str, Format] = {
    ".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet",
}  # fmt: skip


def predict(
    model: str,
    images: list[str],
    *,
    top: int | None = None,
    threshold: float | None = None,
    format: Format | None = None,  # noqa: A002  (the name of the option)
    out: str | None = None,
    boxes: bool = False,
    draw: Path | None = None,
    heat_map: bool = False,
    json: bool = False,
    batch_size: int = 16,
    threads: int = 0,
    engine: EngineName = "local",
    ray_address: str = "",
) -> None:
    """Label images with an exported student.

    Needs neither PyTorch nor the data set: the exported file is enough. Shown are the labels whose
    probability reaches the threshold that the file knows for each class. Images that cannot be read
    are listed at the end, and the exit code is 1 then; all others are labelled.

    Examples:
        boxless predict runs/first street.jpg

        boxless predict student.onnx photos/ --boxes --draw drawn/

        boxless predict student.onnx 'photos/**/*.jpg' --out labels.csv

        boxless predict student.onnx s3://bucket/photos --out s3://bucket/labels.csv

    Args:
        model: Exported student (.onnx), or a run folder.
        images: Image files, folders to search for images, or patterns such as '**/*.jpg'; paths, or
            addresses in a store such as s3://bucket/photos.
        top: Show this many labels, the most probable ones, whatever their thresholds.
        threshold: One threshold for all classes, instead of the file's own.
        format: table (terminal), json (one object a line), csv, parquet, or coco; by default what
            the suffix of --out says, else table.
        out: File or object to write to, instead of the terminal; replaced in one step at the end.
        boxes: Say also where the labels were seen.
        draw: Folder for annotated pictures.
        heat_map: Lay the heat map of the most probable label over each picture.
        json: Short for --format json.
        batch_size: Images computed together; changes speed and memory, not the labels.
        threads: Threads that one batch is computed with; 0 takes all cores (with ray: 1 a worker).
        engine: local, or ray: on a Ray cluster, whose machines all see the images under the same
            paths. The results are the same.
        ray_address: Cluster, as HOST:PORT or auto; by default that of RAY_ADDRESS, else a new one
            of this machine alone.
    """
    from boxless.files.paths import place
    from boxless.files.ray_engine import engine_beyond
    from boxless.inference.predictor import Predictor

    target = None if out is None else place(out)
    kind = _kind("json" if json and format is None else format, target)
    _check(top, threshold, draw, heat_map=heat_map)
    predictor = Predictor.load(model, threads=threads)
    if threshold is not None:
        predictor = predictor.with_threshold(threshold)
    failures: list[tuple[str, str]] = []
    found = _find(images, failures)
    located = boxes or kind == "coco" or (draw is not None and predictor.has_maps)
    drawn = None if draw is None else _artist(draw, failures, heat_map=heat_map)
    with ExitStack() as stack:
        chosen = stack.enter_context(engine_beyond(engine, address=ray_address))
        writer = _writer(kind, target, predictor, stack)
        quiet = out is None and sys.stdout.isatty()
        advance = stack.enter_context(_progress(len(found), quiet=quiet))

        def unreadable(source: object, error: "BoxlessError") -> None:
            failures.append((str(source), error.message))
            advance()

        labelled = _labelled(chosen, predictor, found, threads)
        stream = labelled(boxes=located, batch_size=batch_size, on_error=unreadable)
        for prediction in stream:
            writer.write(_chosen(prediction, top, ranked=threshold is None))
            advance()
            if drawn is not None:
                drawn(prediction)
        for path, reason in failures:
            writer.failed(path, reason)
        writer.close()
    _report(failures, total=len(found))


def _kind(kind: Format | None, out: "AnyPath | None") -> Format:
    from boxless.errors import ConfigError

    if kind is None:
        kind = "table" if out is None else _FORMATS.get(out.suffix.lower())
    if kind is None:
        raise ConfigError(
            f"the suffix of --out {out} names no format",
            hint=f"give --format, or one of the suffixes {', '.join(_FORMATS)}",
        )
    if (kind, out is None) in (("parquet", True), ("table", False)):
        problem = "is no text: give --out FILE" if out is None else "is for the terminal"
        raise ConfigError(f"--format {kind} {problem}", hint="--format json or csv goes anywhere")
    return kind


def _check(top: int | None, threshold: float | None, draw: Path | None, *, heat_map: bool) -> None:
    from boxless.errors import ConfigError

    if top is not None and top < 1:
        raise ConfigError(f"--top must be at least 1, found {top}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"--threshold must be between 0 and 1, found {threshold}")
    if heat_map and draw is None:
        raise ConfigError("--heat-map is drawn on pictures", hint="give --draw FOLDER too")
    if draw is not None and draw.exists() and not draw.is_dir():
        raise ConfigError(f"--draw {draw} is a file", hint="name a folder")


def _chosen(prediction: "Prediction", top: int | None, *, ranked: bool) -> "Prediction":
    """The prediction with the labels that are to be shown."""
    from dataclasses import replace

    labels = prediction.labels if top is not None and ranked else prediction.present
    return replace(prediction, labels=labels[:top])


def _find(words: list[str], failures: list[tuple[str, str]]) -> list[str]:
    """Files as given, folders searched to the bottom, patterns resolved."""
    from boxless.data.find_images import find_images, match_images
    from boxless.errors import DataError
    from boxless.files.paths import RemotePath, is_url

    found: list[str] = []
    for word in words:
        try:
            if is_url(word):
                found += map(str, _find_remote(RemotePath(word)))
            elif Path(word).is_dir():
                found += map(str, find_images(Path(word)))
            elif not Path(word).exists() and any(sign in word for sign in "*?["):
                found += map(str, match_images(word))
            else:
                found.append(word)
        except DataError as error:
            failures.append((word, error.message))
    return found


def _find_remote(word: "RemotePath") -> "Sequence[AnyPath]":
    """An object, those below a folder, or those that a pattern fits."""
    from boxless.data.find_images import find_images, match_images

    if any(sign in word.url for sign in "*?["):
        return match_images(word.url)
    return [word] if word.is_file() else find_images(word)


def _labelled(
    engine: "Engine | None", predictor: "Predictor", paths: list[str], threads: int
) -> "Callable[..., Iterator[Prediction]]":
    """The way to label images here, or on an engine."""
    from functools import partial

    from boxless.inference.elsewhere import stream_elsewhere

    if engine is None:
        return partial(predictor.stream, paths)
    return partial(stream_elsewhere, engine, predictor, paths, threads=threads or 1)


def _artist(
    folder: Path, failures: list[tuple[str, str]], *, heat_map: bool
) -> "Callable[[Prediction], None]":
    """A function that draws a prediction into a folder, under a name not used before."""
    from boxless.errors import BoxlessError, ConfigError
    from boxless.inference.drawing import free_name, save_picture

    used: set[str] = set()

    def draw(prediction: "Prediction") -> None:
        heat = prediction.labels[0].name if heat_map else None
        try:
            picture = prediction.draw(heat=heat)
            save_picture(picture, free_name(folder, Path(prediction.path or "image"), used))
        except ConfigError:
            raise
        except BoxlessError as error:
            failures.append((str(prediction.path), error.message))

    return draw


def _writer(
    kind: Format, out: "AnyPath | None", predictor: "Predictor", stack: ExitStack
) -> "ResultWriter":
    from boxless.cli.predict_table import Table
    from boxless.files.atomic import replacing
    from boxless.inference.result_files import open_writer

    if kind == "table":
        return Table()
    file = sys.stdout.buffer if out is None else stack.enter_context(replacing(out))
    return open_writer(kind, file, predictor.classes)


@contextmanager
def _progress(images: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show progress on the terminal where the results go elsewhere; yields what counts an image."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("labelling"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    off = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=off) as progress:
        task = progress.add_task("labelling", total=images, rate="")

        def advance() -> None:
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate=f"{speed:.1f} images/s" if speed else "")

        yield advance


def _report(failures: Iterable[tuple[str, str]], *, total: int) -> None:
    """List what could not be read, on stderr, and end with exit code 1 if there is any."""
    from rich.console import Console

    reasons = [reason for _, reason in failures]
    if not reasons:
        return
    console = Console(stderr=True)
    for reason in reasons:
        console.print(reason, style="red", soft_wrap=True, markup=False, highlight=False)
    count = len(reasons)
    console.print(f"{count} of {max(total, count)} could not be read", style="red")
    raise SystemExit(1)
