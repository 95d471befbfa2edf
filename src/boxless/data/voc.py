"""Read ``voc:DIR``: the layout of PASCAL VOC (a folder such as VOC2007 or VOC2012, or several).

Tags come from ``ImageSets/Main/CLASS_SPLIT.txt`` (1 present, 0 only difficult objects, -1 absent);
where such a file is missing they come from the objects in ``Annotations/ID.xml``. Boxes always
come from the XML. Specification: Everingham et al., "The PASCAL Visual Object Classes Challenge
2007 Development Kit", http://host.robots.ox.ac.uk/pascal/VOC/voc2007/devkit_doc_07-Jun-2007.pdf
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.data.text import numbered_lines, read_class_names
from boxless.data.voc_xml import read_objects
from boxless.errors import DataError
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord, TrueBox

CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The 20 classes, used where the folder has no ``classes.txt``."""

OPTIONS = ("years",)
_TAG_VALUES = {"1": PRESENT, "0": UNKNOWN, "-1": ABSENT}
_SUFFIXES = (".jpg", ".jpeg", ".png")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Line:
    """One image id in a split list."""

    image_id: str
    source: str


def read(location: str) -> Manifest:
    """Read a folder in VOC layout, or several editions below a common folder.

    The training split is ``trainval.txt`` if there is one, else ``train.txt``; without a
    ``test.txt`` (or without ``trainval.txt``) an existing ``val.txt`` becomes the split ``val``.
    Without a folder ``Annotations`` the images have no boxes. Of several editions read together,
    each gives its whole ``trainval.txt`` to training and its ``test.txt``, if any, to testing.

    Args:
        location: The folder that holds ``ImageSets``, ``JPEGImages`` and ``Annotations``; or
            ``DIR,years=2007+2012`` with the folders ``VOC2007`` and ``VOC2012`` in it.

    Returns:
        Manifest with splits ``train`` and ``test`` (or ``train`` and ``val``); ids are VOC's.

    Raises:
        DataError: Something is missing, malformed or contradictory; the message says where.
    """
    root, options = split_options("voc", location, OPTIONS)
    years = options.text("years")
    if years is None:
        return _read_edition(root, joined=False)
    folders = [root / f"VOC{year}" for year in years.split("+")]
    editions = [_read_edition(folder, joined=True) for folder in folders]
    first = editions[0]
    for folder, edition in zip(folders, editions, strict=True):
        if edition.classes != first.classes:
            raise DataError(f"{folder}: its classes differ from those of {folders[0]}")
    records = tuple(record for edition in editions for record in edition.records)
    notes = [
        f"{folder.name}: {note}"
        for folder, edition in zip(folders, editions, strict=True)
        for note in edition.notes
    ]
    return Manifest(f"VOC{years}", first.classes, records, tuple(notes))


def _read_edition(root: Path, *, joined: bool) -> Manifest:
    _check_root(root)
    classes = _read_classes(root)
    images = _files_by_stem(root / "JPEGImages", _SUFFIXES)
    xml_folder = root / "Annotations"
    annotated = _files_by_stem(xml_folder, (".xml",)) if xml_folder.is_dir() else None
    records: list[ImageRecord] = []
    lists, notes = _split_lists(root / "ImageSets" / "Main", joined=joined)
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
            hint=_advice(root, inner) if inner else "give a folder such as VOC2007",
        )


def _advice(root: Path, inner: Sequence[Path]) -> str:
    """Point from a folder above to the editions in it."""
    asked = " or ".join(f"voc:{folder}" for folder in inner[:3])
    years = [folder.name.removeprefix("VOC") for folder in inner if folder.parent == root]
    both = f" Or all together: voc:{root},years={'+'.join(years)}" if len(years) > 1 else ""
    return f"did you mean {asked}?{both}"


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot read the folder {folder} ({error.strerror})") from error


def _read_classes(root: Path) -> tuple[str, ...]:
    path = root / "classes.txt"
    if not path.exists():
        return CLASSES
    return read_class_names(path)


def _files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    paths = (folder / name for name in _names(folder))
    return {path.stem: path for path in paths if path.suffix.lower() in suffixes}


def _split_lists(folder: Path, *, joined: bool) -> tuple[dict[str, str], list[str]]:
    """Which list file (without .txt) makes which split, and what to tell about it."""
    there = {
        name for name in ("train", "val", "trainval", "test") if (folder / f"{name}.txt").is_file()
    }
    whole = "trainval" in there and (joined or "test" in there or not {"train", "val"} <= there)
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
    if joined:
        return chosen, ["no test.txt: all its images train"]
    only = "split is" if len(chosen) == 1 else "splits are"
    return chosen, [f"no test.txt: the {only} {' and '.join(chosen)}"]


def _read_split_list(path: Path) -> list[_Line]:
    lines = []
    for number, text in numbered_lines(path):
        if len(text.split()) > 1:
            raise DataError(f"{path}:{number}: expected one image id, found {text!r}")
        lines.append(_Line(text, f"{path}:{number}"))
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
    for number, text in numbered_lines(path):
        words = text.split()
        if len(words) != 2 or words[1] not in _TAG_VALUES:
            raise DataError(f"{path}:{number}: expected an image id and 1, 0 or -1, found {text!r}")
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
