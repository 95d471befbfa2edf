"""Boxes of a proposal store, looked up by image as those of a file are."""

from typing import TYPE_CHECKING

import numpy as np

from boxless.files.paths import AnyPath
from boxless.proposals.box_table import find_name
from boxless.proposals.store import ProposalStore

if TYPE_CHECKING:
    from boxless.types import Float32Array, ImageRecord


class StoredBoxes:
    """A store in the place of a `BoxTable`; boxes stay on disk.

    Args:
        folder: The store, such as ``boxless data boxes`` writes.

    Raises:
        StoreError: It is no finished store, or damaged.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._store = ProposalStore.open(folder)

    @property
    def fingerprint(self) -> str:
        """Hash of the store's inputs and contents."""
        return self._store.fingerprint

    def __getitem__(self, name: str) -> "tuple[Float32Array, Float32Array]":
        """(R, 4) boxes and (R,) scores of an image."""
        found = self._store[name]
        return np.asarray(found.boxes), np.asarray(found.scores)

    def has(self, name: str | None) -> bool:
        """Whether the store has at least one box of an image."""
        return name is not None and name in self._store and len(self._store[name]) > 0

    def example(self) -> str:
        """Some image's name."""
        return next(iter(self._store))

    def place(self, name: str, row: int) -> str:
        """Where a box stands."""
        return f"{self._store.folder}, image {name!r}, box {row + 1}"

    def name_of(self, record: "ImageRecord") -> str | None:
        """The store's id of an image, or None; tried as in `BoxTable.name_of`."""
        return find_name(record, self._store)
