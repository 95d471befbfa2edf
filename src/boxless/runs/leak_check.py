"""Refuse to train on what will be tested on."""

import json
from pathlib import Path

from boxless.data.leaks import refuse_near_duplicates, shared_images
from boxless.data.manifest import Manifest
from boxless.data.untagged import UNTAGGED
from boxless.errors import DataError
from boxless.files.atomic import write_atomically
from boxless.files.console import plain_console
from boxless.recipe.schema import Recipe
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
