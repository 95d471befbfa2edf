"""Proposals of a whole data set on disk.

A store is a folder: ``index.json`` says what is in it and where it came from, and safetensors
shards hold the boxes of up to about a thousand images each:

    boxes    (all boxes of the shard, 4) uint16 steps of a lattice, or float32 pixels
    scores   (all boxes of the shard,)   float16 or float32
    offsets  (images + 1,)               int64, image i owns rows offsets[i]:offsets[i + 1]
    sizes    (images, 2)                 int32, (width, height) of the original image

Opening a store reads the index alone. The first look into a shard (a copy of it, where the folder
lies in a store of objects) reads all of it once, for its checksum; after that a lookup reads the
rows of its image, at their offset: mapped files would count as memory, page by page. The first one
of an image checks its boxes: a store may come from elsewhere.
"""

import json
import math
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from boxless.errors import StoreError
from boxless.files.copies import file_sha256, kept_copy
from boxless.files.paths import AnyPath, RemotePath
from boxless.files.seals import repair_hint
from boxless.proposals.checks import check_proposals
from boxless.proposals.index import INDEX_NAME, StoreIndex, read_index
from boxless.proposals.precision import unpacked_boxes, unpacked_scores
from boxless.types import Proposals

REBUILD = "delete the folder and run `boxless proposals` again"
_POSITION_BITS = 32
_POSITIONS = (1 << _POSITION_BITS) - 1
_DTYPES = {"U16": "<u2", "F16": "<f2", "F32": "<f4"}  # names of safetensors and of NumPy


class OpenShard:
    """One shard of `images` images: its small tensors in memory, its boxes on disk.

    Raises:
        StoreError: The file is missing, damaged, or holds something else.
    """

    def __init__(self, path: Path, images: int) -> None:
        self.path = path
        try:
            tensors: Any = safe_open(path, framework="numpy")
            offsets = tensors.get_tensor("offsets")
            sizes = tensors.get_tensor("sizes")
            rows = [tensors.get_slice(name).get_shape() for name in ("boxes", "scores")]
            self._boxes = _OnDisk(path, "boxes", ("U16", "F32"))
            self._scores = _OnDisk(path, "scores", ("F16", "F32"))
        except (SafetensorError, OSError) as error:
            raise StoreError(f"cannot read the shard {path}: {error}", hint=REBUILD) from error
        total = int(offsets[-1]) if offsets.size else -1
        found = (offsets.shape, sizes.shape, *map(tuple, rows))
        expected = ((images + 1,), (images, 2), (total, 4), (total,))
        if found != expected or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise StoreError(
                f"the shard {path} does not fit its index: expected offsets, sizes, boxes and "
                f"scores of shapes {expected}, found {found}",
                hint=REBUILD,
            )
        # Arrays of Python's: they give plain numbers, where NumPy's cost a µs each.
        self._edges, self._sizes = array("q", offsets.tolist()), array("q", sizes.ravel().tolist())
        self.checked = bytearray(images)  # 1 where boxes were looked at

    def __getitem__(self, position: int) -> Proposals:
        """Read the boxes of the image at ``position`` (0-based)."""
        start, stop = self._edges[position], self._edges[position + 1]
        width, height = self._sizes[2 * position : 2 * position + 2]
        return Proposals(
            boxes=unpacked_boxes(self._boxes.rows(start, stop), width, height),
            scores=unpacked_scores(self._scores.rows(start, stop)),
            width=width,
            height=height,
        )


def _sizes(folder: AnyPath, index: StoreIndex) -> dict[str, int]:
    """Bytes of the shards that are there, by name."""
    if isinstance(folder, RemotePath):
        return folder.children()
    files = [folder / shard.file for shard in index.shards]
    return {path.name: path.stat().st_size for path in files if path.is_file()}


class _OnDisk:
    """A tensor of a safetensors file, read a few rows at a time.

    `safe_open` reads a slice in about 20 us, this in three. The file was validated before:
    https://github.com/huggingface/safetensors#format.
    """

    def __init__(self, path: Path, name: str, kinds: tuple[str, ...]) -> None:
        self._file = path.open("rb", buffering=0)
        length = int.from_bytes(self._file.read(8), "little")
        entry = json.loads(self._file.read(length))[name]
        if entry["dtype"] not in kinds:
            raise StoreError(
                f"the shard {path} holds {name} as {entry['dtype']}, expected {' or '.join(kinds)}",
                hint=repair_hint(path),
            )
        self._start = 8 + length + int(entry["data_offsets"][0])
        self._dtype, self._shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"][1:])
        self._row = self._dtype.itemsize * math.prod(self._shape)
        self._alone = Lock()

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, a read-only array."""
        size, place = (stop - start) * self._row, self._start + start * self._row
        if hasattr(os, "pread"):
            content = os.pread(self._file.fileno(), size, place)
        else:
            with self._alone:
                self._file.seek(place)
                content = self._file.read(size)
        return np.frombuffer(content, self._dtype).reshape(stop - start, *self._shape)


class ProposalStore:
    """Read access to a finished store; look images up by id.

    It can be pickled and sent to other processes, which then open the shards anew.

    Args:
        folder: The store's folder, of this machine or in a store of objects.
        index: Its parsed index; use `ProposalStore.open`.

    Attributes:
        folder: The store's folder.
        index: What ``index.json`` says: proposer, settings, fingerprints, skipped images.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from boxless.proposals import ProposalStore
        >>> from boxless.proposals.extract import extract
        >>> from boxless.proposals.grid import Grid
        >>> from boxless.types import ImageRecord
        >>> def load(path):
        ...     return np.zeros((30, 40, 3), np.uint8)
        >>> folder = Path(tempfile.mkdtemp()) / "boxes"
        >>> records = [ImageRecord("street", "street.jpg", "train", (1,))]
        >>> options = {"manifest_fingerprint": "", "load_image": load, "workers": 1}
        >>> made = extract(records, Grid(max_boxes=3), folder, **options)
        >>> store = ProposalStore.open(folder)
        >>> store["street"].boxes[0].tolist()  # the whole image
        [0.0, 0.0, 40.0, 30.0]
    """

    def __init__(self, folder: AnyPath, index: StoreIndex) -> None:
        self.folder = folder
        self.index = index
        self._places = {
            image_id: number << _POSITION_BITS | position
            for number, shard in enumerate(index.shards)
            for position, image_id in enumerate(shard.image_ids)
        }
        self._open: dict[int, OpenShard] = {}

    @classmethod
    def open(cls, folder: AnyPath) -> "ProposalStore":
        """Open a finished store; no box is read yet.

        Raises:
            StoreError: The folder or index is missing, unfinished, damaged or of another version,
                or a shard is missing or has another length than the index says.
        """
        index = read_index(folder)
        sizes = _sizes(folder, index)
        for shard in index.shards:
            path, found = folder / shard.file, sizes.get(shard.file)
            if found is None:
                raise StoreError(
                    f"the store {folder} lacks the shard {shard.file} that its {INDEX_NAME} lists",
                    hint=repair_hint(path),
                )
            if found != shard.bytes:
                raise StoreError(
                    f"the shard {path} is damaged: expected {shard.bytes} bytes, found {found}",
                    hint=repair_hint(path),
                )
        return cls(folder, index)

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of all images that have boxes, in the order of extraction."""
        return tuple(self._places)

    @property
    def fingerprint(self) -> str:
        """Hash of inputs and contents; two stores with the same value hold the same boxes."""
        return self.index.fingerprint

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(id, reason) of images that could not be read and were left out on request."""
        return self.index.skipped

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, image_id: str) -> Proposals:
        """Boxes of one image of the manifest, best first.

        Raises:
            StoreError: The id is not in the store, the shard is damaged, or a box is unusable.
        """
        if image_id not in self._places:
            raise StoreError(
                f"no proposals for image {image_id!r} in {self.folder} ({len(self)} images)"
                + self._why_skipped(image_id),
                hint="run `boxless proposals` on the manifest that has this image",
            )
        place = self._places[image_id]
        number, position = place >> _POSITION_BITS, place & _POSITIONS
        shard = self._shard(number)
        proposals = shard[position]
        if not shard.checked[position]:  # once
            check_proposals(proposals, image_id, str(shard.path))
            shard.checked[position] = 1
        return proposals

    def require(self, image_ids: Iterable[str], manifest_fingerprint: str) -> None:
        """Make sure that the store belongs to a manifest and covers its images.

        Raises:
            StoreError: The store was made from another manifest, or lacks some of the images.
        """
        made_from = self.index.inputs.manifest_fingerprint
        if manifest_fingerprint != made_from:
            raise StoreError(
                f"the store {self.folder} was made from another manifest: expected fingerprint "
                f"{manifest_fingerprint}, found {made_from}",
                hint="images or annotations have changed since; propose again into a new folder",
            )
        absent = [image_id for image_id in image_ids if image_id not in self._places]
        if absent:
            raise StoreError(
                f"the store {self.folder} lacks {len(absent)} of the images, first "
                + ", ".join(repr(image_id) for image_id in absent[:5])
                + self._why_skipped(absent[0]),
                hint="run `boxless proposals` on the whole manifest",
            )

    def _whole(self, number: int) -> Path:
        """File of a shard on this machine, after a look at its checksum."""
        shard = self.index.shards[number]
        path = self.folder / shard.file
        try:
            file = kept_copy(path, shard.sha256)
            found = file_sha256(file)
        except OSError as error:
            raise StoreError(
                f"cannot read the shard {path}: {error}", hint=repair_hint(path)
            ) from error
        if found != shard.sha256:
            raise StoreError(
                f"the shard {path} is damaged: expected sha256 {shard.sha256}, found {found}",
                hint=repair_hint(path),
            )
        return file

    def _why_skipped(self, image_id: str) -> str:
        reason = dict(self.skipped).get(image_id)
        return f"; {image_id!r} was skipped as unreadable: {reason}" if reason else ""

    def _shard(self, number: int) -> OpenShard:
        if number not in self._open:
            ids = self.index.shards[number].image_ids
            self._open[number] = OpenShard(self._whole(number), len(ids))
        return self._open[number]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}  # open files do not travel
