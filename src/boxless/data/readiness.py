"""What a data set lacks for training and for measuring, told before hours are spent on it."""

from collections.abc import Sequence

import numpy as np

from boxless.data.manifest import Manifest
from boxless.errors import DataError
from boxless.types import PRESENT, UNKNOWN

FEW_HELD_OUT = 50
"""With fewer held-out images a threshold for each class is a guess."""

FIRM_HELD_OUT = 200
"""With fewer of them their figures have wide intervals, which is worth a word."""

_SHOWN = 5


def opening_lines(manifest: Manifest, needs: Sequence[str]) -> tuple[str, ...]:
    """What to show before training: what was taken for what, what was decided, what is lacking.

    Args:
        manifest: The whole data set.
        needs: Of `shortcomings`.
    """
    heads = {"read as": manifest.reading, "note": manifest.notes, "for training": needs}
    return tuple(f"{head}: {text}" for head, texts in heads.items() for text in texts)


def shortcomings(manifest: Manifest, *, held_out: float = 0.1, seed: int = 0) -> tuple[str, ...]:
    """What training would stumble over, or should tell the user, one sentence each.

    Args:
        manifest: The whole data set.
        held_out: Share of the training images that will be set aside, where there is no split val;
            0 = none, also where there is one.
        seed: Of the draw of these images.
    """
    splits = manifest.split_names
    found = [
        f"no {name} images, only {', '.join(splits)}: say which are with {name}=NAME"
        + (", or draw some with test=20%" if name == "test" else "")
        for name in ("train", "test")
        if name not in splits
    ]
    for name in splits:
        part = manifest.split(name)
        if name in ("train", "test") and not (part.labels == PRESENT).any():
            found.append(f"no {name} image has a tag: nothing can be learned or measured there")
    if "train" in splits:
        found += _of_training(manifest.split("train"))
        found += _of_held_out(_held_out(manifest, held_out, seed))
    if "test" in splits and "train" in splits:
        found += _unseen(manifest, "test", "their average precision is not defined")
    return tuple(found)


def _of_training(train: Manifest) -> list[str]:
    found = _unseen(train, "train", "they cannot be learned")
    labels = train.labels
    known = labels != UNKNOWN
    always = [
        name
        for k, name in enumerate(train.classes)
        if known[:, k].any() and (labels[known[:, k], k] == PRESENT).all()
    ]
    if always:
        found.append(
            f"{len(always)} classes are in every train image: {_named(always)}; images "
            "without them are needed to tell them apart"
        )
    return found


def _held_out(manifest: Manifest, share: float, seed: int) -> Manifest | None:
    """The images that a run sets aside; None where there are none, or too few to choose from."""
    if not share:
        return None
    if "val" in manifest.split_names:
        return manifest.split("val")
    try:
        return manifest.split("train").holdout(share, seed=seed)[1]
    except DataError:
        return None


def _of_held_out(part: Manifest | None) -> list[str]:
    count = 0 if part is None else len(part)
    if part is not None and not (part.labels == PRESENT).any():
        return [
            f"none of the {count} held-out images has a tag: nothing can be chosen on them, so"
            " thresholds stay at 0.5"
        ]
    if count < FEW_HELD_OUT:
        return [
            f"only {count} images are held out: too few to tune thresholds, so they may stay at 0.5"
        ]
    return []


def _unseen(manifest: Manifest, split: str, why: str) -> list[str]:
    present = np.any(manifest.split(split).labels == PRESENT, axis=0)
    names = [name for name, there in zip(manifest.classes, present, strict=True) if not there]
    if not names or not present.any():
        return []
    return [f"{len(names)} classes never occur in {split}: {_named(names)}; {why}"]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
