"""What a data set lacks for training and for measuring, told before hours are spent on it."""

import numpy as np

from boxless.data.manifest import Manifest
from boxless.types import PRESENT, UNKNOWN

FEW_HELD_OUT = 50
"""With fewer held-out images a threshold for each class is a guess."""

_SHOWN = 5


def opening_lines(manifest: Manifest, *, held_out: float = 0.1) -> tuple[str, ...]:
    """What to show before training: what was taken for what, what was decided, what is lacking.

    Args:
        manifest: The whole data set.
        held_out: As of `shortcomings`.
    """
    heads = {
        "read as": manifest.reading,
        "note": manifest.notes,
        "for training": shortcomings(manifest, held_out=held_out),
    }
    return tuple(f"{head}: {text}" for head, texts in heads.items() for text in texts)


def shortcomings(manifest: Manifest, *, held_out: float = 0.1) -> tuple[str, ...]:
    """What training would stumble over, or should tell the user, one sentence each.

    Args:
        manifest: The whole data set.
        held_out: Share of the training images that will be set aside, where there is no split val.
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
        if name in ("train", "val", "test") and not (part.labels == PRESENT).any():
            found.append(f"no {name} image has a tag: nothing can be learned or measured there")
    if "train" in splits:
        found += _of_training(manifest, manifest.split("train"), held_out)
    if "test" in splits and "train" in splits:
        found += _unseen(manifest, "test", "their average precision is not defined")
    return tuple(found)


def _of_training(manifest: Manifest, train: Manifest, held_out: float) -> list[str]:
    found = _unseen(manifest, "train", "they cannot be learned")
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
    own = "val" in manifest.split_names
    count = len(manifest.split("val")) if own else round(len(train) * held_out)
    if count < FEW_HELD_OUT:
        found.append(
            f"only {count} images are held out: too few to tune thresholds, so they may stay at 0.5"
        )
    return found


def _unseen(manifest: Manifest, split: str, why: str) -> list[str]:
    present = np.any(manifest.split(split).labels == PRESENT, axis=0)
    names = [name for name, there in zip(manifest.classes, present, strict=True) if not there]
    if not names or not present.any():
        return []
    return [f"{len(names)} classes never occur in {split}: {_named(names)}; {why}"]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
