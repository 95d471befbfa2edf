"""Read ``yolo:PATH``: images and a text file of boxes for each, as Ultralytics uses them.

``data.yaml`` names the classes and the folders of images; ``labels`` stands in the place of
``images`` on the way to the text files. A line is a class number and a box or polygon, as shares of
the image. Format: https://docs.ultralytics.com/datasets/detect/.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from boxless.data.find_images import list_images
from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.simple_yaml import Value, read_simple_yaml
from boxless.data.tagged import Box, TaggedImage, draft_of, in_pixels
from boxless.data.text import numbered_lines
from boxless.errors import DataError
from boxless.types import PRESENT

OPTIONS = COMMON
_PARTS = ("train", "val", "valid", "test")
_BESIDE = (".txt", ".yaml", ".names", ".data", ".cache")
_CLASS_FILES = ("classes.txt", "obj.names", "data/obj.names")


def read(location: str) -> Manifest:
    """Read a data set in YOLO's form.

    An image without a text file has no tag. Boxes are in pixels; images that cannot be opened have
    none.

    Args:
        location: ``DIR[,OPTION=VALUE…]`` or its ``data.yaml``; without one, the folder holds
            ``classes.txt`` or ``obj.names``. Options as of `boxless.data.settle.settle`.

    Returns:
        Manifest; an image's id is its path from the folder.

    Raises:
        DataError: Something is missing or malformed; the message says ``file:line``.
    """
    path, options = split_options("yolo", location, OPTIONS)
    if not path.exists():
        raise DataError(f"expected a folder with data.yaml, or that file, at {path}, found nothing")
    root = path if path.is_dir() else path.parent
    notes: list[str] = []
    settings = _settings(path)
    if settings is not None:
        classes = list(settings["names"])
        parts = {part: _part_images(root, settings, part, notes) for part in _PARTS}
    else:
        classes = _listed_names(root)
        listing = list_images(root, beside=_BESIDE)
        parts = {"": list(listing.images)}
        notes += listing.notes
    images = [_image(file, root, part, classes) for part, files in parts.items() for file in files]
    if not images:
        raise DataError(f"{path}: names no image that is there")
    draft = draft_of(root.name, images, classes=classes, notes=tuple(dict.fromkeys(notes)))
    return settle(draft, options.with_class_file(root), location=location, check_files=False)


def _settings(path: Path) -> Mapping[str, Value] | None:
    """What data.yaml says; None where a folder has none."""
    file = path
    if path.is_dir():
        found = sorted((*path.glob("*.yaml"), *path.glob("*.yml")), key=lambda f: f.stem != "data")
        if not found:
            return None
        file = found[0]
    settings = read_simple_yaml(file)
    if not isinstance(settings.get("names"), list) or not settings["names"]:
        raise DataError(f"{file}: expected 'names' as a list of classes, found none")
    return settings


def _listed_names(root: Path) -> list[str]:
    for name in _CLASS_FILES:
        if (root / name).is_file():
            return [text for _, text in numbered_lines(root / name)]
    raise DataError(
        f"expected data.yaml, classes.txt or obj.names in {root}, found none",
        hint="name the classes in one of them: a line says a number only",
    )


def _part_images(
    root: Path, settings: Mapping[str, Value], part: str, notes: list[str]
) -> list[Path]:
    """Images of a part: folders, or text files that list them."""
    if part == "valid" and settings.get("val"):
        return []
    told = settings.get(part) or []
    found: list[Path] = []
    for text in told if isinstance(told, list) else [told]:
        place = _located(root, str(settings.get("path") or ""), str(text))
        if place is None:
            if part != "test":
                notes.append(f"{part}: there is no {text}")
        elif place.is_dir():
            listing = list_images(place, beside=_BESIDE)
            found += listing.images
            notes += listing.notes
        else:
            found += _listed_images(place, root)
    return found


def _located(root: Path, base: str, text: str) -> Path | None:
    """Where a folder of data.yaml is: programs write paths that held on another machine."""
    inner = text.replace("\\", "/")
    while inner.startswith("../"):
        inner = inner.removeprefix("../")
    tails = [inner.lstrip("/").split("/", skip)[-1] for skip in range(inner.count("/") + 1)]
    places = [root / base / text, root / text, *(root / tail for tail in tails)]
    return next((place for place in places if place.exists()), None)


def _listed_images(file: Path, root: Path) -> Iterator[Path]:
    for _, text in numbered_lines(file):
        place = _located(
            root, str(file.parent.relative_to(root)) if root in file.parents else "", text
        )
        yield place if place is not None else file.parent / text


def _image(file: Path, root: Path, split: str, classes: Sequence[str]) -> TaggedImage:
    labels = _label_file(file)
    shapes = list(_shapes(labels, classes)) if labels is not None else []
    inside = root in file.parents
    return TaggedImage(
        file.relative_to(root).as_posix() if inside else str(file),
        str(file),
        split or _own_split(file, root),
        {name: PRESENT for name, _ in shapes},
        str(labels or file),
        in_pixels(str(file), [(name, box) for name, box in shapes if box is not None]),
    )


def _own_split(file: Path, root: Path) -> str:
    """A folder train, val or test on the way to an image, where no file tells the split."""
    inner = file.relative_to(root).parts[:-1] if root in file.parents else ()
    return next((part for part in inner if part in _PARTS), "")


def _label_file(image: Path) -> Path | None:
    parts = list(image.with_suffix(".txt").parts)
    places = [Path(*parts)]
    for at in (n for n in reversed(range(len(parts))) if parts[n] == "images"):
        places.insert(0, Path(*parts[:at], "labels", *parts[at + 1 :]))
    return next((place for place in places if place.is_file()), None)


def _shapes(file: Path, classes: Sequence[str]) -> Iterator[tuple[str, Box | None]]:
    """Class and box, as shares of the image, of each line."""
    for number, text in numbered_lines(file):
        first, *rest = text.split()
        try:
            index, numbers = int(float(first)), [float(word) for word in rest]
        except (ValueError, OverflowError):
            raise DataError(
                f"{file}:{number}: expected a class number and a box, found {text[:60]!r}"
            ) from None
        if not 0 <= index < len(classes):
            raise DataError(
                f"{file}:{number}: expected a class from 0 to {len(classes) - 1}, found {index}",
                hint="'names' in data.yaml (or classes.txt) lacks classes",
            )
        yield classes[index], _corners(numbers)


def _corners(numbers: Sequence[float]) -> Box | None:
    """The box of a line: centre and size (and a confidence), or the one around a polygon."""
    if len(numbers) in (4, 5):
        x, y, w, h = numbers[:4]
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2
    if len(numbers) < 6:
        return None
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)
