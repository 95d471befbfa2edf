"""The index of a proposal store: what is in it and where it came from."""

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, TypeAdapter

from boxless.errors import StoreError
from boxless.files.atomic import write_atomically
from boxless.files.copies import file_sha256
from boxless.files.paths import AnyPath
from boxless.files.seals import repair_hint

INDEX_NAME = "index.json"
INPUTS_NAME = "unfinished.json"
SCHEMA = "boxless-proposals/1"

Read = TypeVar("Read")
Setting = int | float | str
ImageId = Annotated[str, AfterValidator(sys.intern)]  # one string for all places that name it


def _plain_name(name: object) -> str:
    """A store's files lie in its own folder: an index made elsewhere cannot point out of it."""
    if not isinstance(name, str) or name in ("", "..") or Path(name).name != name or "\\" in name:
        raise ValueError(f"expected the plain name of a shard, found {name!r}")
    return name


@dataclass(frozen=True, slots=True)
class StoreInputs:
    """What the contents of a store depend on.

    Attributes:
        proposer: Name of the proposer.
        settings: Its settings.
        manifest_fingerprint: Hash of the manifest whose images were proposed on.
        shard_size: Images per shard.
        image_ids: All images asked for, in order, including any that were skipped later.
    """

    proposer: str
    settings: dict[str, Setting]
    manifest_fingerprint: str
    shard_size: int
    image_ids: tuple[ImageId, ...]

    def difference(self, other: "StoreInputs") -> str:
        """Name the first field in which two inputs differ, with both values; "" if none does."""
        mine, yours = (_flat(inputs) for inputs in (self, other))
        for name in mine | yours:
            if mine.get(name) != yours.get(name):
                return f"{name}: {mine.get(name)!r} there, {yours.get(name)!r} asked for"
        if self.image_ids != other.image_ids:
            return f"image_ids: {_first_difference(self.image_ids, other.image_ids)}"
        return ""


def _flat(inputs: StoreInputs) -> dict[str, Setting]:
    facts = asdict(inputs)
    del facts["image_ids"]
    settings = facts.pop("settings")
    return {**facts, **{f"settings.{name}": value for name, value in settings.items()}}


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

    file: Annotated[str, BeforeValidator(_plain_name)]
    bytes: int
    sha256: str
    image_ids: tuple[ImageId, ...]


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
    def fingerprint(self) -> str:
        """SHA-256 of the inputs and of the checksums of all shards."""
        facts = {"schema": SCHEMA, **asdict(self)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


_INDEX, _INPUTS = TypeAdapter(StoreIndex), TypeAdapter(StoreInputs)


def write_index(folder: AnyPath, index: StoreIndex) -> None:
    """Write ``index.json``; from then on the store counts as finished."""
    _write(folder / INDEX_NAME, {"fingerprint": index.fingerprint, **asdict(index)})


def write_inputs(folder: AnyPath, inputs: StoreInputs) -> None:
    """Note down what an unfinished store is being made from."""
    _write(folder / INPUTS_NAME, asdict(inputs))


def _write(path: AnyPath, facts: dict[str, Any]) -> None:
    write_atomically(path, json.dumps({"schema": SCHEMA, **facts}, indent=1).encode())


def read_index(folder: AnyPath) -> StoreIndex:
    """Read ``index.json``; `StoreError` if it is missing, damaged, edited or of another version."""
    path = folder / INDEX_NAME
    if not path.is_file():
        state = "an unfinished extraction" if (folder / INPUTS_NAME).is_file() else "no such file"
        raise StoreError(
            f"expected a proposal store in {folder} with {INDEX_NAME}, found {state}",
            hint="make or finish it with `boxless proposals`",
        )
    facts, index = _read(path, _INDEX)
    if facts.get("fingerprint") != index.fingerprint:
        raise StoreError(
            f"{path} was edited or damaged: expected fingerprint {index.fingerprint} for its "
            f"contents, found {facts.get('fingerprint')}",
            hint=repair_hint(path),
        )
    return index


def read_inputs(folder: AnyPath) -> StoreInputs:
    """Read what an unfinished store is being made from; `StoreError` if the note is damaged."""
    return _read(folder / INPUTS_NAME, _INPUTS)[1]


def _read(path: AnyPath, kind: TypeAdapter[Read]) -> tuple[dict[str, Any], Read]:
    """What a file says, and that as an object."""
    try:
        facts = json.loads(path.read_bytes())
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            found = facts.get("schema") if isinstance(facts, dict) else type(facts).__name__
            raise StoreError(
                f"{path}: expected schema {SCHEMA!r}, found {found!r}",
                hint="the store was written by another version; propose again into a new folder",
            )
        return facts, kind.validate_python(facts)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged: expected the JSON of a proposal store, found "
            f"{type(error).__name__}: {error}",
            hint=repair_hint(path),
        ) from error


def file_stamp(path: Path) -> tuple[str, int, int]:
    """What tells a file from others and from its earlier self: place, time of change, length."""
    facts = path.stat()
    return str(path.absolute()), facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=8)
def stamped_sha256(stamp: tuple[str, int, int]) -> str:
    """SHA-256 of the file of a `file_stamp`, computed once."""
    return file_sha256(Path(stamp[0]))
