"""Deliver a finished run's student as one file, smaller if asked for, and say what that costs."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from boxless.data.manifest import Manifest
from boxless.errors import RunError
from boxless.files.atomic import write_atomically
from boxless.files.paths import AnyPath
from boxless.files.progress import ProgressBar
from boxless.inference.predictor import Predictor
from boxless.inference.preprocess import normalise
from boxless.inference.student_metadata import StudentMetadata
from boxless.metrics.f1 import f1_report
from boxless.metrics.inputs import known
from boxless.report.part import Shipped
from boxless.runs.context import Run
from boxless.runs.evaluation import map_of
from boxless.runs.export import (
    PARITY_LIMIT,
    best_student,
    onnx_bytes,
    parity,
    require_parity,
    with_metadata,
)
from boxless.runs.quantization import INT8_PLANS, prepare_graph, to_float16, to_int8
from boxless.runs.student_facts import student_metadata
from boxless.runs.variant import trained_as
from boxless.types import Float32Array

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal["float32", "int8", "float16"]

CALIBRATION_IMAGES = 192
BATCH = 16
SPEED_IMAGES = 64
SPEED_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """One file.

    Attributes:
        bytes: Its size.
        images_per_second: Of the graph alone, batches of 16, this machine, best of five rounds.
        difference: Largest difference to PyTorch's probabilities on real images.
        judged_map: mAP on the images it is judged by; None where it was not measured.
        test_map: mAP on the test images; None where it was not measured.
    """

    bytes: int
    images_per_second: float
    difference: float
    judged_map: float | None = None
    test_map: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was delivered.

    Attributes:
        shipped: The student, and why.
        float32: The exact file.
        small: The smaller one, if that was asked for.
        how: How it was made smaller.
        judged_by: Images that accuracy was judged by.
    """

    shipped: Shipped
    float32: Figures
    small: Figures | None = None
    how: str = ""
    judged_by: str = ""


def deliver(
    run: Run,
    out: AnyPath,
    shipped: Shipped,
    *,
    precision: Precision = "float32",
    limit: float = 0.01,
) -> Delivery:
    """Write the student of a finished run as one file.

    Args:
        run: From `boxless.runs.finished.open_run`.
        out: The ONNX file.
        shipped: Which student, from `boxless.runs.export.choose`.
        precision: Numbers that the graph computes with.
        limit: Most mAP, as a share, that a smaller file may lose on held-out images.

    Returns:
        Sizes, speeds and accuracies.

    Raises:
        RunError: The file differs from PyTorch, or a smaller file loses more than the limit;
            nothing is written then.
    """
    variant = trained_as(run.recipe, shipped.variant, shipped.seed)
    model = best_student(run, variant)
    about = student_metadata(run, model, variant)
    with tempfile.TemporaryDirectory(prefix="boxless-") as name:
        exact = Path(name) / "float32.onnx"
        exact.write_bytes(onnx_bytes(model, about))
        difference = parity(run, model, exact, variant)
        require_parity(difference, PARITY_LIMIT)
        if precision == "float32":
            content = exact.read_bytes()
            write_atomically(out, content)
            (speed,) = _speeds(run, [exact])
            return Delivery(shipped, Figures(len(content), speed, difference))
        judge = _Judge(run)
        before = judge.map(exact)
        small, after, how = _shrink(run, exact, about, judge, before - limit, precision)
        _require_accuracy(before, after, limit, how)
        first, second = _speeds(run, [exact, small])
        found = file_probabilities(small, run.test)
        facts = _own_facts(run, about, found, after, precision)
        content = with_metadata(_loaded(small), facts)
        tested = [m.test_map if m else None for m in (about.metrics, facts.metrics)]
        old = Figures(exact.stat().st_size, first, difference, before, tested[0])
        new = Figures(len(content), second, parity(run, model, small, variant), after, tested[1])
        write_atomically(out, content)
        return Delivery(shipped, old, new, how, judge.name)


def _shrink(
    run: Run,
    exact: Path,
    about: StudentMetadata,
    judge: "_Judge",
    floor: float,
    precision: Precision,
) -> tuple[Path, float, str]:
    """The first smaller file that is good enough, else the best; with its mAP and its plan."""

    def written(name: str, proto: "ModelProto") -> Path:
        path = exact.with_name(name)
        path.write_bytes(with_metadata(proto, about))
        return path

    if precision == "float16":
        half = written("float16.onnx", to_float16(exact))
        return half, judge.map(half), "float16, inputs and outputs float32"
    ready, quantised = exact.with_name("ready.onnx"), exact.with_name("quantised.onnx")
    prepare_graph(exact, ready)
    tried: list[tuple[Path, float, str]] = []
    for place, plan in enumerate(INT8_PLANS):
        batches = _calibration_batches(run, exact)
        path = written(f"int8-{place}.onnx", to_int8(ready, quantised, batches, plan))
        tried.append((path, judge.map(path), f"int8, {plan.name}"))
        if tried[-1][1] >= floor:
            return tried[-1]
    return max(tried, key=lambda found: found[1])


def _require_accuracy(before: float, after: float, limit: float, how: str) -> None:
    if not before - after <= limit:
        raise RunError(
            f"the smaller file ({how}) loses {100 * (before - after):.2f} points of mAP"
            f" ({100 * before:.2f} -> {100 * after:.2f}), more than {100 * limit:g}",
            hint="raise --limit, or export without --quantize and --fp16",
        )


class _Judge:
    """Measures files on held-out images, or on training images where none are held out."""

    def __init__(self, run: Run) -> None:
        if run.held_out is not None:
            self.part, self.name = run.held_out, "held-out images"
            return
        rest = run.train.image_ids[CALIBRATION_IMAGES:] or run.train.image_ids
        self.part = run.train.without(set(run.train.image_ids) - set(rest))
        self.name = "training images (the run holds none out)"

    def map(self, path: Path) -> float:
        """How good a file is: mAP."""
        return measured_map(path, self.part)


def file_probabilities(path: Path, part: Manifest) -> Float32Array:
    """Probabilities (M, K) that a file gives to the images of a part of the data."""
    predictor = Predictor.load(path)
    rows = []
    with ProgressBar(f"judge {path.stem}", len(part)) as bar:
        for prediction in predictor.stream([record.path for record in part.records]):
            rows.append(prediction.probabilities)
            bar.advance()
    return np.stack(rows)


def measured_map(path: Path, part: Manifest) -> float:
    """How good a file is on a part of the data: mAP, 0 where no class has a positive."""
    return known(map_of(file_probabilities(path, part), part)) or 0.0


def _own_facts(
    run: Run,
    about: StudentMetadata,
    found: Float32Array,
    held_out: float,
    precision: Precision,
) -> StudentMetadata:
    """Metadata of the smaller file: what was measured of itself, not of the exact one."""
    labels, limits = run.test.labels, about.thresholds
    tuned = f1_report(found, labels, threshold=np.array(limits)).of1 if limits else None
    own = {
        "held_out_map": None if run.held_out is None else held_out,
        "test_map": known(map_of(found, run.test)),
        "test_f1": None if limits else known(f1_report(found, labels).of1),
        "test_f1_tuned": None if tuned is None else known(tuned),
    }
    metrics = about.metrics and about.metrics.model_copy(update=own)
    source = about.provenance and about.provenance.model_copy(update={"precision": precision})
    return about.model_copy(update={"metrics": metrics, "provenance": source})


def _loaded(path: Path) -> "ModelProto":
    import onnx  # noqa: PLC0415  (slow to import)

    return onnx.load(path)


def _calibration_batches(run: Run, exact: Path) -> Iterator[Float32Array]:
    """Normalised training images, evenly spread."""
    predictor = Predictor.load(exact)
    facts = predictor.metadata
    step = max(1, len(run.train) // CALIBRATION_IMAGES)
    records = run.train.records[::step][:CALIBRATION_IMAGES]
    for start in range(0, len(records), BATCH):
        part = [predictor.prepare(r.path).pixels for r in records[start : start + BATCH]]
        yield normalise(np.stack(part), facts.mean, facts.std, channels=facts.channels)


def _speeds(run: Run, paths: list[Path]) -> list[float]:
    """Images per second of each file; the files take turns, so that other work hits them alike."""
    predictors = [Predictor.load(path) for path in paths]
    records = run.test.records[:SPEED_IMAGES]
    pixels = np.stack([predictors[0].prepare(record.path).pixels for record in records])
    jobs: list[Callable[[], object]] = [
        lambda p=p: [p.run(pixels[s : s + BATCH]) for s in range(0, len(pixels), BATCH)]  # type: ignore[misc]
        for p in predictors
    ]
    best = [0.0] * len(jobs)
    for _ in range(SPEED_ROUNDS):
        for place, job in enumerate(jobs):
            began = time.perf_counter()
            job()
            best[place] = max(best[place], len(pixels) / (time.perf_counter() - began))
    return best
