"""Refuse to train on what will be tested on; what images without tags bring to a data set."""

import json
from dataclasses import dataclass
from pathlib import Path

from boxless.data.images import BadImage, find_bad_images
from boxless.data.leaks import near_duplicates, refuse_near_duplicates, shared_images
from boxless.data.manifest import Manifest
from boxless.data.untagged import UNTAGGED, join_untagged, read_untagged
from boxless.errors import DataError
from boxless.files.atomic import write_atomically
from boxless.files.console import plain_console
from boxless.recipe.schema import Recipe
from boxless.recipe.sections import DataConfig
from boxless.runs.parts import split_parts
from boxless.types import ImageRecord

SHOWN = 3
FOUND = "leaks.json"
"""File of the run folder that remembers which untagged images are left out."""


def refuse_leaks(manifest: Manifest, *, allow: bool) -> None:
    """Compare the images of train with those of every other split, byte by byte.

    Raises:
        DataError: Images stand in both.
    """
    train = manifest.split("train").records
    for name in manifest.split_names:
        if name in ("train", UNTAGGED):  # of untagged images no file is taken twice
            continue
        pairs = shared_images(train, manifest.split(name).records)
        if not pairs:
            continue
        shown = "".join(
            f"\n  {one.path} ({one.source}) and {two.path}" for one, two in pairs[:SHOWN]
        )
        told = f"in 'train' and in {name!r} with the very same bytes: {len(pairs):,} image(s)"
        if allow:
            plain_console(stderr=True).print(f"warning: {told}{shown}")
            continue
        raise DataError(
            f"{told}{shown}",
            hint="figures on them would tell nothing: take them out of one split (`boxless data"
            " check` lists them all), or accept it with --run.leaks allow",
        )


def left_out(
    untagged: tuple[ImageRecord, ...],
    apart: tuple[ImageRecord, ...],
    *,
    recipe: Recipe,
    folder: Path,
    fingerprint: str,
) -> frozenset[str]:
    """Ids of untagged images that show the same picture as one that nothing may be learned from.

    Looked for once a run folder: what was found is kept there.

    Args:
        untagged: Untagged images that do not belong to the data set itself.
        apart: Test and held-out images.
        recipe: Says what to do about them.
        folder: The run folder, which need not exist yet.
        fingerprint: Of the data set.

    Raises:
        DataError: There are some, and ``run.leaks`` is "refuse".
    """
    leaks, data = recipe.run.leaks, recipe.data
    if not untagged or leaks == "allow":
        return frozenset()
    question = [fingerprint, leaks, data.held_out, data.seed, data.limit]
    path = folder / FOUND
    if path.exists():
        known = json.loads(path.read_text("utf-8"))
        if known["question"] == question:
            return frozenset(known["left_out"])
    kept, note = refuse_near_duplicates(untagged, apart, drop=leaks == "drop")
    if note:
        plain_console(stderr=True).print(note)
    ids = {record.image_id for record in untagged} - {record.image_id for record in kept}
    told = {"question": question, "left_out": sorted(ids)}
    write_atomically(path, json.dumps(told, indent=1).encode())
    return frozenset(ids)


@dataclass(frozen=True, slots=True)
class UntaggedReport:
    """What `check_untagged` found.

    Attributes:
        images: Untagged images that a run would learn from.
        left_out: Those that are files of the data set itself, or stand there twice.
        lost: Training images that lose their tags.
        notes: What was skipped in a folder.
        compared_with: Test and held-out images that all of these were compared with; 0 = not
            looked at.
        bad_images: Untagged images that cannot be decoded.
        duplicates: Path of an image without tags, of the test or held-out image that shows the same
            picture, and the split of that.
    """

    images: int
    left_out: int
    lost: int
    notes: tuple[str, ...]
    compared_with: int
    bad_images: tuple[BadImage, ...]
    duplicates: tuple[tuple[str, str, str], ...]


def check_untagged(
    manifest: Manifest, config: DataConfig, spec: str, *, images: bool = True
) -> UntaggedReport:
    """Look over the images that a run would learn from without their tags.

    Args:
        manifest: The data set.
        config: Where untagged images are, and how many training images keep their tags.
        spec: The data set as the user named it.
        images: Also decode them and compare them with test and held-out images.

    Raises:
        DataError: Untagged images are not found, or the data set has no training images.
    """
    notes: list[str] = []
    found = read_untagged(config.untagged, on_note=notes.append) if config.untagged else ()
    joined = join_untagged(manifest, found) if found else manifest
    parts = split_parts(joined, config, spec)
    apart = list(parts.held_out.records) if parts.held_out else []
    apart += [record for record in manifest.records if record.split == "test"]
    pairs = near_duplicates((*parts.lost, *parts.found), apart) if images else []
    return UntaggedReport(
        images=len(parts.found),
        left_out=len(found) - len(parts.found),
        lost=len(parts.lost),
        notes=tuple(notes),
        compared_with=len(apart) if images else 0,
        bad_images=tuple(find_bad_images(parts.found)) if images else (),
        duplicates=tuple((one.path, two.path, two.split) for one, two in pairs),
    )
