"""``boxless predict``: label images with an exported student."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from boxless.cli.options import LOCAL, EngineOptions
from boxless.files.console import plain_console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from boxless.errors import BoxlessError
    from boxless.files.engine import Engine
    from boxless.files.paths import AnyPath, RemotePath
    from boxless.inference.prediction import Prediction
    from boxless.inference.predictor import Predictor
    from boxless.inference.result_files import ResultWriter
    from boxless.inference.sources import Source

Format = Literal["table", "json", "jsonl", "csv", "parquet", "coco"]
_FORMATS: dict[str, Format] = {
    ".json": "json", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet",
}  # fmt: skip
_STDIN = "stdin"  # what results call the image read from there


def predict(
    model: str,
    images: Annotated[list[str], Parameter(allow_leading_hyphen=True)],  # "-" is stdin
    *,
    top: int | None = None,
    threshold: float | None = None,
    format: Format | None = None,  # noqa: A002  (the name of the option)
    out: str | None = None,
    boxes: bool = False,
    draw: Path | None = None,
    heat_map: bool = False,
    json: bool = False,
    overwrite: bool = False,
    batch_size: int = 16,
    threads: int = 0,
    where: EngineOptions = LOCAL,
) -> None:
    """Label images with an exported student.

    Needs neither PyTorch nor the data set: the exported file is enough. Shown are the labels whose
    probability reaches the threshold that the file knows for each class. Images that cannot be read
    are listed at the end, and the exit code is 1 then; all others are labelled.

    For example:

        boxless predict runs/first street.jpg

        boxless predict student.onnx photos/ --boxes --draw drawn/

        boxless predict student.onnx 'photos/**/*.jpg' --out labels.csv

        curl -s URL | boxless predict runs/first -

        boxless predict student.onnx s3://bucket/photos --out s3://bucket/labels.csv

    Args:
        model: Exported student (.onnx), or a run folder.
        images: Image files, folders to search for images, or patterns such as '**/*.jpg'; paths, or
            addresses, such as s3://bucket/photos; - reads one image from stdin.
        top: Show this many labels, the most probable ones, whatever their thresholds.
        threshold: One threshold for all classes, instead of the file's own.
        format: table (terminal), json (a list), jsonl (one object per line), csv, parquet, or coco;
            by default what the suffix of --out says, else table.
        out: File or object to write to, instead of the terminal; predictions that are there are
            replaced in one step at the end.
        boxes: Localize the labels that are present: a box for each.
        draw: Folder for annotated pictures.
        heat_map: Lay the heat map of the most probable label over each picture.
        json: Short for --format jsonl.
        overwrite: Replace files too that boxless did not write.
        batch_size: Images computed together; changes speed and memory, not the labels.
        threads: Threads that one batch is computed with; 0 takes all cores (with ray: 1 each).
        where: Where images are worked on.
    """
    from boxless.cli.predict_targets import refuse_to_replace
    from boxless.files.paths import place
    from boxless.files.progress import ImageProgress
    from boxless.files.ray_engine import engine_beyond
    from boxless.inference.drawing import picture_paths
    from boxless.inference.predictor import Predictor

    target = None if out is None else place(out)
    kind = _kind("jsonl" if json and format is None else format, target)
    _check(top, threshold, draw, heat_map=heat_map)
    predictor = Predictor.load(model, threads=threads)
    if threshold is not None:
        predictor = predictor.with_threshold(threshold)
    failures: list[tuple[str, str]] = []
    found = _find(images, failures)
    located = boxes or kind == "coco" or (draw is not None and predictor.has_maps)
    pictures = {} if draw is None else picture_paths(draw, [_name(source) for source in found])
    refuse_to_replace(target, pictures, overwrite=overwrite)
    with ExitStack() as stack:
        chosen = stack.enter_context(engine_beyond(where.engine, address=where.ray_address))
        writer = _writer(kind, target, predictor, stack)
        show = sys.stderr.isatty() and not (out is None and sys.stdout.isatty())
        progress = stack.enter_context(ImageProgress("labelling", len(found), show=show))

        def unreadable(source: "Source", error: "BoxlessError") -> None:
            reason = error.message
            if isinstance(source, bytes):
                reason = f"{_STDIN}: {reason.removeprefix('image: ')}"
            failures.append((_name(source), reason))
            progress.advance()

        labelled = _labelled(chosen, predictor, found, threads)
        stream = labelled(boxes=located, batch_size=batch_size, on_error=unreadable)
        for prediction in stream:
            shown = _chosen(prediction, top, ranked=threshold is None)
            writer.write(shown)
            progress.advance()
            if draw is not None:
                _draw(prediction, pictures[str(shown.path)], failures, heat_map=heat_map)
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
    return replace(prediction, path=prediction.path or _STDIN, labels=labels[:top])


def _name(source: "Source") -> str:
    return _STDIN if isinstance(source, bytes) else str(source)


def _find(words: list[str], failures: list[tuple[str, str]]) -> "list[Source]":
    """Files as given, folders searched to the bottom, patterns resolved; stdin as its content."""
    from inspect import signature

    from boxless.data.find_images import find_images, match_images
    from boxless.errors import ConfigError, DataError, unknown_name
    from boxless.files.paths import RemotePath, is_url

    options = [word for word in words if word.startswith("-") and word != "-"]
    if options and not Path(options[0]).exists():
        names = (*signature(predict).parameters, *EngineOptions.__dataclass_fields__)
        known = (f"--{name.replace('_', '-')}" for name in names)
        raise ConfigError(unknown_name("option", options[0], known))
    found: list[Source] = []
    for word in words:
        try:
            if word == "-":
                found.append(sys.stdin.buffer.read())
            elif word.startswith(("http://", "https://")):
                found.append(word)  # a "?" begins its query and is no pattern
            elif is_url(word):
                found += map(str, _find_remote(RemotePath(word)))
            elif Path(word).is_dir():
                found += map(str, find_images(Path(word), on_note=_tell))
            elif not Path(word).exists() and any(sign in word for sign in "*?["):
                found += map(str, match_images(word))
            else:
                found.append(word)
        except DataError as error:
            failures.append((word, error.message))
    return found


def _tell(note: str) -> None:
    sys.stderr.write(f"{note}\n")


def _find_remote(word: "RemotePath") -> "Sequence[AnyPath]":
    """An object, those below a folder, or those that a pattern fits."""
    from boxless.data.find_images import find_images, match_images

    if any(sign in word.url for sign in "*?["):
        return match_images(word.url)
    return [word] if word.is_file() else find_images(word)


def _labelled(
    engine: "Engine | None", predictor: "Predictor", found: "list[Source]", threads: int
) -> "Callable[..., Iterator[Prediction]]":
    """The way to label images here, or on an engine."""
    from functools import partial

    from boxless.errors import ConfigError
    from boxless.inference.elsewhere import stream_elsewhere

    if engine is None:
        return partial(predictor.stream, found)
    paths = [source for source in found if isinstance(source, str)]
    if len(paths) < len(found):
        raise ConfigError("an engine's workers cannot read stdin", hint="save the image first")
    return partial(stream_elsewhere, engine, predictor, paths, threads=threads or 1)


def _draw(
    prediction: "Prediction", path: Path, failures: list[tuple[str, str]], *, heat_map: bool
) -> None:
    """Write an annotated picture; an image that cannot be read again is a failure."""
    from boxless.errors import DataError
    from boxless.inference.drawing import save_picture

    try:
        picture = prediction.draw(heat=prediction.labels[0].name if heat_map else None)
    except DataError as error:
        failures.append((str(prediction.path), error.message))
    else:
        save_picture(picture, path)


def _writer(
    kind: Format, out: "AnyPath | None", predictor: "Predictor", stack: ExitStack
) -> "ResultWriter":
    from boxless.cli.predict_table import Table
    from boxless.files.atomic import replacing
    from boxless.inference.result_files import WRITERS

    if kind == "table":
        return Table()
    file = sys.stdout.buffer if out is None else stack.enter_context(replacing(out))
    return WRITERS[kind](file, predictor.classes)


def _report(failures: list[tuple[str, str]], *, total: int) -> None:
    """List what could not be read, on stderr, and end with exit code 1 if there is any."""
    if not failures:
        return
    console = plain_console(stderr=True)
    for _, reason in failures:
        console.print(reason, style="red")
    count = len(failures)
    console.print(f"{count} of {max(total, count)} could not be read", style="red")
    raise SystemExit(1)
