"""Look for damage in run folders and stores, and make room for what was damaged.

Repairing deletes damaged files only and opens their step again. The command that made them finds
the step unfinished, keeps what is whole and makes the rest anew: the same bytes, so nothing that
was built on them is touched.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from boxless.errors import BoxlessError, DataError
from boxless.files.atomic import write_atomically
from boxless.files.copies import file_sha256
from boxless.files.lock import held
from boxless.files.seals import damage
from boxless.proposals.index import (
    INDEX_NAME,
    INPUTS_NAME,
    SCHEMA,
    StoreIndex,
    read_index,
    write_inputs,
)
from boxless.runs.record import NAME, read_record, to_json

KINDS = frozenset((".safetensors", ".json", ".onnx"))


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged or missing file.

    Attributes:
        path: The file.
        reason: What is wrong with it.
    """

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What `find_damage` found.

    Attributes:
        files: Number of files looked at.
        damaged: Those that cannot be used.
    """

    files: int
    damaged: tuple[Damage, ...]


def find_damage(place: Path, *, on_file: Callable[[Path], None] = lambda _: None) -> Findings:
    """Read every file of a run folder, of a step, or of a store, and check it.

    Args:
        place: The folder, or a single file.
        on_file: Told before a file is looked at.

    Raises:
        DataError: There is nothing to look at.
    """
    files = [place] if place.is_file() else sorted(_files(place))
    if not files:
        raise DataError(
            f"{place}: expected a run folder, a proposal store or a file of one, found "
            f"{'nothing of the kind' if place.exists() else 'nothing'}"
        )
    noted = _noted(files)
    damaged: list[Damage] = []
    for path in files:
        on_file(path)
        reason = _fault(path, noted.get(path))
        if reason:
            damaged.append(Damage(path, reason))
    missing = [Damage(path, "it is missing") for path in noted if not path.exists()]
    return Findings(len(files) + len(missing), (*damaged, *missing))


def repair(damaged: tuple[Damage, ...]) -> list[Path]:
    """Delete damaged files and open the steps and stores they belong to again.

    Returns:
        Folders of the steps that will be resumed; a damaged file outside of any is deleted.

    Raises:
        RunError: A process is at work on one of them, or the folder cannot be written.
    """
    steps: list[Path] = []
    for item in sorted(damaged, key=lambda item: item.path.name != NAME):
        if not item.path.parent.exists():  # its step is gone, and it with it
            continue
        step = _step_of(item.path)
        with held(step or item.path.parent):
            if item.path.name == NAME:  # nothing tells any more what the folder was made from
                shutil.rmtree(item.path.parent)
            else:
                _reopen_step(step)
                _reopen_store(item.path)
                item.path.unlink(missing_ok=True)
        if step is not None and step not in steps:
            steps.append(step)
    return steps


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.suffix in KINDS and p.is_file() and p.name[0] != "."]


def _noted(files: list[Path]) -> dict[Path, str]:
    """Checksums that the indexes of proposal stores note of their shards."""
    noted: dict[Path, str] = {}
    for path in files:
        index = _index(path) if path.name == INDEX_NAME else None
        if index is not None:
            noted |= {path.parent / shard.file: shard.sha256 for shard in index.shards}
    return noted


def _index(path: Path) -> StoreIndex | None:
    try:
        return read_index(path.parent)
    except BoxlessError:
        return None


def _fault(path: Path, noted: str | None) -> str:
    """What is wrong with a file; "" if nothing is."""
    try:
        fault = damage(path)
        if fault:
            return fault
        if noted is not None and file_sha256(path) != noted:
            return f"it is not the shard that {INDEX_NAME} lists"
        if path.suffix == ".safetensors":
            with safe_open(path, "numpy"):
                return ""
        if path.name == NAME:
            read_record(path.parent)
        elif path.suffix == ".json":
            facts = json.loads(path.read_bytes())
            if (
                path.name == INDEX_NAME
                and isinstance(facts, dict)
                and facts.get("schema") == SCHEMA
            ):
                read_index(path.parent)
    except (OSError, ValueError, SafetensorError) as error:
        return str(error)[:200] or type(error).__name__
    except BoxlessError as error:
        return error.message
    return ""


def _step_of(path: Path) -> Path | None:
    return next((folder for folder in path.parents if (folder / NAME).is_file()), None)


def _reopen_step(step: Path | None) -> None:
    """Let a step pass for one that was interrupted."""
    record = None if step is None else read_record(step)
    if step is not None and record is not None and record.status == "done":
        record.status = "running"
        write_atomically(step / NAME, to_json(record))


def _reopen_store(path: Path) -> None:
    """Let the proposal store of a shard pass for one whose extraction was interrupted."""
    index = _index(path.parent / INDEX_NAME)
    if path.name == INDEX_NAME:  # nothing tells any more what the shards were made from
        for shard in path.parent.glob("shard-*.safetensors"):
            shard.unlink()
        (path.parent / INPUTS_NAME).unlink(missing_ok=True)
    elif index is not None:
        write_inputs(path.parent, index.inputs)
        (path.parent / INDEX_NAME).unlink()
