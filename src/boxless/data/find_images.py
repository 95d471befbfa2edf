"""Images of a folder or of a pattern, on this machine or in a store, and what was skipped."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from boxless.errors import DataError
from boxless.files.paths import AnyPath, RemotePath, is_url

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "bmp", "gif", "tif", "tiff", "avif"),
        *("ppm", "pgm", "pbm", "jp2", "j2k", "jpx"),
    )
)
"""Endings of files that count as images, in lower case; Pillow reads them all."""

HEIF = (".heic", ".heif", ".hif")
HEIF_READER = "the package pillow-heif reads HEIC files"
RAW = (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf")
_LEFT_OUT = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder of this machine holds.

    Attributes:
        images: Image files below it, sorted by path.
        notes: What was skipped, counted and named, one sentence for each kind.
    """

    images: tuple[Path, ...]
    notes: tuple[str, ...]


def list_images(folder: Path, *, beside: Collection[str] = ()) -> Listing:
    """List a folder and the folders below it; linked folders are followed, hidden ones are not.

    Args:
        folder: Searched to the bottom.
        beside: Endings of files that belong there and need not be told.
    """
    images: list[Path] = []
    skipped: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link to where we have been
            skipped["a folder linked twice"] += 1
            folders.clear()
            continue
        seen.add(real)
        for name in [name for name in folders if _is_hidden(name)]:
            folders.remove(name)
            inside = (file for _, _, files in os.walk(Path(here, name)) for file in files)
            hidden[name] += sum(Path(file).suffix.lower() in SUFFIXES for file in inside)
        folders.sort()
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            if _is_hidden(name):
                hidden["hidden files"] += suffix in SUFFIXES
            elif suffix in SUFFIXES:
                images.append(Path(here, name))
            elif suffix not in beside:
                skipped[suffix or "no ending"] += 1
    return Listing(tuple(sorted(images)), _notes(skipped, hidden))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFT_OUT


def _notes(skipped: Counter[str], hidden: Counter[str]) -> tuple[str, ...]:
    notes = [f"{count} images in {name} are left out" for name, count in hidden.items() if count]
    heif = sum(skipped.pop(suffix, 0) for suffix in HEIF)
    if heif:
        notes.append(f"{heif} HEIC files are left out: convert them to JPEG, {HEIF_READER}")
    raw = sum(skipped.pop(suffix, 0) for suffix in RAW)
    if raw:
        notes.append(f"{raw} raw files of cameras are left out: convert them to JPEG")
    if skipped:
        told = ", ".join(f"{name} ({count})" for name, count in skipped.most_common(5))
        notes.append(f"{skipped.total()} other files are left out: {told}")
    return tuple(notes)


def find_images(
    folder: AnyPath, *, on_note: Callable[[str], object] | None = None
) -> list[AnyPath]:
    """Images of a folder and the folders below it, sorted.

    Linked folders are followed, hidden files and folders are left out.

    Args:
        folder: Searched to the bottom; of this machine, or in a store of objects.
        on_note: Called with what was skipped, a sentence for each kind of file.

    Raises:
        DataError: There are none.
        RunError: A store refuses, or cannot be reached.
    """
    if isinstance(folder, Path):
        listing = list_images(folder)
        found: list[AnyPath] = list(listing.images)
        notes = listing.notes
    else:
        files = folder.files_below()
        found = [file for file in files if _is_image(file) and not file.name.startswith(".")]
        notes = _notes(Counter(file.suffix for file in files if not _is_image(file)), Counter())
    if not found:
        raise DataError(f"{folder}: no image in this folder", hint="; ".join(notes))
    if on_note is not None:
        for note in notes:
            on_note(f"{folder}: {note}")
    return found


def match_images(pattern: str) -> list[AnyPath]:
    """Images that a pattern matches, sorted.

    Args:
        pattern: Path or URL, as of a shell: ``*``, ``?``, ``[…]``; ``**`` goes down through
            folders.

    Raises:
        DataError: There are none.
        RunError: A store refuses, or cannot be reached.
    """
    matches: list[RemotePath] | list[Path]
    if is_url(pattern):
        matches = RemotePath(pattern).matches()
    else:
        names = glob.glob(pattern, recursive=True)  # noqa: PTH207  (absolute patterns too)
        matches = [path for path in sorted(map(Path, names)) if path.is_file()]
    found = [path for path in matches if _is_image(path)]
    if not found:
        raise DataError(f"{pattern}: no image matches")
    return found


def _is_image(path: AnyPath) -> bool:
    return path.suffix.lower() in SUFFIXES
