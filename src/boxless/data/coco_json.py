"""Stream an annotation file in COCO's format: images, categories and boxes, nothing else is kept.

The file of MS-COCO's training images is 450 MB of text, most of it polygons. It is parsed once,
piece by piece (ijson, in C); what stays in memory are the images' names and 49 bytes per object.
Format: https://cocodataset.org/#format-data. Many programs write it a little differently: ids may
be texts, ``iscrowd`` a truth value, and a tag needs no box.
"""

import codecs
import math
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from boxless.errors import DataError
from boxless.files.watched_file import watched

_SECTIONS = {
    "images": ("id", "file_name"),
    "categories": ("id", "name", "supercategory"),
    "annotations": ("id", "image_id", "category_id", "iscrowd", "bbox"),
}
_PIECE = 1 << 16  # bytes read at a time; their events (15 times as much memory) are held at once
NO_BOX = (math.nan,) * 4


class CocoInstances:
    """What one annotation file says. Ids are texts: programs write 5 and "5" alike.

    Attributes:
        path: The file.
        images: File name by image id, in file order.
        categories: Name by category id, in file order.
        parents: Supercategory by category id, where there is one.
        keys: Image ids and category ids in the order in which objects first name them.
        image_ids: Image of each object: its place in ``keys["image"]``.
        category_ids: Category of each object: its place in ``keys["category"]``.
        crowds: 1 where the object is a crowd (``iscrowd``), else 0.
        boxes: Left, top, width and height in pixels, per object; NaN where it has none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: dict[str, str] = {}
        self.categories: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.keys: dict[str, dict[str, int]] = {"image": {}, "category": {}}
        self.image_ids = array("q")
        self.category_ids = array("q")
        self.crowds = array("b")
        self.boxes = array("d")
        self._counts = dict.fromkeys(_SECTIONS, 0)
        self._fields: dict[str, Any] = {}
        self._box: list[float] = []

    def handlers(self) -> dict[str, Callable[[str, Any], None]]:
        """What to do with an event, by its place in the document (ijson's prefix)."""
        found: dict[str, Callable[[str, Any], None]] = {
            "annotations.item.bbox.item": lambda _, value: self._box.append(value)
        }
        finish = {
            "images": self._finish_image,
            "categories": self._finish_category,
            "annotations": self._finish_object,
        }
        for section, names in _SECTIONS.items():
            found[f"{section}.item"] = self._border(section, finish[section])
            for name in names:
                found[f"{section}.item.{name}"] = self._setter(name)
        return found

    def check(self) -> None:
        """Make sure that nothing is missing and that objects name known images and categories.

        Raises:
            DataError: A section is empty, or an object hangs in the air.
        """
        for section in ("images", "categories"):
            if not self._counts[section]:
                raise DataError(
                    f"{self.path}: expected a list {section!r} with entries, found none",
                    hint="give a file in COCO's format, such as instances_train2017.json",
                )
        for kind, used, known in (
            ("image", self.image_ids, self.images),
            ("category", self.category_ids, self.categories),
        ):
            keys = list(self.keys[kind])
            strangers = {place for place, key in enumerate(keys) if key not in known}
            if strangers:
                number, place = next(
                    entry for entry in enumerate(used, start=1) if entry[1] in strangers
                )
                raise DataError(
                    f"{self.path}: annotation {number}: there is no {kind} with id {keys[place]}"
                )

    def _border(self, section: str, finish: Callable[[], None]) -> Callable[[str, Any], None]:
        def on_event(event: str, value: Any) -> None:
            if event == "start_map":
                self._counts[section] += 1
                self._fields = {}
                self._box = []
            elif event == "end_map":
                finish()
            elif event != "map_key":
                raise DataError(
                    f"{self.path}: expected objects in the list {section!r}, found {value!r}"
                )

        return on_event

    def _setter(self, name: str) -> Callable[[str, Any], None]:
        def on_event(event: str, value: Any) -> None:
            if event not in ("end_array", "end_map"):
                self._fields[name] = value

        return on_event

    def _finish_image(self) -> None:
        image_id, name = self._key("images", "id"), self._name("images", "file_name")
        self._add(self.images, "images", image_id, name)

    def _finish_category(self) -> None:
        if type(number := self._fields.get("name")) is int:
            self._fields["name"] = str(number)
        category_id = self._key("categories", "id")
        name = self._name("categories", "name").strip()
        self._add(self.categories, "categories", category_id, name)
        if isinstance(parent := self._fields.get("supercategory"), str):
            self.parents[category_id] = parent

    def _finish_object(self) -> None:
        image_id, category_id = (
            self._key("annotations", name) for name in ("image_id", "category_id")
        )
        crowd = self._fields.get("iscrowd") or 0
        if crowd not in (0, 1):
            raise self._wrong("annotations", "iscrowd as 0 or 1", crowd)
        box = self._box
        if not box and self._fields.get("bbox") is None:
            box = list(NO_BOX)  # a tag needs none
        elif len(box) != 4 or not all(map(_is_finite, box)) or box[2] < 0 or box[3] < 0:
            raise self._wrong("annotations", "bbox as [left, top, width, height] >= 0", box)
        images, categories = self.keys["image"], self.keys["category"]
        self.image_ids.append(images.setdefault(image_id, len(images)))
        self.category_ids.append(categories.setdefault(category_id, len(categories)))
        self.crowds.append(int(crowd))
        self.boxes.extend(box)

    def _add(self, table: dict[str, str], section: str, key: str, name: str) -> None:
        if key in table:
            raise self._wrong(section, "each id once", key)
        table[key] = name

    def _key(self, section: str, name: str) -> str:
        value = self._fields.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) not in (int, str) or value == "":
            raise self._wrong(section, f"{name} as a number or a text", value)
        return str(value)

    def _name(self, section: str, name: str) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(section, f"{name} as a text", value)
        return value

    def _wrong(self, section: str, expected: str, found: object) -> DataError:
        own = self._fields.get("id")
        return DataError(
            f"{self.path}: entry {self._counts[section]} of {section!r} (id {own}): "
            f"expected {expected}, found {'nothing' if found is None else repr(found)}"
        )


def read_instances(path: Path) -> CocoInstances:
    """Read one annotation file in a single pass, whatever the order of its sections.

    A large file shows on stderr how far it has been read.

    Args:
        path: ``instances_train2014.json`` or the like.

    Returns:
        Its images, categories and objects.

    Raises:
        DataError: The file is missing, no JSON, or not of COCO's form; says which entry.
    """
    found = CocoInstances(path)
    handlers = found.handlers()
    try:
        with watched(path) as stream:
            _skip_mark(path, stream)
            for prefix, event, value in ijson.parse(stream, use_float=True, buf_size=_PIECE):
                handler = handlers.get(prefix)
                if handler is not None:
                    handler(event, value)
    except ijson.JSONError as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: broken JSON after entry {found._counts['annotations']} of 'annotations' "
            f"({reason})",
            hint="the file is damaged or cut off; fetch it again",
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    found.check()
    return found


def _skip_mark(path: Path, stream: BinaryIO) -> None:
    """Go past a byte order mark; refuse what is packed."""
    with path.open("rb") as file:
        start = file.read(3)
    if start == codecs.BOM_UTF8:
        stream.read(3)
    if start.startswith((b"\x1f\x8b", b"PK")):
        raise DataError(f"{path}: expected JSON, found a packed file", hint="unpack it first")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
