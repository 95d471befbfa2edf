"""What a run folder remembers of each step: with which settings, on which inputs, how it ended."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError

from boxless.errors import StoreError
from boxless.files.seals import repair_hint, require_whole

NAME = "step.json"
T = TypeVar("T")
Settings = dict[str, Any]


@dataclass(slots=True)
class StepRecord:
    """State of one step.

    Attributes:
        name: Folder of the step below the run's, such as ``students/plain/224px/seed-0``.
        kind: What it does: ``features`` or ``student`` for phases, else its verb.
        settings: Dotted recipe values the step depends on.
        inputs: Fingerprints of what it reads, by name.
        status: ``running`` or ``done``.
        seconds: Wall time of the last attempt, and of what earlier ones left in a checkpoint.
        facts: What the step wants to be known of its result.
        finished: Time of day when it ended.
    """

    name: str
    kind: str
    settings: Settings
    inputs: dict[str, str]
    status: str = "running"
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    finished: str = ""

    @property
    def fingerprint(self) -> str:
        """Identity of the step's result: its settings and inputs."""
        return digest({"name": self.name, "settings": self.settings, "inputs": self.inputs})


def digest(value: Any) -> str:
    """Short hash of a JSON-ready value."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def read_record(folder: Path) -> StepRecord | None:
    """The record of a step's folder, or None if the step never began.

    Raises:
        StoreError: The record is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return _parsed(json.loads(path.read_text("utf-8")))
    except (ValueError, OSError) as error:
        raise StoreError(
            f"step record {path} is damaged: {error}",
            hint=f"delete the folder {folder} to do this step again",
        ) from error


def _parsed(found: Any) -> StepRecord:
    """A record from its JSON.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found {found!r:.40}")
    missing = sorted({"name", "kind", "settings", "inputs"} - found.keys())
    strange = sorted(found.keys() - {f.name for f in fields(StepRecord)})
    if missing or strange:
        raise ValueError(f"fields that are missing: {missing}, that are unknown: {strange}")
    record = StepRecord(**found)
    if not all(isinstance(v, dict) for v in (record.settings, record.inputs, record.facts)):
        raise ValueError("settings, inputs and facts must be objects")
    return record


def is_done(run: Path, record: StepRecord) -> bool:
    """Whether a run folder holds a step's result, made with these settings and inputs."""
    found = read_record(run / record.name)
    return found is not None and found.status == "done" and found.fingerprint == record.fingerprint


def read_step_file(path: Path, reader: Callable[[Path], T]) -> T:
    """What a reader makes of a file in a step's folder, after a look at its checksum.

    Raises:
        StoreError: It is missing, damaged, or of another form.
    """
    try:
        require_whole(path)
        return reader(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is missing or damaged: {str(error)[:200]}",
            hint=f"{repair_hint(path)}; or give --force {path.parent.name}",
        ) from error


def read_entries(path: Path, *keys: str) -> dict[str, Any]:
    """The JSON object of a step that has ``variants``: key -> one entry per seed, with these keys.

    Raises:
        StoreError: It is missing, damaged, or of another form.
    """

    def reader(path: Path) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for entry in (entry for entries in value["variants"].values() for entry in entries):
            _ = [entry[key] for key in ("seed", *keys)]
        return value

    return read_step_file(path, reader)


def entry_of(variants: dict[str, list[dict[str, Any]]], key: str, seed: int) -> dict[str, Any]:
    """What a step found for the variant of a key and a seed; empty where it found nothing."""
    return next((entry for entry in variants.get(key, ()) if entry["seed"] == seed), {})


def to_json(record: StepRecord) -> bytes:
    """Serialise a record."""
    return json.dumps(asdict(record), indent=1).encode()


def differences(old: Settings, new: Settings) -> list[str]:
    """One line for each setting that changed."""
    return [
        f"{key}: {old.get(key, '(not set)')!r} -> {new.get(key, '(not set)')!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def now() -> str:
    """Time of day, ISO format, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
