"""Writing a proposal store shard by shard, so that a killed extraction loses one shard at most."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from boxless.errors import DataError, StoreError
from boxless.files.copies import fetched, file_sha256
from boxless.files.paths import AnyPath, RemotePath
from boxless.files.seals import require_whole, write_sealed
from boxless.proposals.checks import check_proposals
from boxless.proposals.index import (
    INDEX_NAME,
    INPUTS_NAME,
    ShardEntry,
    StoreIndex,
    StoreInputs,
    read_inputs,
    write_index,
    write_inputs,
)
from boxless.proposals.precision import packed_boxes, packed_scores
from boxless.proposals.store import OpenShard, ProposalStore
from boxless.types import Proposals

Skipped = tuple[tuple[str, str], ...]


class ProposalWriter:
    """Fills a folder with shards and closes it with an index.

    Until `finish` the folder holds a note of the inputs in place of an index; a writer for the same
    inputs carries on from the shards that are there. One writer at a time may work on a folder.

    Args:
        folder: Where to write; made if absent.
        inputs: What the store is made from.

    Raises:
        StoreError: The folder holds a finished store, or shards made from other inputs (the first
            field that differs is named), or files that are not a store's.
    """

    def __init__(self, folder: AnyPath, inputs: StoreInputs) -> None:
        self.folder = folder
        self.inputs = inputs
        if (folder / INDEX_NAME).exists():
            raise StoreError(
                f"{folder} already holds a finished proposal store",
                hint="open it, choose another folder, or delete it",
            )
        if isinstance(folder, Path):
            _sweep(folder)
        if (folder / INPUTS_NAME).exists():
            difference = read_inputs(folder).difference(inputs)
            if difference:
                raise StoreError(
                    f"{folder} holds an unfinished extraction of other inputs: {difference}",
                    hint="choose another folder, or delete this one",
                )
        else:
            if not _is_empty(folder):
                raise StoreError(
                    f"expected an empty folder or a proposal store at {folder}, found other files",
                    hint="choose another folder",
                )
            write_inputs(folder, inputs)

    @property
    def shard_count(self) -> int:
        """Number of shards when finished."""
        return -(-len(self.inputs.image_ids) // self.inputs.shard_size)

    def shard_ids(self, number: int) -> tuple[str, ...]:
        """Images asked for in one shard (0-based), in order."""
        start = number * self.inputs.shard_size
        return self.inputs.image_ids[start : start + self.inputs.shard_size]

    def finished(self, number: int) -> Skipped | None:
        """The (id, reason) of images skipped in a whole shard; None if it is not there."""
        found = self._found(number)
        return None if found is None else found[1]

    def write_shard(
        self, number: int, found: Sequence[tuple[str, Proposals]], skipped: Skipped = ()
    ) -> None:
        """Write one shard atomically.

        Args:
            number: 0-based number of the shard.
            found: (id, proposals) of its readable images, in order.
            skipped: (id, reason) of the others.

        Raises:
            StoreError: A box is unusable; image and row are named.
        """
        for image_id, proposals in found:
            check_proposals(proposals, image_id)
        kept = [entry for _, entry in found]
        sizes = [(entry.width, entry.height) for entry in kept]
        tensors = {
            "boxes": packed_boxes(kept),
            "scores": packed_scores(kept),
            "offsets": np.cumsum([0, *(len(entry) for entry in kept)], dtype=np.int64),
            "sizes": np.array(sizes, np.int32).reshape(-1, 2),
        }
        # One metadata entry only: safetensors writes several in random order.
        note = json.dumps({"image_ids": [image_id for image_id, _ in found], "skipped": skipped})
        write_sealed(self._path(number), save(tensors, metadata={"images": note}))

    def finish(self) -> ProposalStore:
        """Write the index and open the store.

        Raises:
            StoreError: A shard is missing.
            DataError: Every single image was skipped.
        """
        entries: list[ShardEntry] = []
        skipped: list[tuple[str, str]] = []
        for number in range(self.shard_count):
            found = self._found(number)
            if found is None:
                raise StoreError(f"cannot finish {self.folder}: shard {number} is not written")
            entries.append(found[0])
            skipped.extend(found[1])
        if len(skipped) == len(self.inputs.image_ids):
            reasons = f", first {skipped[0][0]!r}: {skipped[0][1]}" if skipped else ""
            raise DataError(f"expected at least one readable image, found none{reasons}")
        write_index(self.folder, StoreIndex(self.inputs, tuple(entries), tuple(skipped)))
        (self.folder / INPUTS_NAME).unlink()
        return ProposalStore.open(self.folder)

    def _found(self, number: int) -> tuple[ShardEntry, Skipped] | None:
        """A shard that is there and whole, and its skipped images; None if it must be made."""
        try:
            with fetched(self._path(number)) as path:
                ids, skipped = _read_note(path)
                OpenShard(path, len(ids))
                size, sha256 = path.stat().st_size, file_sha256(path)
        except (FileNotFoundError, StoreError):
            return None
        if sorted([*ids, *dict(skipped)]) != sorted(self.shard_ids(number)):
            return None
        return ShardEntry(path.name, size, sha256, ids), skipped

    def _path(self, number: int) -> AnyPath:
        return self.folder / f"shard-{number:05d}.safetensors"


def _sweep(folder: Path) -> None:
    """Delete what a killed writer was just writing."""
    for name in ("shard-", INPUTS_NAME, INDEX_NAME):
        for leftover in folder.glob(f".{name}*.tmp"):
            leftover.unlink()


def _is_empty(folder: AnyPath) -> bool:
    """Whether nothing is in a folder, which is made if need be."""
    if isinstance(folder, RemotePath):
        return not folder.children()
    folder.mkdir(parents=True, exist_ok=True)
    return not any(folder.iterdir())


def _read_note(path: Path) -> tuple[tuple[str, ...], Skipped]:
    """Ids and skipped images from a shard's own header."""
    try:
        require_whole(path)
        with safe_open(path, framework="numpy") as tensors:
            note = json.loads(tensors.metadata()["images"])
        ids = tuple(map(str, note["image_ids"]))
        skipped = tuple((str(image_id), str(reason)) for image_id, reason in note["skipped"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the shard {path} is damaged: {error}") from error
    return ids, skipped
