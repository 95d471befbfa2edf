"""Read and write ``list:FILE``: the line format of the authors' own code, tags and proposals.

One image per line, words separated by single spaces: the path, K labels (0 or 1), then R boxes of
five numbers ``x_min y_min x_max y_max score``, R being the same on every line. Specification: the
README ("Datalist Preparation") and ``human_att_data_layer.cpp`` of
https://github.com/Yochengliu/MLIC-KD-WSD. What the numbers mean is the business of
`boxless.proposals.list_boxes`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxless.data.manifest import Manifest
from boxless.data.options import Options, split_options
from boxless.data.text import numbered_lines, read_class_names
from boxless.errors import DataError
from boxless.files.atomic import replacing, write_atomically
from boxless.types import UNKNOWN, ImageRecord

OPTIONS = ("test", "classes", "root")
NUMBERS_A_BOX = 5
_VALUES = {"1": 1, "0": 0, "-1": UNKNOWN}


@dataclass(frozen=True, slots=True)
class ListedBoxes:
    """The boxes of one line.

    Attributes:
        image_id: The image's path as listed.
        numbers: 5 R words.
        source: ``file:line``.
    """

    image_id: str
    numbers: Sequence[str]
    source: str


@dataclass(frozen=True, slots=True)
class _Source:
    """Files and classes that a location stands for."""

    files: dict[str, Path]
    classes: tuple[str, ...]
    root: Path


def read(location: str) -> Manifest:
    """Read the tags of the authors' list files.

    Args:
        location: ``FILE[,OPTION=VALUE…]``. Options: ``test=FILE`` for the list of test images,
            ``classes=FILE`` with one class name per line (default: ``FILE.classes.txt`` beside the
            list) or ``classes=K`` for classes without names, ``root=DIR`` before the listed paths
            (default: the list's folder).

    Returns:
        Manifest with splits ``train`` and, with a second list, ``test``; without true boxes. An
        image's id is its path as listed. The label -1, unknown to the authors' code, is unknown.

    Raises:
        DataError: A line is malformed, or R differs between lines; the message says ``file:line``.
    """
    source = _source(location)
    shared: dict[tuple[str, ...], tuple[int, ...]] = {}
    records = []
    first = ("", 0)
    for split, where, name, labels, numbers in _lines(source):
        if not first[0]:
            first = (where, len(numbers))
        if len(numbers) != first[1]:
            raise DataError(
                f"{where}: expected {first[1] // NUMBERS_A_BOX} boxes as at {first[0]}, "
                f"found {len(numbers) // NUMBERS_A_BOX}"
            )
        key = tuple(labels)
        if key not in shared:
            shared[key] = tuple(_VALUES[label] for label in labels)
        path = str(source.root / name)
        records.append(ImageRecord(name, path, split, shared[key], None, where))
    if not records:
        raise DataError(
            f"{source.files['train']}: expected an image per line, the list has no images"
        )
    notes = [f"{first[1] // NUMBERS_A_BOX} boxes an image ('boxless data boxes' takes them over)"]
    if "test" not in source.files:
        notes.append("one list: the split is train (test=FILE names the other)")
    return Manifest(source.files["train"].stem, source.classes, tuple(records), tuple(notes))


def read_boxes(location: str) -> Iterator[ListedBoxes]:
    """Read the boxes of the authors' list files, a line at a time.

    Args:
        location: As for `read`.

    Yields:
        The boxes of each image, in the order of the records of `read`.

    Raises:
        DataError: A line is malformed.
    """
    for _, where, name, _, numbers in _lines(_source(location)):
        yield ListedBoxes(name, numbers, where)


def write(
    manifest: Manifest, file: Path, names: Sequence[str], boxes: Callable[[ImageRecord], str]
) -> None:
    """Write a list file and its classes (``FILE.classes.txt``); each appears whole or not at all.

    Args:
        manifest: Images and tags.
        file: The list to write.
        names: (M,) paths as they shall stand in the list.
        boxes: Gives the words of an image's boxes, separated by single spaces; "" for none.

    Raises:
        DataError: A path has white space, which the format cannot hold.
        RunError: The file cannot be written.
    """
    for name, record in zip(names, manifest.records, strict=True):
        if name.split() != [name]:
            raise DataError(
                f"{record.source}: the list format cannot hold the path {name!r}: white space ends "
                "a path",
                hint="rename the file or folder",
            )
    with replacing(file) as stream:
        for name, record in zip(names, manifest.records, strict=True):
            words = (name, *map(str, record.labels), boxes(record))
            stream.write((" ".join(filter(None, words)) + "\n").encode())
    classes = "".join(f"{name}\n" for name in manifest.classes)
    write_atomically(_class_file(file), classes.encode())


def _class_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.classes.txt")


def _source(location: str) -> _Source:
    path, options = split_options("list", location, OPTIONS)
    files = {"train": path}
    other = options.text("test")
    if other is not None:
        beside = path.parent / other
        files["test"] = beside if beside.is_file() else Path(other).expanduser().absolute()
    root = options.text("root")
    folder = path.parent if root is None else Path(root).expanduser().absolute()
    return _Source(files, _classes(path, options), folder)


def _classes(path: Path, options: Options) -> tuple[str, ...]:
    asked = options.text("classes")
    if asked is not None and asked.isdecimal():
        count = options.number("classes", 0, low=1)
        width = len(str(count))
        return tuple(f"class-{number:0{width}d}" for number in range(1, count + 1))
    if asked is not None:
        beside = path.parent / asked
        return read_class_names(beside if beside.is_file() else Path(asked).expanduser())
    if _class_file(path).is_file():
        return read_class_names(_class_file(path))
    raise DataError(
        f"{path}: a list does not say how many of its numbers are labels, nor what they mean",
        hint=f"write one class name a line into {_class_file(path).name} beside it, "
        "or give classes=FILE or classes=80",
    )


def _lines(source: _Source) -> Iterator[tuple[str, str, str, list[str], list[str]]]:
    """Split, ``file:line``, path, K labels and 5 R numbers of each line, as written."""
    count = len(source.classes)
    for split, path in source.files.items():
        for number, text in numbered_lines(path):
            name, *words = text.split()
            labels, numbers = words[:count], words[count:]
            where = f"{path}:{number}"
            if len(labels) < count or len(numbers) % NUMBERS_A_BOX:
                raise DataError(
                    f"{where}: expected a path, {count} labels and five numbers a box, "
                    f"found {len(words) + 1} words",
                    hint="a path cannot hold spaces; is the number of classes right?",
                )
            for position, label in enumerate(labels, start=2):
                if label not in _VALUES:
                    raise DataError(
                        f"{where}: expected the label 0 or 1 as word {position}, found {label!r}",
                        hint=f"with {count} classes, words 2 to {count + 1} are labels",
                    )
            yield split, where, name, labels, numbers
