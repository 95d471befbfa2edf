"""Read ``folder:DIR``: a folder for each class, or images with a table beside them.

``DIR/cat/1.jpg``, ``DIR/train/cat/1.jpg``; a picture that lies in the folders of several classes
has all their tags. Where a table ``metadata.csv``, ``metadata.jsonl``, ``metadata.parquet``
(Hugging Face's image folder) or ``_classes.csv`` (Roboflow) lies beside the images, it has them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from boxless.data.cells import is_null
from boxless.data.find_images import list_images
from boxless.data.manifest import Manifest
from boxless.data.options import Options, split_options
from boxless.data.settle import settle
from boxless.data.splits import split_name
from boxless.data.table import OPTIONS, read_files
from boxless.data.tagged import TaggedImage, draft_of
from boxless.errors import DataError
from boxless.types import PRESENT

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")


def read(location: str) -> Manifest:
    """Read a folder of images.

    Args:
        location: ``DIR[,OPTION=VALUE…]``; options as of `boxless.data.settle.settle` and, with a
            table, `boxless.data.table.read`.

    Returns:
        Manifest without boxes; an image's id is its path from the folder. Folders named train,
        valid, test and the like, if there are no others, are the splits.

    Raises:
        DataError: There is no image, or no folder that could name its class.
    """
    root, options = split_options("folder", location, OPTIONS)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(f"expected a folder of images at {root}, found {found}")
    tables = _tables(root)
    if tables:
        return _with_table(root, tables, options, location)
    listing = list_images(root)
    if not listing.images:
        raise DataError(f"{root}: no image in this folder", hint="; ".join(listing.notes))
    root = _inner(root, listing.images)
    paths, at, said = _splits(root, listing.images)
    images, notes = _images(root, paths, at)
    notes = [*said, *notes, *_composed({tag for image in images for tag in image.tags})]
    if not any(image.tags for image in images):
        raise _no_classes(root, len(images))
    where = {None: "", 0: "; split = folders above", 1: "; split = folders below"}[at]
    reading = f"labels = names of folders{where}"
    draft = draft_of(root.name, images, notes=(*notes, *listing.notes), reading=reading)
    return settle(draft, options, location=location, check_files=False)


def _splits(root: Path, paths: Sequence[Path]) -> tuple[list[Path], int | None, list[str]]:
    """Which folders name the splits.

    Returns:
        The images that count; the level of these folders, 0 above or 1 below those of classes, or
        None; and what to tell.
    """
    parts = {path: path.relative_to(root).parts for path in paths}
    tops = {part[0] for part in parts.values() if len(part) > 1}
    named = {top for top in tops if split_name(top) is not None}
    inner = {part[1] for part in parts.values() if len(part) > 2}
    if len(named) > 1 or (named and named == tops):
        flat = [path for path in paths if len(parts[path]) == 2 and parts[path][0] in named]
        if flat:
            raise DataError(
                f"{flat[0]}: expected a folder for a class below {flat[0].parent.name}, which names"
                f" a split, found {len(flat)} images without",
                hint="move them into folders of classes, or away; or "
                + _table_hint(root, "write a table, read by csv:FILE"),
            )
        kept = [path for path in paths if len(parts[path]) != 2]
        gone = len(paths) - len(kept)
        others = ", ".join(sorted(tops - named))
        return kept, 0, [f"{gone} images in {others} lie in no split: left out"] if gone else []
    below = all(split_name(name) is not None for name in inner) and len(inner) > 1
    if below and _is_deep(root, paths):
        return list(paths), 1, []
    return list(paths), None, []


def _composed(names: set[str]) -> list[str]:
    """Notes on classes that may be several, such as ``cat,dog`` beside ``cat`` and ``dog``."""
    return [
        f"the folder {name!r} is one class, though there are {' and '.join(map(repr, parts))}"
        for name in sorted(names)
        for mark in (",", "+", "&", ";", "_", "-", " ")
        if len(parts := name.split(mark)) > 1 and {part.strip() for part in parts} <= names
    ]


def _no_classes(root: Path, count: int) -> DataError:
    return DataError(
        f"{root}: expected a folder for each class, or a table such as metadata.csv, found "
        f"{count} images without either",
        hint=_table_hint(root, "move the images of each class into a folder of its name"),
    )


def _table_hint(root: Path, other: str) -> str:
    """Where the tags may be, if there is a table beside the images."""
    tables = sorted(p for p in root.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".jsonl"))
    return f"write csv:{tables[0]}" if tables else other


def _is_deep(root: Path, images: Sequence[Path]) -> bool:
    """Whether all images lie at least two folders below, but for those right in the folder."""
    return all(len(path.relative_to(root).parts) > 2 for path in images if path.parent != root)


def _inner(root: Path, images: Sequence[Path]) -> Path:
    """The folder that holds those of classes: one around them, such as ``images``, is no class."""
    tops = {path.relative_to(root).parts[0] for path in images}
    alone = len(tops) == 1 and not any(split_name(name) for name in tops)
    if alone and all(path.parent != root for path in images) and _is_deep(root, images):
        return _inner(root / tops.pop(), images)
    return root


def _tables(root: Path) -> dict[str, Path]:
    """The table of each split, or "" for one of all images."""
    for name in TABLES:
        if (root / name).is_file():
            return {"": root / name}
        inner = {folder.parent.name: folder for folder in sorted(root.glob(f"*/{name}"))}
        if inner and all(split_name(split) is not None for split in inner):
            return {split_name(split) or split: path for split, path in inner.items()}
    return {}


def _with_table(root: Path, tables: dict[str, Path], options: Options, location: str) -> Manifest:
    found = read_files(tables, options, location, base=root)
    listing = list_images(root, beside=[Path(name).suffix for name in TABLES])
    named = {record.path for record in found.records}
    others = [path for path in listing.images if str(path) not in named]
    notes = [*found.notes, *listing.notes]
    if others:
        notes.append(f"{len(others)} images are in no table and left out, first {others[0]}")
    return Manifest(root.name, found.classes, found.records, tuple(notes), found.reading)


def _images(
    root: Path, paths: Sequence[Path], at: int | None
) -> tuple[list[TaggedImage], list[str]]:
    """One image for each picture, with the classes of all folders it lies in."""
    level = int(at == 0)
    groups: dict[object, list[Path]] = {}
    by_name: dict[tuple[str, ...], int] = {}
    for path in paths:
        key = (_split(path, root, at), path.name)
        by_name[key] = by_name.get(key, 0) + 1
    for path in paths:
        key = (_split(path, root, at), path.name)
        alike = by_name[key] > 1
        groups.setdefault((key, _content(path)) if alike else path, []).append(path)
    images, bare, deeper, nulls = [], 0, set(), set()
    for group in groups.values():
        first = group[0]
        inner = [path.relative_to(root).parts[level:-1] for path in group]
        deeper |= {"/".join(parts) for parts in inner if len(parts) > 1 + (at == 1)}
        tags = {parts[0]: PRESENT for parts in inner if parts and not is_null(parts[0])}
        bare += not any(inner)
        nulls |= {parts[0] for parts in inner if parts and is_null(parts[0])}
        images.append(
            TaggedImage(
                first.relative_to(root).as_posix(),
                str(first),
                _split(first, root, at),
                tags,
                str(first),
            )
        )
    notes = []
    several = sum(len(group) > 1 for group in groups.values())
    if several:
        notes.append(f"{several} pictures lie in several folders and have all their tags")
    if deeper:
        notes.append(f"folders in folders count as the upper one, such as {min(deeper)}")
    if bare:
        notes.append(f"{bare} images lie in no folder of a class: they have no tag")
    notes += [f"the folder {name!r} is no class: its images have no tag" for name in sorted(nulls)]
    return images, notes


def _split(path: Path, root: Path, at: int | None) -> str:
    inner = path.relative_to(root).parts[:-1]
    return inner[at] if at is not None and at < len(inner) else ""


def _content(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return str(path).encode()
