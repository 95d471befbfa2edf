"""``boxless predict``: label images with an exported student."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from boxless.cli.options import LOCAL, EngineOptions
from boxless.files.console import plain_console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boxless.errors import BoxlessError
    from boxless.files.engine import Engine
    from boxless.files.paths import AnyPath
    from boxless.inference.prediction import Prediction
    from boxless.inference.predictor import Predictor
    from boxless.inference.result_files import ResultWriter
    from boxless.inference.sources import Source

Format = Literal["table", "json", "jsonl", "csv", "parquet", "coco"]
_FORMATS: dict[str, Format] = {
    ".json": "json", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet",
}  # fmt: skip
_STDIN = "stdin"  # what results call the image read from there


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ResultOptions:
    """What is shown, and where it goes.

    Attributes:
        top: Show this many labels, the most probable ones, whatever their thresholds.
        threshold: One threshold for all classes, instead of the file's own.
        format: table (terminal), json (a list), jsonl (one object per line), csv, parquet, or coco;
            by default what the suffix of --out says, else table.
        out: File or object to write to, instead of the terminal; predictions that are there are
            replaced in one step at the end.
        json: Short for --format jsonl.
        overwrite: Replace files too that boxless did not write.
    """

    top: int | None = None
    threshold: float | None = None
    format: Format | None = None
    out: str | None = None
    json: bool = False
    overwrite: bool = False


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class PictureOptions:
    """Where in the picture labels are.

    Attributes:
        boxes: Localize the labels that are present: a box for each.
        draw: Folder for annotated pictures.
        heat_map: Lay the heat map of the most probable label over each picture.
    """

    boxes: bool = False
    draw: Path | None = None
    heat_map: bool = False


RESULTS, PICTURES = ResultOptions(), PictureOptions()


def predict(
    model: str,
    images: Annotated[list[str], Parameter(negative=(), allow_leading_hyphen=True)],  # "-": stdin
    *,
    results: ResultOptions = RESULTS,
    pictures: PictureOptions = PICTURES,
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
        results: What is shown, and where it goes.
        pictures: Where in the picture labels are.
        batch_size: Images computed together; changes speed and memory, not the labels.
        threads: Threads that one batch is computed with; 0 takes all cores (with ray: 1 each).
        where: Where images are worked on.
    """
    from boxless.cli.predict_sources import find_sources
    from boxless.errors import ConfigError
    from boxless.files.paths import place
    from boxless.files.ray_engine import engine_beyond
    from boxless.inference.predictor import Predictor

    target = None if results.out is None else place(results.out)
    kind = _kind(results, target)
    _check(results, pictures)
    if threads < 0:
        raise ConfigError(f"--threads must be at least 0, found {threads}")
    predictor = Predictor.load(model, threads=threads)
    if results.threshold is not None:
        predictor = predictor.with_threshold(results.threshold)
    failures: list[tuple[str, str]] = []
    _refuse_options(images)
    found = find_sources(images, failures)
    work = _Work(predictor, found, failures, results, pictures)
    work.refuse_to_replace(target)
    with engine_beyond(where.engine, address=where.ray_address) as engine:
        work.label(_labelled(engine, predictor, found, threads), kind, target, batch_size)
    _report(failures, total=len(found))


@dataclass(frozen=True, slots=True)
class _Work:
    """Images to label, and what becomes of them; those that cannot be read go to `failures`."""

    predictor: "Predictor"
    found: "list[Source]"
    failures: list[tuple[str, str]]
    results: ResultOptions
    pictures: PictureOptions

    def drawn(self) -> dict[str, Path]:
        """File of the annotated picture of each image."""
        from boxless.inference.drawing import picture_paths

        folder = self.pictures.draw
        names = [_name(source) for source in self.found]
        return {} if folder is None else picture_paths(folder, names)

    def refuse_to_replace(self, target: "AnyPath | None") -> None:
        """Look at everything that is about to be written."""
        from boxless.cli.predict_targets import refuse_to_replace

        refuse_to_replace(target, self.drawn(), overwrite=self.results.overwrite)

    def label(
        self,
        labelled: "Callable[..., Iterator[Prediction]]",
        kind: Format,
        target: "AnyPath | None",
        batch_size: int,
    ) -> None:
        """Label all images, draw and write."""
        from boxless.files.progress import ProgressBar

        boxes = self.pictures.boxes or kind == "coco"
        boxes = boxes or (self.pictures.draw is not None and self.predictor.has_maps)
        drawn, count = self.drawn(), 0
        show = sys.stderr.isatty() and not (target is None and sys.stdout.isatty())
        with ExitStack() as stack:
            writer = _writer(kind, target, self.predictor, stack)
            progress = stack.enter_context(ProgressBar("labelling", len(self.found), show=show))

            def unreadable(source: "Source", error: "BoxlessError") -> None:
                reason = error.message
                if isinstance(source, bytes):
                    reason = f"{_STDIN}: {reason.removeprefix('image: ')}"
                self.failures.append((_name(source), reason))
                progress.advance()

            for prediction in labelled(boxes=boxes, batch_size=batch_size, on_error=unreadable):
                shown = _chosen(prediction, self.results)
                writer.write(shown)
                progress.advance()
                count += 1
                if drawn:
                    heat_map = self.pictures.heat_map
                    _draw(prediction, drawn[str(shown.path)], self.failures, heat_map=heat_map)
            for path, reason in self.failures:
                writer.failed(path, reason)
            writer.close()
        if target is not None:
            plain_console(stderr=True).print(f"written: {target}, {count} images labelled")


def _kind(results: ResultOptions, out: "AnyPath | None") -> Format:
    from boxless.errors import ConfigError

    kind = results.format
    if results.json:
        named = kind or (out and _FORMATS.get(out.suffix.lower())) or "jsonl"
        if named != "jsonl":
            raise ConfigError(
                f"--json is short for --format jsonl, but {'--format' if kind else 'the suffix'} "
                f"says {named}",
                hint="leave one of them out",
            )
        kind = "jsonl"
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


def _check(results: ResultOptions, pictures: PictureOptions) -> None:
    from boxless.errors import ConfigError

    top, threshold, draw = results.top, results.threshold, pictures.draw
    if top is not None and top < 1:
        raise ConfigError(f"--top must be at least 1, found {top}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"--threshold must be between 0 and 1, found {threshold}")
    if pictures.heat_map and draw is None:
        raise ConfigError("--heat-map is drawn on pictures", hint="give --draw FOLDER too")
    if draw is not None and draw.exists() and not draw.is_dir():
        raise ConfigError(f"--draw {draw} is a file", hint="name a folder")


def _chosen(prediction: "Prediction", results: ResultOptions) -> "Prediction":
    """The prediction with the labels that are to be shown."""
    from dataclasses import replace

    ranked = results.top is not None and results.threshold is None
    labels = prediction.labels if ranked else prediction.present
    return replace(prediction, path=prediction.path or _STDIN, labels=labels[: results.top])


def _name(source: "Source") -> str:
    return _STDIN if isinstance(source, bytes) else str(source)


def _refuse_options(words: list[str]) -> None:
    """Words that look like options, taken for images because "-" is one."""
    from boxless.errors import ConfigError, unknown_name

    options = [word for word in words if word.startswith("-") and word != "-"]
    if not options or Path(options[0]).exists():
        return
    groups = (ResultOptions, PictureOptions, EngineOptions)
    names = [name for group in groups for name in group.__dataclass_fields__]
    known = (f"--{name.replace('_', '-')}" for name in (*names, "batch_size", "threads"))
    raise ConfigError(unknown_name("option", options[0], known))


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
