"""Images without tags, beside a data set that has some.

They stand in a split of their own behind the tagged images, with every tag unknown, so whatever
asks for ``train`` or ``test`` never meets them.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from boxless.data.find_images import find_images, match_images
from boxless.data.manifest import Manifest
from boxless.data.sources import READERS, load_manifest
from boxless.errors import DataError, unknown_name
from boxless.files.paths import is_url, place
from boxless.types import UNKNOWN, ImageRecord

UNTAGGED = "untagged"
"""Split of the untagged images, and what their ids begin with."""

_WILDCARD = re.compile(r"[*?\[]")
_SPLITS = re.compile(r",splits=([^,]*)$")


def read_untagged(
    spec: str, *, on_note: Callable[[str], object] | None = None
) -> tuple[ImageRecord, ...]:
    """Find images whose tags are not there, or not to be read.

    Args:
        spec: A folder (searched to the bottom), a pattern such as ``photos/**/*.jpg``, or a data
            set such as ``voc:DIR``; of a data set all splits are taken, or those named at its end
            as in ``voc:DIR,splits=train+val``. Folder and pattern may be addresses in a store.
        on_note: Called with what was skipped in a folder, a sentence for each kind of file.

    Returns:
        Records of the split `UNTAGGED` without labels and boxes, their ids ``untagged/…``; see
        `join_untagged`.

    Raises:
        DataError: No image is there, or the data set has something wrong.
        RunError: A store refuses, or cannot be reached.
    """
    if spec.partition(":")[0] in READERS:
        return tuple(_untagged(record) for record in _of_data_set(spec).records)
    location = spec if is_url(spec) else os.path.abspath(Path(spec).expanduser())  # noqa: PTH100
    root = place(location)
    if spec and root.is_dir():
        found = find_images(root, on_note=on_note)
    elif _WILDCARD.search(location):
        found = match_images(location)
        location = _WILDCARD.split(location)[0].rpartition("/")[0]
    else:
        raise DataError(
            f"expected untagged images as a folder, a pattern or a data set, found {spec!r}",
            hint="such as photos/, 'photos/**/*.jpg' or voc:DIR; a path must exist",
        )
    start = len(location.rstrip("/")) + 1
    return tuple(
        ImageRecord(
            image_id=f"{UNTAGGED}/{Path(str(path)[start:]).as_posix()}",
            path=str(path),
            split=UNTAGGED,
            labels=(),
            source=spec,
        )
        for path in found
    )


def join_untagged(tagged: Manifest, untagged: Sequence[ImageRecord]) -> Manifest:
    """Put untagged images behind a data set's own.

    Args:
        tagged: The data set, all its splits.
        untagged: From `read_untagged`, or any records, such as those that lost their tags to
            `boxless.data.few_tags.keep_tags`; their labels and boxes are not looked at.

    Returns:
        The data set's records as they are, then the untagged ones in the split `UNTAGGED` with K
        unknown labels and no boxes. No file is taken twice: the data set's own stay in their
        split; a note tells their number.

    Raises:
        DataError: No untagged image is left, the data set has a split of that name, or two images
            have the same id.
    """
    if UNTAGGED in tagged.split_names:
        raise DataError(
            f"{tagged.name}: expected no split of the name {UNTAGGED!r} beside untagged images",
            hint="rename it, or leave those images to the untagged ones alone",
        )
    files = {_file(record): record for record in reversed(untagged)}  # the first of each counts
    for record in tagged.records:
        files.pop(_file(record), None)
    others = list(reversed(files.values()))
    if not others:
        raise DataError(
            f"{tagged.name}: expected untagged images beside it, found {len(untagged):,}, all of"
            " them images of the data set itself",
            hint="name a folder with further images",
        )
    unknown = (UNKNOWN,) * len(tagged.classes)
    notes = [f"{len(others):,} untagged images"]
    if len(others) < len(untagged):
        notes.append(
            f"{len(untagged) - len(others):,} untagged images are left out: their files are the"
            " data set's own, or stand among the untagged ones twice"
        )
    return replace(
        tagged,
        records=(
            *tagged.records,
            *(replace(r, split=UNTAGGED, labels=unknown, boxes=None) for r in others),
        ),
        notes=(*tagged.notes, *notes),
    )


def true_tags(spec: str, classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Tags of "untagged" images that have some, for an oracle that shows what they are worth.

    Args:
        spec: As of `read_untagged`.
        classes: K names, in the order in which the tags are wanted.

    Returns:
        K labels by image id; nothing where ``spec`` is no data set or lacks one of the classes.

    Raises:
        DataError: The data set has something wrong.
    """
    if spec.partition(":")[0] not in READERS:
        return {}
    manifest = _of_data_set(spec)
    if not set(classes) <= set(manifest.classes):
        return {}
    order = [manifest.classes.index(name) for name in classes]
    return {
        f"{UNTAGGED}/{record.image_id}": tuple(record.labels[place] for place in order)
        for record in manifest.records
    }


def _of_data_set(spec: str) -> Manifest:
    """The splits that the end of a data set's name asks for."""
    asked = _SPLITS.search(spec)
    manifest = load_manifest(spec[: asked.start()] if asked else spec)
    if asked is None:
        return manifest
    names = asked[1].split("+")
    for name in names:
        if name not in manifest.split_names:
            raise DataError(f"{spec}: {unknown_name('split', name, manifest.split_names)}")
    return replace(manifest, records=tuple(r for r in manifest.records if r.split in names))


def _untagged(record: ImageRecord) -> ImageRecord:
    return replace(
        record, image_id=f"{UNTAGGED}/{record.image_id}", split=UNTAGGED, labels=(), boxes=None
    )


def _file(record: ImageRecord) -> str:
    """What tells whether two records name one file."""
    local = not is_url(record.path) and not record.path.startswith("scenes:")
    return os.path.realpath(record.path) if local else record.path
