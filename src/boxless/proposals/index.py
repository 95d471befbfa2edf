"""The index of a proposal store: what is in it and where it came from."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxless.errors import StoreError
from boxless.files.atomic import write_atomically
from boxless.files.paths import AnyPath
from boxless.files.seals import repair_hint

if TYPE_CHECKING:
    from boxless.proposals.proposer import Setting

INDEX_NAME = "index.json"
INPUTS_NAME = "unfinished.json"
SCHEMA = "boxless-proposals/1"


@dataclass(frozen=True, slots=True)
class StoreInputs:
    """What the contents of a store depend on.

    Attributes:
        proposer: Name of the proposer.
        settings: Its settings.
        manifest_fingerprint: Hash of the manifest whose images were proposed on.
        shard_size: Images a shard.
        image_ids: All images asked for, in order, including any that were skipped later.
    """

    proposer: str
    settings: "dict[str, Setting]"
    manifest_fingerprint: str
    shard_size: int
    image_ids: tuple[str, ...]

    def difference(self, other: "StoreInputs") -> str:
        """Name the first field in which two inputs differ, with both values; "" if none does."""
        mine, yours = self._flat(), other._flat()
        for name in mine | yours:
            if mine.get(name) != yours.get(name):
                return f"{name}: {mine.get(name)!r} there, {yours.get(name)!r} asked for"
        if self.image_ids != other.image_ids:
            return f"image_ids: {_first_difference(self.image_ids, other.image_ids)}"
        return ""

    def _flat(self) -> "dict[str, Setting]":
        return {
            "proposer": self.proposer,
            **{f"settings.{name}": value for name, value in self.settings.items()},
            "manifest_fingerprint": self.manifest_fingerprint,
            "shard_size": self.shard_size,
        }


def _first_difference(there: tuple[str, ...], asked: tuple[str, ...]) -> str:
    if len(there) != len(asked):
        return f"{len(there)} images there, {len(asked)} asked for"
    row = next(i for i, (a, b) in enumerate(zip(there, asked, strict=True)) if a != b)
    return f"image {row} is {there[row]!r} there, {asked[row]!r} asked for"


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard as the index lists it.

    Attributes:
        file: File name in the store's folder.
        bytes: Length of the file.
        sha256: Checksum of the file.
        image_ids: Images in it, in order.
    """

    file: str
    bytes: int
    sha256: str
    image_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoreIndex:
    """Contents of ``index.json``.

    Attributes:
        inputs: What the store was made from.
        shards: Its shards, in order.
        skipped: (id, reason) of unreadable images left out on request.
    """

    inputs: StoreInputs
    shards: tuple[ShardEntry, ...]
    skipped: tuple[tuple[str, str], ...] = field(default=())

    @property
    def manifest_fingerprint(self) -> str:
        """Fingerprint of the manifest the store was made from."""
        return self.inputs.manifest_fingerprint

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the inputs and of the checksums of all shards."""
        facts = {"schema": SCHEMA, **asdict(self)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_index(folder: AnyPath, index: StoreIndex) -> None:
    """Write ``index.json``; from then on the store counts as finished.

    Args:
        folder: The store's folder.
        index: What to write.
    """
    facts = {"schema": SCHEMA, "fingerprint": index.fingerprint, **asdict(index)}
    write_atomically(folder / INDEX_NAME, json.dumps(facts, indent=1).encode())


def write_inputs(folder: AnyPath, inputs: StoreInputs) -> None:
    """Note down what an unfinished store is being made from.

    Args:
        folder: The store's folder.
        inputs: What to write.
    """
    facts = {"schema": SCHEMA, **asdict(inputs)}
    write_atomically(folder / INPUTS_NAME, json.dumps(facts, indent=1).encode())


def read_index(folder: AnyPath) -> StoreIndex:
    """Read ``index.json``.

    Args:
        folder: The store's folder.

    Returns:
        The index.

    Raises:
        StoreError: It is missing, damaged, of another version, or its own fingerprint is wrong.
    """
    path = folder / INDEX_NAME
    if not path.is_file():
        state = "an unfinished extraction" if (folder / INPUTS_NAME).is_file() else "no such file"
        raise StoreError(
            f"expected a proposal store in {folder} with {INDEX_NAME}, found {state}",
            hint="make or finish it with `boxless proposals`",
        )
    facts = _read_json(path)
    try:
        inputs = _parse_inputs(facts["inputs"])
        same = {image_id: image_id for image_id in inputs.image_ids}  # one string for both lists
        index = StoreIndex(
            inputs=inputs,
            shards=tuple(
                ShardEntry(
                    file=_plain_name(shard["file"]),
                    bytes=int(shard["bytes"]),
                    sha256=str(shard["sha256"]),
                    image_ids=tuple(same.get(name, str(name)) for name in shard["image_ids"]),
                )
                for shard in facts["shards"]
            ),
            skipped=tuple((str(image_id), str(reason)) for image_id, reason in facts["skipped"]),
        )
        noted = facts["fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    if noted != index.fingerprint:
        raise StoreError(
            f"{path} was edited or damaged: expected fingerprint {index.fingerprint} for its "
            f"contents, found {noted}",
            hint=repair_hint(path),
        )
    return index


def read_inputs(folder: AnyPath) -> StoreInputs:
    """Read what an unfinished store is being made from.

    Args:
        folder: The store's folder.

    Returns:
        The inputs noted when the extraction was started.

    Raises:
        StoreError: The note is damaged.
    """
    path = folder / INPUTS_NAME
    facts = _read_json(path)
    try:
        return _parse_inputs(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_stamp(path: Path) -> tuple[str, int, int]:
    """What tells a file from others and from its earlier self: place, time of change, length."""
    facts = path.stat()
    return str(path.absolute()), facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=8)
def stamped_sha256(stamp: tuple[str, int, int]) -> str:
    """SHA-256 of the file of a `file_stamp`, computed once."""
    return file_sha256(Path(stamp[0]))


def _parse_inputs(facts: dict[str, Any]) -> StoreInputs:
    return StoreInputs(
        proposer=str(facts["proposer"]),
        settings=dict(facts["settings"]),
        manifest_fingerprint=str(facts["manifest_fingerprint"]),
        shard_size=int(facts["shard_size"]),
        image_ids=tuple(map(str, facts["image_ids"])),
    )


def _plain_name(name: object) -> str:
    """A store's files lie in its own folder: an index made elsewhere cannot point out of it."""
    if not isinstance(name, str) or name in ("", "..") or Path(name).name != name or "\\" in name:
        raise ValueError(f"expected the plain name of a shard, found {name!r}")
    return name


def _read_json(path: AnyPath) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        found = facts.get("schema") if isinstance(facts, dict) else type(facts).__name__
        raise StoreError(
            f"{path}: expected schema {SCHEMA!r}, found {found!r}",
            hint="the store was written by another version; propose again into a new folder",
        )
    return facts


def _damaged(path: AnyPath, error: Exception) -> StoreError:
    return StoreError(
        f"{path} is damaged: expected the JSON of a proposal store, found "
        f"{type(error).__name__}: {error}",
        hint=repair_hint(path),
    )
