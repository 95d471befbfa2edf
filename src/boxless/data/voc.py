"""Read ``voc:DIR``: the layout of PASCAL VOC (one folder such as VOC2007).

Tags come from ``ImageSets/Main/CLASS_SPLIT.txt`` (1 present, 0 only difficult objects, -1 absent);
where such a file is missing they come from the objects in ``Annotations/ID.xml``. Boxes always
come from the XML. Specification: Everingham et al., "The PASCAL Visual Object Classes Challenge
2007 Development Kit", http://host.robots.ox.ac.uk/pascal/VOC/voc2007/devkit_doc_07-Jun-2007.pdf
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxless.data.manifest import Manifest
from boxless.data.voc_xml import read_objects
from boxless.errors import DataError
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord, TrueBox

CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The 20 classes, used where the folder has no ``classes.txt``."""

_TAG_VALUES = {"1": PRESENT, "0": UNKNOWN, "-1": ABSENT}
_SUFFIXES = (".jpg", ".jpeg", ".png")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Line:
    """One image id in a split list."""

    image_id: str
    source: str


def read(location: str) -> Manifest:
    """Read a folder in VOC layout.

    The training split is ``trainval.txt`` if there is one, else ``train.txt``; without a
    ``test.txt`` (or without ``trainval.txt``) an existing ``val.txt`` becomes the split ``val``.
    Without a folder ``Annotations`` the images have no boxes.

    Args:
        location: The folder that holds ``ImageSets``, ``JPEGImages`` and ``Annotations``.

    Returns:
        Manifest with splits ``train`` and ``test`` (or ``train`` and ``val``); ids are VOC's.

    Raises:
        DataError: Something is missing, malformed or contradictory; the message says where.
    """
    root = Path(os.path.abspath(Path(location).expanduser()))  # noqa: PTH100 - keeps symlinks
    _check_root(root)
    classes = _read_classes(root)
    images = _files_by_stem(root / "JPEGImages", _SUFFIXES)
    xml_folder = root / "Annotations"
    annotated = _files_by_stem(xml_folder, (".xml",)) if xml_folder.is_dir() else None
    records: list[ImageRecord] = []
    lists, notes = _split_lists(root / "ImageSets" / "Main")
    for split, list_name in lists.items():
        lines = _read_split_list(root / "ImageSets" / "Main" / f"{list_name}.txt")
        _check_files(lines, images, annotated)
        boxes = {
            line.image_id: read_objects(annotated[line.image_id], classes)
            if annotated is not None
            else None
            for line in lines
        }
        columns = _label_columns(root, classes, list_name, lines, boxes)
        records += [
            ImageRecord(
                image_id=line.image_id,
                path=str(images[line.image_id]),
                split=split,
                labels=tuple(column[line.image_id] for column in columns),
                boxes=boxes[line.image_id],
                source=line.source,
            )
            for line in lines
        ]
    return Manifest(root.name, classes, tuple(records), tuple(notes))


def labels_from_boxes(boxes: Sequence[TrueBox], class_count: int) -> tuple[int, ...]:
    """Tags that follow from boxes by VOC's rule.

    Args:
        boxes: True boxes of one image.
        class_count: K.

    Returns:
        K labels: present where an object is not difficult, unknown where all are, else absent.
    """
    labels = [ABSENT] * class_count
    for box in boxes:
        if not box.difficult:
            labels[box.label] = PRESENT
        elif labels[box.label] == ABSENT:
            labels[box.label] = UNKNOWN
    return tuple(labels)


def _check_root(root: Path) -> None:
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(f"expected a folder in VOC layout at {root}, found {found}")
    inside = _names(root)
    for needed in ("ImageSets/Main", "JPEGImages"):
        if (root / needed).is_dir():
            continue
        inner = sorted(main.parent.parent for main in root.glob("**/ImageSets/Main"))
        raise DataError(
            f"expected the folder {needed} in {root}, found {', '.join(inside[:8]) or 'nothing'}",
            hint=f"did you mean voc:{inner[0]}?" if inner else "give a folder such as VOC2007",
        )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot read the folder {folder} ({error.strerror})") from error


def _read_text(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error


def _read_classes(root: Path) -> tuple[str, ...]:
    path = root / "classes.txt"
    if not path.exists():
        return CLASSES
    classes = tuple(line.strip() for line in _read_text(path) if line.strip())
    if not classes or len(set(classes)) != len(classes):
        raise DataError(f"{path}: expected one class name a line, each once, found {classes}")
    return classes


def _files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    paths = (folder / name for name in _names(folder))
    return {path.stem: path for path in paths if path.suffix.lower() in suffixes}


def _split_lists(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Which list file (without .txt) makes which split, and what to tell about it."""
    there = {
        name for name in ("train", "val", "trainval", "test") if (folder / f"{name}.txt").is_file()
    }
    whole = "trainval" in there and ("test" in there or not {"train", "val"} <= there)
    chosen: dict[str, str] = {}
    if whole:
        chosen["train"] = "trainval"
    else:
        chosen |= {name: name for name in ("train", "val") if name in there}
    if "train" not in chosen:
        raise DataError(
            f"expected a split list trainval.txt or train.txt in {folder}, "
            f"found {', '.join(f'{name}.txt' for name in sorted(there)) or 'none'}"
        )
    if "test" in there:
        return chosen | {"test": "test"}, []
    only = "split is" if len(chosen) == 1 else "splits are"
    return chosen, [f"no test.txt: the {only} {' and '.join(chosen)}"]


def _read_split_list(path: Path) -> list[_Line]:
    lines = []
    for number, text in enumerate(_read_text(path), start=1):
        words = text.split()
        if len(words) > 1:
            raise DataError(f"{path}:{number}: expected one image id, found {text.strip()!r}")
        if words:
            lines.append(_Line(words[0], f"{path}:{number}"))
    if not lines:
        raise DataError(
            f"{path}: the split is empty, expected one image id a line",
            hint="fill or delete the list",
        )
    return lines


def _check_files(
    lines: Sequence[_Line], images: Mapping[str, Path], annotated: Mapping[str, Path] | None
) -> None:
    missing = [
        f"{line.source}: image {line.image_id!r} has no {what}"
        for line in lines
        for what, files in (("file in JPEGImages", images), ("XML in Annotations", annotated))
        if files is not None and line.image_id not in files
    ]
    if missing:
        shown = "\n  ".join(missing[1:_SHOWN])
        more = f"\n  … and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise DataError(
            missing[0] + (f"\n  {shown}" if shown else "") + more,
            hint="fetch the files or take the images out of the list",
        )


def _label_columns(
    root: Path,
    classes: tuple[str, ...],
    list_name: str,
    lines: Sequence[_Line],
    boxes: Mapping[str, tuple[TrueBox, ...] | None],
) -> list[dict[str, int]]:
    """One mapping image id -> label for each class."""
    columns = []
    for index, name in enumerate(classes):
        path = root / "ImageSets" / "Main" / f"{name}_{list_name}.txt"
        if path.is_file():
            columns.append(_read_class_file(path, lines))
            continue
        column = {}
        for image_id, found in boxes.items():
            if found is None:
                raise DataError(
                    f"expected tags of class {name!r} in {path} or boxes in "
                    f"{root / 'Annotations'}, found neither"
                )
            column[image_id] = labels_from_boxes(found, len(classes))[index]
        columns.append(column)
    return columns


def _read_class_file(path: Path, lines: Sequence[_Line]) -> dict[str, int]:
    """Labels of one class; lines about images outside the split have no effect."""
    column: dict[str, int] = {}
    for number, text in enumerate(_read_text(path), start=1):
        words = text.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in _TAG_VALUES:
            raise DataError(
                f"{path}:{number}: expected an image id and 1, 0 or -1, found {text.strip()!r}"
            )
        image_id, value = words[0], _TAG_VALUES[words[1]]
        if column.setdefault(image_id, value) != value:
            raise DataError(f"{path}:{number}: image {image_id!r} has two different labels")
    for line in lines:
        if line.image_id not in column:
            raise DataError(
                f"{path}: expected a line for image {line.image_id!r}, which {line.source} lists",
                hint="an absent class is written as -1; without this file tags come from the XML",
            )
    return column
