"""Image files below a folder, and what was not taken for one."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "bmp", "gif", "tif", "tiff", "avif"),
        *("ppm", "pgm", "pbm", "jp2", "j2k", "jpx", "tga", "ico", "pcx"),
    )
)
"""Endings of files that count as images, in lower case; Pillow reads them all."""

HEIF = (".heic", ".heif", ".hif")
RAW = (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf")
_LEFT_OUT = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds.

    Attributes:
        images: Image files below it, sorted by path.
        notes: What was skipped, counted and named, one sentence for each kind.
    """

    images: tuple[Path, ...]
    notes: tuple[str, ...]


def list_images(folder: Path) -> Listing:
    """List a folder and the folders below it; linked folders are followed, hidden ones are not.

    Args:
        folder: Searched to the bottom.
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
            else:
                skipped[suffix or "no ending"] += 1
    return Listing(tuple(sorted(images)), _notes(skipped, hidden))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFT_OUT


def _notes(skipped: Counter[str], hidden: Counter[str]) -> tuple[str, ...]:
    notes = [f"{count} images in {name} are left out" for name, count in hidden.items() if count]
    heif = sum(skipped.pop(suffix, 0) for suffix in HEIF)
    if heif:
        notes.append(
            f"{heif} HEIC files are left out: the package pillow-heif reads them, convert them to "
            "JPEG"
        )
    raw = sum(skipped.pop(suffix, 0) for suffix in RAW)
    if raw:
        notes.append(f"{raw} raw files of cameras are left out: convert them to JPEG")
    if skipped:
        told = ", ".join(f"{name} ({count})" for name, count in skipped.most_common(5))
        notes.append(f"{skipped.total()} other files are left out: {told}")
    return tuple(notes)
