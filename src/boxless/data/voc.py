"""Read ``voc:DIR``: the layout of PASCAL VOC, official editions and what programs write in it.

Tags come from ``ImageSets/Main/CLASS_SPLIT.txt`` (1 present, 0 only difficult objects, -1 absent);
where such a file is missing they come from the objects in ``Annotations/ID.xml``. Boxes always
come from the XML. Specification: Everingham et al., "The PASCAL Visual Object Classes Challenge
2007 Development Kit", http://host.robots.ox.ac.uk/pascal/VOC/voc2007/devkit_doc_07-Jun-2007.pdf
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxless.data.find_images import list_images
from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.splits import split_name
from boxless.data.text import numbered_lines, read_class_names
from boxless.data.voc_xml import VocObject, read_objects
from boxless.errors import DataError, unknown_name
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord, TrueBox

CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The 20 classes of the official editions."""

OPTIONS = ("years", *COMMON)
_TAG_VALUES = {"1": PRESENT, "0": UNKNOWN, "-1": ABSENT}
_EDITION = re.compile(r"VOC\d{4}.*")
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
    Lists of other names, such as CVAT's ``default.txt``, are splits of these names. Without a
    folder ``Annotations`` the images have no boxes. Of several editions read together, each gives
    its whole ``trainval.txt`` to training and its ``test.txt``, if any, to testing.

    Classes are those of ``classes.txt`` or ``labelmap.txt``, else the 20 of VOC if no other is
    annotated, else those that are annotated.

    Args:
        location: The folder that holds ``ImageSets``, ``JPEGImages`` and ``Annotations``, or one
            with images and XML files side by side, such as Roboflow's; or ``DIR,years=2007+2012``
            with the folders ``VOC2007`` and ``VOC2012`` in it. Options as of
            `boxless.data.settle.settle`.

    Returns:
        Manifest; ids are VOC's.

    Raises:
        DataError: Something is missing, malformed or contradictory; the message says where.
    """
    root, options = split_options("voc", location, OPTIONS)
    years = options.text("years")
    folders = [root] if years is None else [root / f"VOC{year}" for year in years.split("+")]
    options = options.with_class_file(root)
    editions = [_read_edition(folder, joined=years is not None) for folder in folders]
    first = editions[0]
    for folder, edition in zip(folders, editions, strict=True):
        if edition.classes != first.classes:
            raise DataError(f"{folder}: its classes differ from those of {folders[0]}")
    records = tuple(record for edition in editions for record in edition.records)
    notes = [
        note if years is None else f"{folder.name}: {note}"
        for folder, edition in zip(folders, editions, strict=True)
        for note in edition.notes
    ]
    name = first.name if years is None else f"VOC{years}"
    draft = Manifest(name, first.classes, records, tuple(notes))
    return settle(draft, options, location=location, check_files=False)


def labels_from_boxes(objects: Iterable[VocObject], classes: Sequence[str]) -> tuple[int, ...]:
    """Tags that follow from objects by VOC's rule.

    Returns:
        K labels: present where an object is not difficult, unknown where all are, else absent.
    """
    clear = {item.name for item in objects if not item.difficult}
    hard = {item.name for item in objects}
    return tuple(
        PRESENT if name in clear else UNKNOWN if name in hard else ABSENT for name in classes
    )


def _read_edition(root: Path, *, joined: bool) -> Manifest:
    main = root / "ImageSets" / "Main"
    if not main.is_dir():
        return _read_loose(root)
    _check_root(root)
    images = _by_id(root / "JPEGImages", list_images(root / "JPEGImages").images)
    xml_folder = root / "Annotations"
    annotated = _by_id(xml_folder, xml_folder.rglob("*.xml")) if xml_folder.is_dir() else None
    lists, notes = _split_lists(main, joined=joined)
    lines = {split: _read_split_list(main / f"{name}.txt", images) for split, name in lists.items()}
    _check_files([line for part in lines.values() for line in part], images, annotated)
    objects = {
        line.image_id: read_objects(annotated[line.image_id])
        for part in lines.values()
        for line in part
        if annotated is not None
    }
    classes, said = _classes(root, objects, annotated or {})
    records: list[ImageRecord] = []
    for split, part in lines.items():
        columns = _label_columns(root, classes, lists[split], part, objects)
        records += [
            ImageRecord(
                image_id=line.image_id,
                path=str(images[line.image_id]),
                split=split,
                labels=tuple(column[line.image_id] for column in columns),
                boxes=_boxes(objects[line.image_id], classes) if annotated is not None else None,
                source=line.source,
            )
            for line in part
        ]
    return Manifest(root.name, classes, tuple(records), (*notes, *said))


def _read_loose(root: Path) -> Manifest:
    """Images and XML files without lists: side by side, or in folders of their own."""
    annotated = _by_id(root, root.rglob("*.xml")) if root.is_dir() else {}
    if not annotated or any(root.glob("*/ImageSets/Main")):
        _check_root(root)
    listing = list_images(root, beside=(".xml", ".txt"))
    beside = {path.with_suffix(""): path for path in listing.images}
    by_stem: dict[str, list[Path]] = {}
    for path in listing.images:
        by_stem.setdefault(path.stem, []).append(path)
    objects, files = {}, {}
    for image_id, xml in annotated.items():
        same = (
            [beside[xml.with_suffix("")]]
            if xml.with_suffix("") in beside
            else by_stem.get(xml.stem, [])
        )
        if len(same) != 1:
            found = "none" if not same else " and ".join(map(str, same[:2]))
            raise DataError(f"{xml}: expected one image of the name {xml.stem!r}, found {found}")
        objects[image_id], files[image_id] = read_objects(xml), same[0]
    classes, notes = _classes(root, objects, annotated)
    records = [
        ImageRecord(
            image_id=image_id,
            path=str(files[image_id]),
            split=_folder_split(xml, root),
            labels=labels_from_boxes(objects[image_id], classes),
            boxes=_boxes(objects[image_id], classes),
            source=str(xml),
        )
        for image_id, xml in annotated.items()
    ]
    bare = len(listing.images) - len(set(files.values()))
    if bare:
        notes.append(f"{bare} images have no XML file and are left out")
    return Manifest(root.name, classes, tuple(records), (*notes, *listing.notes))


def _folder_split(path: Path, root: Path) -> str:
    """The split that a folder on the way to a file names; "" where none does."""
    inner = path.relative_to(root).parts[:-1]
    return next((name for part in inner if (name := split_name(part)) is not None), "")


def _boxes(objects: Iterable[VocObject], classes: Sequence[str]) -> tuple[TrueBox, ...]:
    return tuple(
        TrueBox(classes.index(item.name), item.xyxy, item.difficult)
        for item in objects
        if item.xyxy is not None
    )


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
            hint=f"name the folder of the images {needed}"
            if root in inner
            else _advice(root, inner)
            if inner
            else "give a folder such as VOC2007",
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


def _by_id(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(paths)}


def _classes(
    root: Path, objects: Mapping[str, Sequence[VocObject]], annotated: Mapping[str, Path]
) -> tuple[tuple[str, ...], list[str]]:
    """Classes of a folder, and what to tell about them."""
    main = root / "ImageSets" / "Main"
    stems = [path.stem for path in main.glob("*.txt")] if main.is_dir() else []
    tagged = {s.removesuffix(f"_{name}") for name in stems for s in stems if s.endswith(f"_{name}")}
    used = tagged | {item.name for items in objects.values() for item in items}
    listed = root / "classes.txt"
    if listed.exists():
        classes = read_class_names(listed)
    elif (root / "labelmap.txt").exists():
        names = (text.partition(":")[0] for _, text in numbered_lines(root / "labelmap.txt"))
        classes = tuple(n for n in names if n[:1] != "#" and (n != "background" or n in used))
        listed = root / "labelmap.txt"
    elif tagged >= set(CLASSES) or (used <= set(CLASSES) and _EDITION.fullmatch(root.name)):
        classes = CLASSES
    elif not used:
        raise DataError(
            f"{root}: expected objects in Annotations or class names in classes.txt, found neither",
            hint=f"write one class name a line into {listed}",
        )
    else:
        return tuple(sorted(used)), [
            f"{len(used)} classes found in the annotations (classes.txt in the folder fixes them)"
        ]
    for image_id, items in objects.items():
        for number, item in enumerate(items, start=1):
            if item.name not in classes:
                raise DataError(
                    f"{annotated[image_id]}: object {number}: "
                    f"{unknown_name('class', item.name, classes)}",
                    hint=f"classes of your own stand in {listed}, one name a line",
                )
    return classes, []


def _split_lists(folder: Path, *, joined: bool) -> tuple[dict[str, str], list[str]]:
    """Which list file (without .txt) makes which split, and what to tell about it."""
    stems = [path.stem for path in sorted(folder.glob("*.txt"))]
    there = {name for name in stems if not any(name.endswith(f"_{other}") for other in stems)}
    whole = "trainval" in there and (joined or "test" in there or not {"train", "val"} <= there)
    chosen: dict[str, str] = {}
    if whole:
        chosen["train"] = "trainval"
    else:
        chosen |= {name: name for name in ("train", "val") if name in there}
    if "test" in there:
        chosen["test"] = "test"
    others = sorted(there - {"train", "val", "trainval", "test"})
    if not chosen and len(others) == 1:
        return {"": others[0]}, [f"the only list is {others[0]}.txt"]
    if "train" not in chosen and {split_name(name) for name in others} & {"train"}:
        return {**{name: name for name in others}, **chosen}, []
    if "train" not in chosen:
        raise DataError(
            f"expected a split list trainval.txt or train.txt in {folder}, "
            f"found {', '.join(f'{name}.txt' for name in sorted(there)) or 'none'}"
        )
    notes = [f"lists not read: {', '.join(f'{name}.txt' for name in others)}"] if others else []
    if "test" in there:
        return chosen, notes
    if joined:
        return chosen, [*notes, "no test.txt: all its images train"]
    only = "split is" if len(chosen) == 1 else "splits are"
    draws = "" if "val" in chosen else " (test=20% draws some)"
    return chosen, [*notes, f"no test.txt: the {only} {' and '.join(chosen)}{draws}"]


def _read_split_list(path: Path, images: Mapping[str, Path]) -> list[_Line]:
    lines = []
    for number, text in numbered_lines(path):
        image_id = text if text in images else _without_suffix(text, images)
        if image_id is None and len(text.split()) > 1:
            raise DataError(f"{path}:{number}: expected one image id, found {text!r}")
        lines.append(_Line(image_id or text, f"{path}:{number}"))
    if not lines:
        raise DataError(
            f"{path}: the split is empty, expected one image id a line",
            hint="fill or delete the list",
        )
    return lines


def _without_suffix(text: str, images: Mapping[str, Path]) -> str | None:
    """The id of a line that names the image with its ending, quoted or not."""
    bare = text.strip("\"'").replace("\\", "/")
    stems = [str(Path(bare).with_suffix("")), Path(bare).stem] if bare else []
    return next((stem for stem in stems if stem in images), None)


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
    objects: Mapping[str, Sequence[VocObject]],
) -> list[dict[str, int]]:
    """One mapping image id -> label for each class."""
    from_objects: dict[str, tuple[int, ...]] = {}
    columns = []
    for index, name in enumerate(classes):
        path = root / "ImageSets" / "Main" / f"{name}_{list_name}.txt"
        if path.is_file():
            columns.append(_read_class_file(path, lines))
            continue
        if not objects:
            raise DataError(
                f"expected tags of class {name!r} in {path} or boxes in "
                f"{root / 'Annotations'}, found neither"
            )
        if not from_objects:
            from_objects = {
                line.image_id: labels_from_boxes(objects[line.image_id], classes) for line in lines
            }
        columns.append({image_id: labels[index] for image_id, labels in from_objects.items()})
    return columns


def _read_class_file(path: Path, lines: Sequence[_Line]) -> dict[str, int]:
    """Labels of one class; lines about images outside the split have no effect."""
    column: dict[str, int] = {}
    known = {line.image_id for line in lines}
    for number, text in numbered_lines(path):
        image_id, *words = text.rsplit(maxsplit=1)
        word = words[0] if words else ""
        if word not in _TAG_VALUES or (" " in image_id and image_id not in known):
            raise DataError(f"{path}:{number}: expected an image id and 1, 0 or -1, found {text!r}")
        value = _TAG_VALUES[word]
        if column.setdefault(image_id, value) != value:
            raise DataError(f"{path}:{number}: image {image_id!r} has two different labels")
    for line in lines:
        if line.image_id not in column:
            raise DataError(
                f"{path}: expected a line for image {line.image_id!r}, which {line.source} lists",
                hint="an absent class is written as -1; without this file tags come from the XML",
            )
    return column
