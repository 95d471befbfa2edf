"""The one internal table of images and tags, whatever format they came from."""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from boxless.data.stratify import part_sizes, stratify
from boxless.errors import DataError, unknown_name
from boxless.files.paths import file_size, look_ahead
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord, Int8Array

_LABEL_VALUES = frozenset((PRESENT, ABSENT, UNKNOWN))


@dataclass(frozen=True)
class Manifest:
    """Images, their tags and their splits; checked when made.

    Attributes:
        name: Short name of the data set, for reports.
        classes: K class names, unique, in the order of the labels.
        records: M images, at least one, with unique ids.
        notes: Decisions of the reader that a user should know, one sentence each.
        reading: What the reader took for what, a line for each file; empty where a format leaves
            no choice.

    Raises:
        DataError: Duplicate ids or class names, a record with other than K labels or with a label
            outside {1, 0, -1}, or no record at all.
    """

    name: str
    classes: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    notes: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_classes(self.name, self.classes)
        if not self.records:
            raise DataError(f"data set {self.name!r} has no images")
        seen: dict[str, ImageRecord] = {}
        for record in self.records:
            _check_labels(record, len(self.classes))
            if record.image_id in seen:
                first = seen[record.image_id]
                raise DataError(
                    f"{record.source}: image id {record.image_id!r} (split {record.split!r}) is "
                    f"already taken at {first.source} (split {first.split!r})",
                    hint="each image may stand in the data set once, in one split",
                )
            seen[sys.intern(record.image_id)] = record  # one string for all places that name it

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def labels(self) -> Int8Array:
        """(M, K) labels: 1 present, 0 absent, -1 unknown. Read-only."""
        table = np.array([record.labels for record in self.records], np.int8)
        table = table.reshape(len(self.records), len(self.classes))
        table.setflags(write=False)
        return table

    @property
    def image_ids(self) -> tuple[str, ...]:
        """M ids in the order of the records."""
        return tuple(record.image_id for record in self.records)

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits, in order of first appearance."""
        return tuple(dict.fromkeys(record.split for record in self.records))

    @property
    def has_boxes(self) -> bool:
        """Whether every image comes with true boxes (possibly none in the image)."""
        return all(record.boxes is not None for record in self.records)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the content: classes, ids, splits, labels, sizes of the image files.

        Does not depend on where the folder lies. Scenes count by their recipe.

        Raises:
            DataError: Image files are missing.
            RunError: A store of objects refuses, or cannot be reached.
        """
        digest = hashlib.sha256()
        for name in self.classes:
            _feed(digest, name)
        look_ahead(record.path for record in self.records)
        missing = []
        for record in self.records:
            size = _content_size(record)
            if size is None:
                missing.append(record)
            _feed(digest, record.image_id, record.split, repr(record.labels), size or "")
            if record.group:
                _feed(digest, record.group)
        if missing:
            raise missing_files(missing, len(self))
        return digest.hexdigest()[:16]

    def split(self, name: str) -> "Manifest":
        """The images of one split.

        Args:
            name: Such as ``"train"``.

        Returns:
            A manifest with the same classes.

        Raises:
            DataError: No image is in that split.
        """
        if name not in self.split_names:
            raise DataError(f"{self.name}: {unknown_name('split', name, self.split_names)}")
        return self._keep(record.split == name for record in self.records)

    def without(self, ids: Iterable[str]) -> "Manifest":
        """The manifest less some images.

        Args:
            ids: Image ids to leave out; ids of other images have no effect.

        Returns:
            The other images.

        Raises:
            DataError: No image is left.
        """
        dropped = frozenset(ids)
        return self._keep(record.image_id not in dropped for record in self.records)

    def folds(self, count: int, *, seed: int) -> NDArray[np.int64]:
        """Number the images into folds of equal size that keep every class's share.

        The fold of an image depends on the set of images, not on their order. Images of one group
        stay together: then the folds are of equal size in groups.

        Args:
            count: Number of folds, 2 to M (or the number of groups).
            seed: Another seed gives other folds.

        Returns:
            (M,) fold of each record, 0 to ``count - 1``; sizes differ by at most one.

        Raises:
            DataError: ``count`` is out of range.
        """
        most = len(set(self._units))
        if not 2 <= count <= most:
            raise DataError(f"{self.name}: expected 2 to {most} folds, found {count}")
        return self._deal([1 / count] * count, seed)

    def holdout(self, fraction: float, *, seed: int) -> "tuple[Manifest, Manifest]":
        """Set a part of the images aside, keeping every class's share; groups stay together.

        Args:
            fraction: Share of the images (or groups) to hold out, in (0, 1).
            seed: Another seed gives another part.

        Returns:
            The rest and the held-out part, both in the order of this manifest.

        Raises:
            DataError: The fraction is out of range or leaves one part without images.
        """
        if not 0 < fraction < 1:
            raise DataError(f"expected a held-out fraction between 0 and 1, found {fraction}")
        shares = [1 - fraction, fraction]
        if 0 in part_sizes(len(set(self._units)), shares):
            raise DataError(
                f"{self.name}: holding out {fraction:g} of {len(self)} images leaves a part empty",
                hint="take another share with --data.held_out, or 0 to hold none out",
            )
        part = self._deal(shares, seed)
        return self._keep(part == 0), self._keep(part == 1)

    @cached_property
    def _units(self) -> tuple[str, ...]:
        """What each image is dealt out with: its group, else it alone."""
        return tuple(record.group or record.image_id for record in self.records)

    def _deal(self, shares: list[float], seed: int) -> NDArray[np.int64]:
        row = {unit: number for number, unit in enumerate(sorted(set(self._units)))}
        rows = np.array([row[unit] for unit in self._units], np.int64)
        positive = np.zeros((len(row), len(self.classes)), bool)
        np.logical_or.at(positive, rows, self.labels == PRESENT)
        return stratify(positive, shares, seed=seed)[rows]

    def _keep(self, keep: Iterable[bool]) -> "Manifest":
        kept = tuple(r for r, wanted in zip(self.records, keep, strict=True) if wanted)
        return replace(self, records=kept)


def _check_classes(name: str, classes: tuple[str, ...]) -> None:
    if not classes:
        raise DataError(f"data set {name!r} has no classes")
    if len(set(classes)) != len(classes):
        twice = sorted({c for c in classes if classes.count(c) > 1})
        raise DataError(f"data set {name!r} names classes more than once: {', '.join(twice)}")


def _check_labels(record: ImageRecord, class_count: int) -> None:
    if len(record.labels) != class_count:
        raise DataError(
            f"{record.source}: expected {class_count} labels for image {record.image_id!r}, "
            f"found {len(record.labels)}"
        )
    wrong = set(record.labels) - _LABEL_VALUES
    if wrong:
        raise DataError(
            f"{record.source}: expected labels 1, 0 or -1 for image {record.image_id!r}, "
            f"found {sorted(wrong)}"
        )


def _feed(digest: "hashlib._Hash", *texts: str) -> None:
    """Add texts with their lengths, so that no two lists of texts look the same."""
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)


def _content_size(record: ImageRecord) -> str | None:
    """File size in bytes or a scene's recipe; None where there is no file."""
    if record.path.startswith("scenes:"):
        return record.path
    size = file_size(record.path)
    return None if size is None else str(size)


def missing_files(
    missing: Sequence[ImageRecord],
    count: int,
    *,
    hint: str = "'boxless data check' lists them all",
) -> DataError:
    """The error for image files that are not there; names the first five."""
    shown = "".join(f"\n  {record.source}: {record.path}" for record in missing[:5])
    more = f"\n  … and {len(missing) - 5:,} more" if len(missing) > 5 else ""
    return DataError(
        f"{len(missing):,} of {count:,} image files are missing:{shown}{more}", hint=hint
    )
