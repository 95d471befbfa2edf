"""Read boxes from a file that another program wrote; nothing in it is ever executed.

    .json        COCO's detection results: a list of {image_id or file_name, bbox: [x, y, w, h],
                 score}, or {images: [{id, file_name}], annotations: that list}
    .mat         MATLAB, the layout of the EdgeBoxes, selective search and WSDDN releases: cells
                 ``boxes`` and ``images``, optionally ``boxScores``; 1-based, ends inclusive
    .npz         NumPy: ``image_ids``, ``boxes``, ``offsets`` and optionally ``scores``, or one
                 (R, 4) or (R, 5) array an image under the image's name
    .txt, .csv   a line a box: image x1 y1 x2 y2 [score], with blanks or commas between

Except in ``.mat``, boxes are continuous pixel coordinates of the original image, ends exclusive:
the whole image is (0, 0, width, height).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from boxless.errors import ConfigError, DataError
from boxless.proposals.box_table import ORDERS, BoxTable

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = frozenset(("image", "image_id", "file_name", "path"))


def read_boxes(path: Path, order: str) -> BoxTable:
    """Read a file of boxes.

    Args:
        path: The file; its ending says what it is.
        order: ``xyxy`` (x1 y1 x2 y2) or ``yxyx`` (y1 x1 y2 x2); ``auto`` where the format
            settles it. A ``.mat`` file does not, so it must be named there.

    Returns:
        The boxes, by the names that the file gives to images.

    Raises:
        ConfigError: The type of the file is unknown, or the order does not fit it.
        DataError: The file is missing or malformed; the message says where.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        pickled = kind in {".pkl", ".pickle", ".pth", ".pt", ".npy"}
        raise ConfigError(
            f"expected a file of boxes ending in {', '.join(_READERS)}, found {str(path)!r}",
            hint="pickles are not read, as they can run code: save the boxes with numpy.savez"
            if pickled
            else "convert it to one of these",
        )
    _check_order(path, kind, order)
    if not path.is_file():
        raise DataError(f"expected a file of boxes at {path}, found none")
    table = _READERS[kind](path, order)
    if not len(table):
        raise DataError(f"expected boxes in {path}, found none")
    return table


def _check_order(path: Path, kind: str, order: str) -> None:
    if order not in ("auto", *ORDERS):
        raise ConfigError(f"order must be one of auto, {', '.join(ORDERS)}, found {order!r}")
    if kind == ".mat" and order == "auto":
        raise ConfigError(
            f"{path}: a .mat file does not say in which order its coordinates come",
            hint="give --order yxyx for [y1 x1 y2 x2], as selective search and WSDDN write them, "
            "or --order xyxy for [x1 y1 x2 y2]",
        )
    if kind == ".json" and order != "auto":
        raise ConfigError(
            f"{path}: boxes of detection results are [x, y, width, height], found order {order!r}",
            hint="leave the order out",
        )


def _read_json(path: Path, order: str) -> BoxTable:
    from boxless.proposals.detections import read_detections  # noqa: PLC0415

    return read_detections(path, order)


def _read_text(path: Path, order: str) -> BoxTable:
    table, width = BoxTable(str(path)), 0
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text file: {error}") from error
    for number, line in enumerate(lines, 1):
        fields = [f.strip() for f in line.split(",")] if "," in line else line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if not width and fields[0].lower() in HEADERS:
            continue
        width = width or len(fields)
        numbers = _numbers(fields[1:])
        if numbers is None or len(fields) != width or width not in (5, 6):
            expected = f"{width} fields as above" if width in (5, 6) else "5 or 6 fields"
            raise DataError(
                f"{path}:{number}: expected {expected}: image x1 y1 x2 y2 [score], found {line!r}",
                hint="separate with commas if names have blanks in them",
            )
        box = [numbers[i] for i in (1, 0, 3, 2)] if order == "yxyx" else numbers[:4]
        table.add(fields[0], (*box, *(numbers[4:] or [1.0])), number)
    return table


def _numbers(fields: list[str]) -> list[float] | None:
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def _read_mat(path: Path, order: str) -> BoxTable:
    from boxless.proposals.box_arrays import read_mat  # noqa: PLC0415  (SciPy is optional)

    return read_mat(path, order)


def _read_npz(path: Path, order: str) -> BoxTable:
    from boxless.proposals.box_arrays import read_npz  # noqa: PLC0415

    return read_npz(path, order)


_READERS: "dict[str, Callable[[Path, str], BoxTable]]" = {
    ".json": _read_json,
    ".mat": _read_mat,
    ".npz": _read_npz,
    ".txt": _read_text,
    ".csv": _read_text,
}
