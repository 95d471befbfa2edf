"""Read ``label-studio:FILE``: JSON and JSON-MIN exports of Label Studio.

Format: https://labelstud.io/guide/export.html. Its CSV export is a table, see ``csv:``.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from boxless.data.cells import names_in
from boxless.data.image_places import ImagePlaces
from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.tagged import Box, TaggedImage, draft_of
from boxless.errors import DataError
from boxless.files.paths import is_url
from boxless.types import PRESENT, UNKNOWN

OPTIONS = ("root", "outside", *COMMON)
_UPLOAD = re.compile(r"^/?data/(upload/(\d+/)?|media/)")
_HASH = re.compile(r"^[0-9a-f]{8}-")
_SHAPES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels")


def read(location: str) -> Manifest:
    """Read an export of Label Studio.

    Tags are all choices and all labels of shapes. A tag that only some annotators of an image gave
    is unknown. Tasks that nobody annotated are left out and counted.

    Args:
        location: ``FILE.json[,OPTION=VALUE…]``. Images are looked for beside it, in ``images``
            there, and under the names they had before they were uploaded. Options: ``root=DIR`` is
            the folder of the images; ``outside=refuse|allow``; and those of
            `boxless.data.settle.settle`.

    Returns:
        Manifest; an image's id is its name in the export.

    Raises:
        DataError: The file is missing or not of this form.
    """
    file, options = split_options("label-studio", location, OPTIONS)
    tasks = read_json(file)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{file}: expected a list of tasks, as Label Studio's JSON and JSON-MIN")
    places = ImagePlaces(
        [file.parent, file.parent / "images", file.parent],
        options,
        spec=f"label-studio:{location},outside=allow",
    )
    images, bare, unsure = [], 0, 0
    for number, task in enumerate(tasks, start=1):
        source = f"{file}: task {task.get('id', number)}"
        told = list(_annotations(task, source))
        if not told:
            bare += 1
            continue
        name = _image_name(task, source)
        tags = _agreed([{tag for tag, _ in shapes} for shapes in told])
        unsure += sum(value == UNKNOWN for value in tags.values())
        boxes = [(tag, box) for tag, box in told[0] if box is not None]
        images.append(TaggedImage(name, _located(name, source, places), "", tags, source, boxes))
    notes = list(places.notes)
    if bare:
        notes.append(f"{bare} tasks have no annotation and are left out")
    if unsure:
        notes.append(f"{unsure} tags are unknown: some annotators gave them, others did not")
    draft = draft_of(file.stem, images, notes=notes)
    return settle(draft, options.with_class_file(file.parent), location=location)


def read_json(file: Path) -> Any:
    """Read a JSON file that fits into memory.

    Raises:
        DataError: It is missing or broken.
    """
    if not file.is_file():
        found = "a folder" if file.is_dir() else "nothing"
        raise DataError(f"expected a JSON file at {file}, found {found}")
    try:
        return json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: broken JSON ({' '.join(str(error).split())})") from error


def list_of(value: Any, what: str, source: str) -> list[Any]:
    """A list in a JSON file; nothing counts as an empty one.

    Raises:
        DataError: It is something else.
    """
    if value is not None and not isinstance(value, list):
        raise DataError(f"{source}: expected {what} as a list, found {str(value)[:60]!r}")
    return value or []


def _annotations(task: Mapping[str, Any], source: str) -> Iterator[list[tuple[str, Box | None]]]:
    """Names and boxes that each annotator gave."""
    if "annotations" in task or "completions" in task:
        given = task.get("annotations") or task.get("completions")
        for told in list_of(given, "annotations", source):
            if isinstance(told, dict) and not told.get("was_cancelled"):
                results = list_of(told.get("result"), "result", source)
                yield [shape for item in results for shape in _shapes(item)]
        return
    given = [
        value
        for key, value in task.items()
        if key not in ("id", "image", "annotator", "annotation_id", "created_at", "updated_at")
        and key != "lead_time"
    ]
    shapes = [
        shape
        for value in given
        for item in (value if isinstance(value, list) else [value])
        for shape in _flat_shapes(item)
    ]
    if shapes:
        yield shapes


def _shapes(item: Any) -> list[tuple[str, Box | None]]:
    """Names of one result of the full export."""
    if not isinstance(item, dict) or not isinstance(item.get("value"), dict):
        return []
    return _flat_shapes(
        {**item["value"], **{k: v for k, v in item.items() if k.startswith("orig")}}
    )


def _flat_shapes(item: Any) -> list[tuple[str, Box | None]]:
    """Names of one value: a choice, choices, or a shape with its labels."""
    if isinstance(item, str):
        return [(item, None)]
    if not isinstance(item, dict):
        return []
    keys = [key for key in item if key in ("choices", "labels", "taxonomy") or key in _SHAPES]
    box = _box(item) if "rectanglelabels" in item else None
    return [(name, box) for key in keys for name in names_in(item[key])]


def _box(item: Mapping[str, Any]) -> Box | None:
    """Per cent of the image to pixels."""
    try:
        x, y, w, h = (float(item[key]) for key in ("x", "y", "width", "height"))
        width, height = (float(item[f"original_{side}"]) / 100 for side in ("width", "height"))
    except (KeyError, TypeError, ValueError):
        return None
    return (x * width, y * height, (x + w) * width, (y + h) * height) if w > 0 < h else None


def _agreed(told: Sequence[set[str]]) -> dict[str, int]:
    return {
        tag: PRESENT if all(tag in one for one in told) else UNKNOWN
        for tag in sorted(set().union(*told))
    }


def _image_name(task: Mapping[str, Any], source: str) -> str:
    inner = task.get("data")
    data = {
        k: v for k, v in (inner if isinstance(inner, dict) else task).items() if isinstance(v, str)
    }
    names = [*(data.get(key, "") for key in ("image", "img", "url", "photo")), *data.values()]
    name = next((name for name in names if "." in name), None)
    if not name:
        raise DataError(f"{source}: expected the image in data.image, found none")
    if "?d=" in name:  # local storage
        name = name.partition("?d=")[2]
    return _UPLOAD.sub("", unquote(name) if "%" in name else name)


def _located(name: str, source: str, places: ImagePlaces) -> str:
    if is_url(name):
        return name
    path = places.locate(name, source)
    if not Path(path).is_file() and _HASH.match(Path(name).name):
        bare = str(Path(name).with_name(_HASH.sub("", Path(name).name)))
        other = places.locate(bare, source)
        return other if Path(other).is_file() else path
    return path
