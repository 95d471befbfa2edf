"""Label images with an exported student: onnxruntime, NumPy and Pillow, never torch."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, ImageOps

from boxless.data.images import load_image
from boxless.errors import BoxlessError, ConfigError, DataError, NumericsError, ShapeError
from boxless.inference.prediction import Label, Prediction
from boxless.inference.preprocess import normalise, resize_square
from boxless.inference.student_file import (
    INPUT,
    OUTPUT,
    StudentFile,
    StudentMetadata,
    find_student,
    open_student,
)
from boxless.types import Float32Array, UInt8Array

Source = str | Path | UInt8Array | Image.Image
Loaded = tuple[Source, UInt8Array | BoxlessError]

_LOADERS = 4  # threads that decode while the network computes
_pillow_lock = Lock()  # one lazy Pillow image may be given several times


class Predictor:
    """An exported student, ready to label images.

    Example:
        >>> predictor = Predictor.load(Path("runs/first"))  # doctest: +SKIP
        >>> predictor.predict(["street.jpg"])[0].top(3)  # doctest: +SKIP

    Args:
        student: Opened by `boxless.inference.student_file.open_student`.
    """

    def __init__(self, student: StudentFile) -> None:
        self._student = student

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 0) -> "Predictor":
        """Open a student.

        Args:
            path: ONNX file, or a run folder with ``export/student.onnx``.
            threads: Threads that one batch is computed with; 0 takes all cores.

        Returns:
            The predictor.

        Raises:
            RunError: If there is no such file.
            StoreError: If it is damaged or no student that boxless exported.
        """
        return cls(open_student(find_student(Path(path)), threads=threads))

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._student.path

    @property
    def metadata(self) -> StudentMetadata:
        """What the file says about itself."""
        return self._student.metadata

    @property
    def classes(self) -> tuple[str, ...]:
        """K class names, in the order of the outputs."""
        return self._student.metadata.classes

    def predict(
        self, images: Source | Iterable[Source], *, batch_size: int = 16
    ) -> list[Prediction]:
        """Label images.

        Args:
            images: Paths, (H, W, 3) uint8 RGB arrays, or Pillow images; one or many.
            batch_size: Images computed together; changes speed and memory, not the labels.

        Returns:
            One prediction an image, in order.

        Raises:
            DataError: If an image cannot be read.
            ShapeError: If an array is no image.
            NumericsError: If the student answers with NaN.
        """
        return list(self.stream(images, batch_size=batch_size))

    def stream(
        self,
        images: Source | Iterable[Source],
        *,
        batch_size: int = 16,
        on_error: Callable[[Source, BoxlessError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Label images one batch after the other; memory does not grow with their number.

        Args:
            images: As for `predict`; may be a generator.
            batch_size: Images computed together.
            on_error: Called with each image that cannot be read, which is then left out; by
                default the error is raised.

        Yields:
            Predictions in the order of the images.

        Raises:
            ConfigError: If `batch_size` is below 1.
            DataError: If an image cannot be read and there is no `on_error`.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, found {batch_size}")
        size = self._student.fixed_batch or batch_size
        for batch in self._load_batches(_as_sources(images), size):
            good: list[tuple[Source, UInt8Array]] = []
            for source, pixels in batch:
                if not isinstance(pixels, BoxlessError):
                    good.append((source, pixels))
                elif on_error is None:
                    raise pixels
                else:
                    on_error(source, pixels)
            if good:
                yield from self._label(good)

    def probabilities(self, pixels: UInt8Array) -> Float32Array:
        """Probabilities of images that are squares already.

        Args:
            pixels: (N, S, S, 3) RGB.

        Returns:
            (N, K) values in [0, 1].

        Raises:
            ShapeError: If the images have another size.
            NumericsError: If the student answers with NaN or infinity.
        """
        facts = self._student.metadata
        S = facts.input_size
        if pixels.shape[1:] != (S, S, 3):
            raise ShapeError(f"expected images (N, {S}, {S}, 3), found {pixels.shape}")
        size = self._student.fixed_batch or max(len(pixels), 1)
        answers = []
        for start in range(0, len(pixels), size):
            part = pixels[start : start + size]
            padded = part
            if len(part) < size:  # only a graph exported for one batch size needs this
                padded = np.concatenate([part, np.zeros((size - len(part), S, S, 3), np.uint8)])
            inputs = normalise(padded, facts.mean, facts.std, channels=facts.channels)
            answers.append(self._student.session.run([OUTPUT], {INPUT: inputs})[0][: len(part)])
        result = (
            np.concatenate(answers) if answers else np.zeros((0, len(self.classes)), np.float32)
        )
        if result.shape != (len(pixels), len(self.classes)):
            raise ShapeError(
                f"{self.path}: expected probabilities {(len(pixels), len(self.classes))}, "
                f"found {result.shape}"
            )
        if not np.isfinite(result).all():
            row, column = np.argwhere(~np.isfinite(result))[0]
            raise NumericsError(
                f"{self.path} answered {result[row, column]} for class {self.classes[column]!r}",
                hint="the student has diverged in training or the file is damaged",
            )
        return result.astype(np.float32, copy=False)

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
        facts = self._student.metadata
        try:
            pixels = _pixels(source)
            return source, resize_square(pixels, facts.input_size, antialias=facts.antialias)
        except BoxlessError as error:
            return source, error

    def _label(self, batch: list[tuple[Source, UInt8Array]]) -> Iterator[Prediction]:
        table = self.probabilities(np.stack([pixels for _, pixels in batch]))
        for (source, _), row in zip(batch, table, strict=True):
            order = np.argsort(-row, kind="stable")
            labels = tuple(Label(self.classes[k], float(row[k])) for k in order)
            yield Prediction(str(source) if isinstance(source, str | Path) else None, labels)


def _as_sources(images: Source | Iterable[Source]) -> Iterator[Source]:
    """One image counts as a list of one."""
    single = isinstance(images, str | Path | Image.Image)
    if single or (isinstance(images, np.ndarray) and images.ndim < 4):
        return iter([images])  # type: ignore[list-item]
    return iter(images)  # type: ignore[arg-type]


def _pixels(source: Source) -> UInt8Array:
    """(H, W, 3) uint8 RGB pixels of any source."""
    if isinstance(source, str | Path):
        return load_image(str(source))
    if isinstance(source, np.ndarray):
        return source
    if not isinstance(source, Image.Image):
        raise DataError(
            f"expected a path, an array or a Pillow image, found {type(source).__name__}"
        )
    if source.mode.startswith("I") or source.mode == "F":
        raise DataError(
            f"a Pillow image of mode {source.mode} has no agreed range of values",
            hint="scale it to 0-255 and convert it to RGB, or pass the path of the file",
        )
    try:
        with _pillow_lock:
            source.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"a Pillow image could not be decoded: {error}") from error
    upright = ImageOps.exif_transpose(source)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(upright.convert("RGB"), np.uint8)
