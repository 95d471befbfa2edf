"""Rows of a JSON file, in whichever of its forms a table was written."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from boxless.data.find_images import SUFFIXES
from boxless.errors import DataError
from boxless.files.paths import AnyPath

Rows = list[tuple[int, Any]]


def json_rows(
    file: AnyPath, text: str, paths: frozenset[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Objects of JSON lines, of a list, or of one object that holds a table.

    Args:
        file: For messages.
        text: Its content.
        paths: Names of columns, in lower case, that name images.

    Yields:
        Line, or number from 1, and columns of each row.

    Raises:
        DataError: It is no JSON, or no table.
    """
    try:
        found = _lines(text) if text.lstrip()[:1] != "[" else None
        if found is None:
            whole = json.loads(text)
            found = _of_object(file, whole, paths) if isinstance(whole, dict) else _counted(whole)
        elif len(found) == 1 and isinstance(found[0][1], dict):
            found = _of_object(file, found[0][1], paths)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: broken JSON ({' '.join(str(error).split())})") from error
    for number, item in found:
        if not isinstance(item, dict):
            raise DataError(
                f"{file}:{number}: expected an object, found {str(item)[:60]!r}",
                hint='write an object for each image, as {"path": "a.jpg", "labels": ["cat"]}',
            )
        yield number, item


def _lines(text: str) -> Rows | None:
    """JSON lines; None where the first line alone is no JSON, as in a file that is indented."""
    lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    try:
        json.loads(lines[0][1] if lines else "")
    except ValueError:
        if len(lines) > 1 and lines[0][1].strip() == "{":
            return None
    return [(number, json.loads(line)) for number, line in lines]


def _is_row(item: object, paths: frozenset[str]) -> bool:
    """Whether an object describes one image: the column that names it holds a text."""
    return isinstance(item, dict) and any(
        key.lower() in paths and isinstance(value, str) for key, value in item.items()
    )


def _of_object(file: AnyPath, whole: dict[str, Any], paths: frozenset[str]) -> Rows:
    """Rows of one object: as pandas writes tables, by image, or in a list below a name."""
    if _is_row(whole, paths):
        return [(1, whole)]
    if {"images", "annotations"} <= whole.keys():
        raise DataError(f"{file}: expected a table, found COCO's format", hint=f"write coco:{file}")
    if {"columns", "data"} <= whole.keys():
        return _counted([dict(zip(whole["columns"], row, strict=True)) for row in whole["data"]])
    lists = [value for value in whole.values() if isinstance(value, list)]
    if len(whole) == len(lists) == 1:
        return _counted(lists[0])
    if whole and all(any(key.lower().endswith(s) for s in SUFFIXES) for key in whole):
        rows = ((k, v if isinstance(v, dict) else {"labels": v}) for k, v in whole.items())
        return _counted([{"path": name, **row} for name, row in rows])
    columns = [value for value in whole.values() if isinstance(value, dict)]
    if columns and len(columns) == len(whole) and any(key.lower() in paths for key in whole):
        keys = dict.fromkeys(key for column in columns for key in column)
        return _counted([{n: column.get(key) for n, column in whole.items()} for key in keys])
    raise DataError(
        f"{file}: expected a list of objects, one for each image, found an object with "
        f"{', '.join(list(whole)[:6])}",
        hint='write [{"path": "a.jpg", "labels": ["cat"]}, …], or such objects line by line',
    )


def _counted(rows: object) -> Rows:
    return list(enumerate(rows if isinstance(rows, list) else [rows], start=1))
