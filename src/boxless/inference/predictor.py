"""Label images with an exported student: onnxruntime, NumPy and Pillow, never torch."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from boxless.data.images import ANY_IMAGE, ImageLimits
from boxless.data.resize import resize_square
from boxless.errors import (
    BoxlessError,
    ConfigError,
    NumericsError,
    RunError,
    ShapeError,
    StoreError,
)
from boxless.files.paths import AnyPath
from boxless.inference.labels import DEFAULT_THRESHOLD, Box, Label
from boxless.inference.location import DEFAULT, LocationSettings, locate
from boxless.inference.prediction import Prediction
from boxless.inference.preprocess import normalise
from boxless.inference.sources import Source, as_sources, to_pixels
from boxless.inference.student_file import (
    MAPS,
    OUTPUT,
    StudentFile,
    find_student,
    open_student,
    student_place,
)
from boxless.inference.student_metadata import StudentMetadata
from boxless.types import Float32Array, UInt8Array

_LOADERS = 4  # threads that decode while the network computes


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image as the network takes it: (S, S, 3) uint8 RGB, and its upright size before."""

    pixels: UInt8Array
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Outputs:
    """A batch's probabilities (N, K) and, if asked for and there, maps (N, K, h, w).

    Maps are the evidence for each class, cell by cell, as logits.
    """

    probabilities: Float32Array
    maps: Float32Array | None


Loaded = tuple[Source, Prepared | BoxlessError]


class Predictor:
    """An exported student, ready to label images.

    Example:
        >>> predictor = Predictor.load(Path("runs/first"))  # doctest: +SKIP
        >>> predictor.predict(["street.jpg"])[0].present  # doctest: +SKIP

    Args:
        student: Opened by `boxless.inference.student_file.open_student`.
    """

    def __init__(self, student: StudentFile) -> None:
        self._student = student

    @classmethod
    def load(cls, path: str | AnyPath, *, threads: int = 0) -> "Predictor":
        """Open a student.

        Args:
            path: ONNX file, or a run folder with ``export/student.onnx``; a path, or an address as
                of `boxless.inference.student_file.student_place`.
            threads: Threads that one batch is computed with; 0 takes all cores.

        Returns:
            The predictor.

        Raises:
            RunError: If there is no such file.
            StoreError: If it is damaged or no student that boxless exported.
        """
        return cls(open_student(find_student(student_place(path)), threads=threads))

    @property
    def path(self) -> AnyPath:
        """The ONNX file."""
        return self._student.path

    @property
    def metadata(self) -> StudentMetadata:
        """What the file says about itself."""
        return self._student.metadata

    @property
    def threads(self) -> int:
        """Threads that one batch is computed with."""
        return self._student.threads

    @property
    def classes(self) -> tuple[str, ...]:
        """K class names, in the order of the outputs."""
        return self._student.metadata.classes

    @property
    def thresholds(self) -> tuple[float, ...]:
        """K probabilities from which on a label counts as present."""
        return self.metadata.thresholds or (DEFAULT_THRESHOLD,) * len(self.classes)

    @property
    def location(self) -> LocationSettings:
        """How boxes are made of class maps."""
        return self.metadata.location or DEFAULT

    @property
    def has_maps(self) -> bool:
        """Whether the file has class maps, from which boxes are made."""
        return self._student.has_maps

    def with_threshold(self, threshold: float) -> "Predictor":
        """The same student with one threshold in [0, 1] for all classes (else `ConfigError`)."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold must be between 0 and 1, found {threshold}")
        limits = (float(threshold),) * len(self.classes)
        return self.with_metadata(self.metadata.model_copy(update={"thresholds": limits}))

    def with_metadata(self, metadata: StudentMetadata) -> "Predictor":
        """The same student with other metadata."""
        return Predictor(replace(self._student, metadata=metadata))

    def predict(
        self, images: Source | Iterable[Source], *, boxes: bool = False, batch_size: int = 16
    ) -> list[Prediction]:
        """Label images.

        Args:
            images: Paths of images or folders, the bytes of image files, open files, (H, W, 3)
                uint8 RGB arrays, or Pillow images; one or many.
            boxes: Localize the labels that are present.
            batch_size: Images computed together; changes speed and memory, not the labels.

        Returns:
            One prediction per image, in order.

        Raises:
            DataError: If an image cannot be read.
            ShapeError: If an array is no image.
            NumericsError: If the student answers with NaN.
            StoreError: If boxes are asked for and the file has no class maps.
        """
        return list(self.stream(images, boxes=boxes, batch_size=batch_size))

    def stream(
        self,
        images: Source | Iterable[Source],
        *,
        boxes: bool = False,
        batch_size: int = 16,
        on_error: Callable[[Source, BoxlessError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Label images one batch after the other; memory does not grow with their number.

        Args:
            images: As for `predict`; may be a generator.
            boxes: Localize the labels that are present.
            batch_size: Images computed together.
            on_error: Called with each image that cannot be read, which is then left out; by
                default the error is raised.

        Yields:
            Predictions in the order of the images.

        Raises:
            ConfigError: If `batch_size` is below 1.
            DataError: If an image cannot be read and there is no `on_error`.
            RunError: If not the image is at fault, but the machine or the network.
            StoreError: If boxes are asked for and the file has no class maps.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, found {batch_size}")
        if boxes:
            self._require_maps()
        for batch in self._load_batches(as_sources(images), self.batch_size(batch_size)):
            for (source, _), answer in zip(batch, self._answers(batch, boxes=boxes), strict=True):
                if not isinstance(answer, BoxlessError):
                    yield answer
                elif on_error is None or isinstance(answer, RunError):
                    raise answer
                else:
                    on_error(source, answer)

    def label(
        self, images: Sequence[Source], *, boxes: bool = False
    ) -> list[Prediction | BoxlessError]:
        """Label one batch; an image that cannot be read has its error for an answer.

        Answers are in order, and those of `stream` if the batches are the same (see `batch_size`).

        Raises:
            StoreError: If boxes are asked for and the file has no class maps.
        """
        if boxes:
            self._require_maps()
        return self._answers([self._load(source) for source in images], boxes=boxes)

    def batch_size(self, asked: int) -> int:
        """Images computed together: those asked for, or as many as the graph was exported for."""
        return self._student.fixed_batch or asked

    def _answers(self, batch: list[Loaded], *, boxes: bool) -> list[Prediction | BoxlessError]:
        good = [item for _, item in batch if not isinstance(item, BoxlessError)]
        if good:
            outputs = self.run(np.stack([prepared.pixels for prepared in good]), maps=boxes)
        answers: list[Prediction | BoxlessError] = []
        row = 0
        for source, item in batch:
            if isinstance(item, BoxlessError):
                answers.append(item)
                continue
            answers.append(self.describe(outputs, row, item, boxes=boxes, source=source))
            row += 1
        return answers

    def prepare(self, image: Source, limits: ImageLimits = ANY_IMAGE) -> Prepared:
        """Decode one image and make it a square.

        Args:
            image: The image.
            limits: What is accepted as the content of an image file.

        Raises:
            DataError: It cannot be read, or is beyond the limits.
            ShapeError: An array is no image.
        """
        metadata = self._student.metadata
        pixels = to_pixels(image, limits)
        square = resize_square(pixels, metadata.input_size, antialias=metadata.antialias)
        return Prepared(square, pixels.shape[1], pixels.shape[0])

    def run(self, pixels: UInt8Array, *, maps: bool = True) -> Outputs:
        """Compute images (N, S, S, 3) that are squares already.

        Args:
            pixels: RGB.
            maps: Fetch class maps too, if the file has them.

        Raises:
            ShapeError: If the images have another size.
            NumericsError: If the student answers with NaN or infinity.
        """
        metadata = self._student.metadata
        S = metadata.input_size
        if pixels.shape[1:] != (S, S, 3):
            raise ShapeError(f"expected images (N, {S}, {S}, 3), found {pixels.shape}")
        names = [OUTPUT, MAPS] if maps and self.has_maps else [OUTPUT]
        size = self._student.part_size(len(pixels))
        missing = -len(pixels) % (self._student.fixed_batch or 1) if len(pixels) else size
        if missing:  # a graph exported for one batch size, or no image at all
            pixels = np.concatenate([pixels, np.zeros((missing, S, S, 3), np.uint8)])
        inputs = normalise(pixels, metadata.mean, metadata.std, channels=metadata.channels)
        parts = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        found = self._student.compute(names, parts)
        images = len(pixels) - missing
        joined = [np.concatenate(values)[:images] for values in zip(*found, strict=True)]
        self._check(joined[0], images)
        return Outputs(joined[0], joined[1] if len(joined) > 1 else None)

    def probabilities(self, pixels: UInt8Array) -> Float32Array:
        """Probabilities (N, K) of images (N, S, S, 3) that are squares already; see `run`."""
        return self.run(pixels, maps=False).probabilities

    def describe(
        self,
        outputs: Outputs,
        row: int,
        prepared: Prepared,
        *,
        boxes: bool = False,
        source: Source | None = None,
    ) -> Prediction:
        """Put one row of a batch's outputs into words.

        Args:
            outputs: From `run`.
            row: Which image of the batch.
            prepared: That image.
            boxes: Localize the labels that are present.
            source: The image as it was given, for the prediction's path and for drawing.

        Raises:
            StoreError: If boxes are asked for and there are no class maps.
        """
        values = outputs.probabilities[row]
        limits = self.thresholds
        order = np.argsort(-values, kind="stable").tolist()
        labels = tuple(Label(self.classes[k], float(values[k]), limits[k]) for k in order)
        maps, found = None, []
        if boxes:
            if outputs.maps is None:
                self._require_maps()
                raise StoreError("the outputs have no class maps", hint="run with maps=True")
            maps = outputs.maps[row]
            present = [k for k, label in zip(order, labels, strict=True) if label.present]
            found = locate(maps, (prepared.width, prepared.height), present, self.location)
        return Prediction(
            str(source) if isinstance(source, str | Path) else None,
            labels,
            tuple(Box(self.classes[b.label], b.score, b.x1, b.y1, b.x2, b.y2) for b in found),
            prepared.width,
            prepared.height,
            values,
            self.classes,
            maps,
            self.location,
            source,
        )

    def _require_maps(self) -> None:
        if not self.has_maps:
            raise StoreError(
                f"{self.path} has no class maps, so it cannot localize labels",
                hint="it was exported by an older version; export the student again",
            )

    def _check(self, result: Float32Array, images: int) -> None:
        if result.shape != (images, len(self.classes)):
            raise ShapeError(
                f"{self.path}: expected probabilities {(images, len(self.classes))}, "
                f"found {result.shape}"
            )
        if not np.isfinite(result).all():
            row, column = np.argwhere(~np.isfinite(result))[0]
            raise NumericsError(
                f"{self.path} answered {result[row, column]} for class {self.classes[column]!r}",
                hint="the student has diverged in training or the file is damaged",
            )

    def _load_batches(self, sources: Iterator[Source], size: int) -> Iterator[list[Loaded]]:
        """Decode one batch ahead of the one being computed."""
        with ThreadPoolExecutor(_LOADERS, thread_name_prefix="boxless-load") as pool:
            ahead: deque[list[Future[Loaded]]] = deque()
            try:
                while batch := list(islice(sources, size)):
                    ahead.append([pool.submit(self._load, source) for source in batch])
                    if len(ahead) > 1:
                        yield [future.result() for future in ahead.popleft()]
                while ahead:
                    yield [future.result() for future in ahead.popleft()]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, source: Source) -> Loaded:
        """Decode and resize; what is wrong with an image is a value here, not an exception."""
        try:
            return source, self.prepare(source)
        except BoxlessError as error:
            return source, error
