"""boxless: image classifiers that learned where to look, from tags alone."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxless.inference.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(path: str | Path, threads: int = 0) -> "Predictor":
    """Open an exported student; needs onnxruntime, NumPy and Pillow alone.

    Args:
        path: A run folder, or a ``student.onnx``.
        threads: Threads that one batch is computed with; 0 takes all cores.

    Returns:
        A predictor: ``boxless.load("runs/first").predict(["street.jpg"])``.

    Raises:
        BoxlessError: There is no student, or the file is damaged or foreign.
    """
    from boxless.inference.predictor import Predictor  # noqa: PLC0415  (onnxruntime takes a while)

    return Predictor.load(Path(path), threads=threads)
