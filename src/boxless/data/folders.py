"""Read ``folder:DIR``: a folder for each class, or images with a table beside them.

``DIR/cat/1.jpg``, ``DIR/train/cat/1.jpg``; a picture that lies in the folders of several classes
has all their tags. Where a table ``metadata.csv``, ``metadata.jsonl``, ``metadata.parquet``
(Hugging Face's image folder) or ``_classes.csv`` (Roboflow) lies beside the images, it has them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

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
    tops = {path.relative_to(root).parts[0] for path in listing.images if path.parent != root}
    split_folders = bool(tops) and all(split_name(name) is not None for name in tops)
    split_folders = split_folders and _is_deep(root, listing.images)
    images, notes = _images(root, listing.images, level=int(split_folders))
    if not any(image.tags for image in images):
        raise DataError(
            f"{root}: expected a folder for each class, or a table such as metadata.csv, found "
            f"{len(images)} images without either",
            hint="move the images of each class into a folder of its name",
        )
    reading = "labels = names of folders" + ("; split = folders above" if split_folders else "")
    draft = draft_of(root.name, images, notes=(*notes, *listing.notes), reading=reading)
    return settle(draft, options, location=location, check_files=False)


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
    root: Path, paths: tuple[Path, ...], *, level: int
) -> tuple[list[TaggedImage], list[str]]:
    """One image for each picture, with the classes of all folders it lies in."""
    groups: dict[object, list[Path]] = {}
    by_name: dict[tuple[str, ...], int] = {}
    for path in paths:
        key = (_split(path, root, level), path.name)
        by_name[key] = by_name.get(key, 0) + 1
    for path in paths:
        key = (_split(path, root, level), path.name)
        alike = by_name[key] > 1
        groups.setdefault((key, _content(path)) if alike else path, []).append(path)
    images, bare, deeper = [], 0, set()
    for group in groups.values():
        first = group[0]
        inner = [path.relative_to(root).parts[level:-1] for path in group]
        deeper |= {"/".join(parts) for parts in inner if len(parts) > 1}
        tags = {parts[0]: PRESENT for parts in inner if parts}
        bare += not tags
        images.append(
            TaggedImage(
                first.relative_to(root).as_posix(),
                str(first),
                _split(first, root, level),
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
    return images, notes


def _split(path: Path, root: Path, level: int) -> str:
    return path.relative_to(root).parts[0] if level else ""


def _content(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return str(path).encode()
