"""COCO's detection results as boxes: read entry by entry, never as a whole."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ijson

from boxless.errors import DataError
from boxless.files.watched_file import watched
from boxless.proposals.box_table import BoxTable

_PIECE = 1 << 16  # bytes read at a time


def read_detections(path: Path, _order: str = "auto") -> BoxTable:
    """Read a list of detections, or an object with ``annotations`` and ``images``.

    Args:
        path: The file.

    Returns:
        The boxes, by ``file_name`` or ``image_id``; where there are ``images``, by their names.

    Raises:
        DataError: The file is no JSON, or an entry is malformed; its number is told.
    """
    try:
        with path.open("rb") as stream:
            event, value = _first_event(stream)
        table = BoxTable(str(path))
        if event == "start_array":
            _take_detections(table, path, "item")
        elif event == "start_map" and _has_lists(path):
            _take_detections(table, path, "annotations.item")
            _use_file_names(table, path)
        else:
            raise DataError(
                f"{path}: expected a list of detections, or an object with images and annotations, "
                f"found {'an object without them' if event == 'start_map' else _kind(value)}"
            )
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no JSON file: {reason}") from error
    return table


def _first_event(stream: Any) -> tuple[str, Any]:
    for event, value in ijson.basic_parse(stream, use_float=True, buf_size=64):
        return event, value
    return "", None


def _kind(value: Any) -> str:
    return type(float(value) if isinstance(value, Decimal) else value).__name__


def _has_lists(path: Path) -> bool:
    """Whether the document has both lists, without looking into them."""
    found = set()
    with watched(path) as stream:
        for prefix, event, _ in ijson.parse(stream, use_float=True, buf_size=_PIECE):
            if event == "start_array" and prefix in ("images", "annotations"):
                found.add(prefix)
                if len(found) == 2:
                    return True
    return False


def _entries(path: Path, prefix: str) -> Iterator[Any]:
    with watched(path) as stream:
        yield from ijson.items(stream, prefix, use_float=True, buf_size=_PIECE)


def _take_detections(table: BoxTable, path: Path, prefix: str) -> None:
    for count, entry in enumerate(_entries(path, prefix), 1):
        try:
            name, score = entry.get("file_name", entry.get("image_id")), entry["score"]
            x, y, w, h = entry["bbox"]
            numbers = (x, y, x + w, y + h, score)
            sound = all(type(v) in (int, float) for v in numbers) and type(name) in (int, str)
        except (AttributeError, KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise DataError(
                f"{path}, detection {count}: expected image_id or file_name, bbox [x, y, width, "
                f"height] and score, found {json.dumps(entry)[:200]}",
                hint="annotations without scores are true boxes, not proposals",
            )
        table.add(str(name), numbers)


def _use_file_names(table: BoxTable, path: Path) -> None:
    for number, image in enumerate(_entries(path, "images.item"), 1):
        if not isinstance(image, dict) or not {"id", "file_name"} <= image.keys():
            raise DataError(
                f"{table.where}, entry {number} of images: expected an id and a file_name, "
                f"found {json.dumps(image)[:200]}"
            )
        rows = table.rows.pop(str(image["id"]), None)
        if rows is not None:
            table.rows[str(image["file_name"])] = rows
