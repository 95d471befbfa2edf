"""Label images on an engine: the student travels to its workers, predictions come back."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from boxless.errors import BoxlessError, ConfigError, DataError
from boxless.files.engine import Engine, not_shared
from boxless.files.paths import is_url
from boxless.inference.prediction import Prediction
from boxless.inference.predictor import Predictor
from boxless.inference.student_metadata import StudentMetadata

Batches = list[Sequence[str]]


@dataclass(frozen=True, slots=True)
class LabelBatches:
    """What a worker does: open the `student` (content of its file) once, and label batches."""

    student: bytes
    metadata: StudentMetadata
    boxes: bool
    threads: int

    def __call__(self, batches: Batches) -> list[list[Prediction | BoxlessError]]:
        """Answers of several batches; see `Predictor.label`."""
        predictor = _opened(self.student, self.threads).with_metadata(self.metadata)
        return [predictor.label(batch, boxes=self.boxes) for batch in batches]


def stream_elsewhere(
    engine: Engine,
    predictor: Predictor,
    paths: Sequence[str],
    *,
    boxes: bool = False,
    batch_size: int = 16,
    threads: int = 1,
    on_error: Callable[[str, BoxlessError], None],
) -> Iterator[Prediction]:
    """Label images on an engine, in the batches and thus with the answers of `Predictor.stream`.

    Args:
        engine: Does the work.
        predictor: The student.
        paths: Images, by paths that workers know too.
        boxes: Localize the labels that are present.
        batch_size: Images computed together.
        threads: Threads that a worker computes a batch with.
        on_error: Called with each image that cannot be read.

    Raises:
        ConfigError: If `batch_size` is below 1.
        RunError: The engine failed, or its workers do not see the images.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1, found {batch_size}")
    size = predictor.batch_size(batch_size)
    places = [path if is_url(path) else os.path.abspath(path) for path in paths]  # noqa: PTH100
    batches: list[Sequence[str]] = [
        places[start : start + size] for start in range(0, len(places), size)
    ]
    per = max(1, engine.images_per_unit // size)
    units = [batches[start : start + per] for start in range(0, len(batches), per)]
    work = LabelBatches(predictor.path.read_bytes(), predictor.metadata, boxes, threads)
    answers = engine.map(work, units)
    found = chain.from_iterable(chain.from_iterable(answers))
    for path, answer in zip(paths, found, strict=True):
        if isinstance(answer, BoxlessError):
            on_error(path, _seen_here(predictor, path, answer))
        else:
            yield replace(answer, path=path, source=path)  # as it was given


def _seen_here(predictor: Predictor, path: str, answer: BoxlessError) -> BoxlessError:
    """Never take another machine's word that an image is bad: it may only be out of its sight."""
    try:
        predictor.prepare(path)
    except DataError as error:
        return error
    raise not_shared(path, answer.message)


@lru_cache(maxsize=1)
def _opened(student: bytes, threads: int) -> Predictor:
    """The student; a worker opens it once."""
    with TemporaryDirectory(prefix="boxless-") as folder:
        path = Path(folder) / "student.onnx"
        path.write_bytes(student)
        return Predictor.load(path, threads=threads)
