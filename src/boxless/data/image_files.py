"""Which image files of a data set are there, and what to do about those that are not."""

import os
from collections.abc import Sequence

from boxless.data.manifest import missing_files
from boxless.types import ImageRecord


class FolderListings:
    """Answers ``path in listings`` with one look at each folder, however many files are asked."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def __contains__(self, path: str) -> bool:
        folder, name = os.path.split(path)
        names = self._names.get(folder)
        if names is None:
            try:
                names = frozenset(os.listdir(folder))  # noqa: PTH208 - names alone are half the price
            except OSError:
                names = frozenset()
            self._names[folder] = names
        return name in names


def stays_inside(name: str) -> bool:
    """Whether a listed name leads nowhere but into the folder it is relative to."""
    slashed = name.replace("\\", "/")
    if slashed.startswith(("/", "~")) or slashed[1:2] == ":" or "\0" in slashed:
        return False
    return ".." not in os.path.normpath(slashed).split("/")


def keep_existing(
    records: Sequence[ImageRecord], *, drop: bool, spec: str
) -> tuple[Sequence[ImageRecord], list[str]]:
    """Refuse a data set that lacks image files, or go on without them.

    Args:
        records: Images.
        drop: Leave images without a file out instead of refusing.
        spec: The data set as the user would write it to go on without them, for the message.

    Returns:
        The images that have a file, and a note where some have not.

    Raises:
        DataError: Files are missing and ``drop`` is off, or every file is missing.
    """
    listings = FolderListings()
    missing = [record for record in records if record.path not in listings]
    if not missing:
        return records, []
    if len(missing) == len(records):
        raise missing_files(missing, len(records), hint="the images lie elsewhere, or not here yet")
    if not drop:
        raise missing_files(
            missing, len(records), hint=f"fetch them, or go on without them: {spec}"
        )
    gone = {record.image_id for record in missing}
    kept = [record for record in records if record.image_id not in gone]
    note = (
        f"{len(missing):,} of {len(records):,} image files are missing and left out, "
        f"first {missing[0].path} ({missing[0].source})"
    )
    return kept, [note]
