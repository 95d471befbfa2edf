"""Read boxes from MATLAB and NumPy files; pickled objects are refused."""

from pathlib import Path
from typing import Any

import numpy as np

from boxless.errors import DataError, MissingExtraError
from boxless.proposals.box_table import BoxTable
from boxless.proposals.mat_outline import check_outline

SCORE_NAMES = ("boxScores", "scores")
WANTED = ("boxes", "images", *SCORE_NAMES)
SWAP = (1, 0, 3, 2)


def read_mat(path: Path, order: str) -> BoxTable:
    """Read the layout of the EdgeBoxes, selective search and WSDDN releases.

    ``boxes`` is a cell array of (R, 4) matrices, ``images`` one of names (or a matrix of
    characters, a row a name), ``boxScores`` or ``scores``, if there, one of R numbers each. MATLAB
    counts from 1 and includes the ends, so the pixel (1, 1) becomes (0, 0, 1, 1).

    Args:
        path: The file, of MATLAB 7.2 or older.
        order: ``yxyx`` for [y1 x1 y2 x2], ``xyxy`` for [x1 y1 x2 y2].

    Returns:
        Its boxes.

    Raises:
        DataError: The file is damaged, in the HDF5 format of ``-v7.3``, or of another layout.
        MissingExtraError: SciPy is not installed.
    """
    variables = _load_mat(path)
    if not {"boxes", "images"} <= variables.keys():
        found = ", ".join(name for name in variables if not name.startswith("__")) or "none"
        raise DataError(f"{path}: expected the variables boxes and images, found {found}")
    boxes, names = variables["boxes"].ravel(), [_name(cell) for cell in variables["images"].ravel()]
    given = next((variables[name].ravel() for name in SCORE_NAMES if name in variables), None)
    if variables["boxes"].dtype != object or len(boxes) != len(names):
        raise DataError(
            f"{path}: expected boxes as one cell for each of the {len(names)} images, "
            f"found {variables['boxes'].dtype} of shape {variables['boxes'].shape}"
        )
    if given is not None and len(given) != len(names):
        raise DataError(f"{path}: expected {len(names)} cells of scores, found {len(given)}")
    table = BoxTable(str(path))
    for row, name in enumerate(names):
        coordinates = _matrix(boxes[row], f"{path}, image {name!r}")
        scores = None if given is None else _matrix(given[row], f"{path}, image {name!r}")
        if coordinates.ndim == 2 and coordinates.shape[1] == 5 and scores is None:
            coordinates, scores = coordinates[:, :4], coordinates[:, 4]
        corners = _reorder(coordinates, order)
        corners[..., :2] -= 1
        table.add_all(name, corners, scores)
    return table


def _load_mat(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise MissingExtraError("scipy", "train") from error
    try:
        names = check_outline(path.read_bytes(), WANTED)
        variables: dict[str, Any] = loadmat(path, variable_names=WANTED)
    except NotImplementedError as error:
        raise DataError(
            f"{path} is in MATLAB's HDF5 format (-v7.3), which is not read here",
            hint="save it in MATLAB with save(…, '-v7'), or convert it to .npz",
        ) from error
    except Exception as error:  # SciPy forgets to set a variable, for one
        raise DataError(f"{path} is no MATLAB file, or damaged: {error}") from error
    return dict.fromkeys(names) | variables


def _name(cell: Any) -> str:
    inner = np.asarray(cell).ravel()
    return str(inner[0]).strip() if inner.size else ""


def read_npz(path: Path, order: str) -> BoxTable:
    """Read NumPy's archive.

    Args:
        path: The file: ``image_ids`` (M,), ``boxes`` (all, 4), ``offsets`` (M + 1,) and optionally
            ``scores`` (all,), where image i owns the rows ``offsets[i]:offsets[i + 1]``; or one
            (R, 4) or (R, 5) array an image, named after it.
        order: ``yxyx`` for [y1 x1 y2 x2], else [x1 y1 x2 y2].

    Returns:
        Its boxes.

    Raises:
        DataError: The file is damaged, holds pickled objects, or is of another layout.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # archive, packing and header each fail in ways of their own
        raise DataError(
            f"{path} is no NumPy archive of plain numbers: {error}",
            hint="save numbers and texts only (numpy.savez); pickled objects are not read, as they "
            "can run code",
        ) from error
    table = BoxTable(str(path))
    if {"image_ids", "boxes", "offsets"} <= arrays.keys():
        _split(table, arrays, order)
        return table
    for name, array in arrays.items():
        found = _matrix(array, f"{path}, image {name!r}")
        wide = found.ndim == 2 and found.shape[1] == 5
        boxes, scores = (found[:, :4], found[:, 4]) if wide else (found, None)
        table.add_all(name, _reorder(boxes, order), scores)
    return table


def _split(table: BoxTable, arrays: dict[str, Any], order: str) -> None:
    names, offsets = arrays["image_ids"].ravel(), arrays["offsets"].ravel()
    boxes = _matrix(arrays["boxes"], f"{table.where}, boxes")
    scores = _matrix(arrays["scores"], f"{table.where}, scores") if "scores" in arrays else None
    whole = np.issubdtype(offsets.dtype, np.integer) and len(offsets) == len(names) + 1
    if not whole or offsets[0] != 0 or offsets[-1] != len(boxes) or (np.diff(offsets) < 0).any():
        raise DataError(
            f"{table.where}: expected {len(names) + 1} rising whole offsets from 0 to the number "
            f"of boxes, {len(boxes)}; found {len(offsets)} of {offsets.dtype}"
        )
    if scores is not None and scores.shape != (len(boxes),):
        raise DataError(
            f"{table.where}: expected scores of shape ({len(boxes)},), found {scores.shape}"
        )
    for name, start, stop in zip(names, offsets[:-1], offsets[1:], strict=True):
        part = None if scores is None else scores[start:stop]
        table.add_all(str(name), _reorder(boxes[start:stop], order), part)


def _matrix(values: Any, place: str) -> np.ndarray:
    array = np.asarray(values)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise DataError(f"{place}: expected numbers, found {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)


def _reorder(boxes: np.ndarray, order: str) -> np.ndarray:
    """(R, 4) boxes as x1, y1, x2, y2; other shapes are left for the table to refuse."""
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    return boxes[:, SWAP] if order == "yxyx" and boxes.ndim == 2 and boxes.shape[1] == 4 else boxes
