"""Train with few tags, or with missing ones.

Few: some of the training images keep theirs, the others become untagged. Missing: each image keeps
one of its tags, the others are called absent, the protocol of Cole et al., "Multi-Label Learning
from Single Positive Labels", CVPR 2021 (https://arxiv.org/abs/2106.09708). Unlike theirs, which
keeps a clean validation part, it is meant for the held-out part too: to choose anything by tags
that the training images lack would be cheating.
"""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from boxless.data.manifest import Manifest
from boxless.data.stratify import stratify
from boxless.errors import DataError
from boxless.types import ABSENT, PRESENT, ImageRecord

AT_LEAST = 5
"""Tags of each class that are kept where so many are to be had: one for each of five folds."""


def keep_tags(
    manifest: Manifest, count: int, *, seed: int
) -> tuple[Manifest, tuple[ImageRecord, ...]]:
    """Choose the training images that keep their tags.

    Every class keeps its share, but `AT_LEAST` images (or all that it has) as far as ``count``
    allows. The choice depends on the set of training images, not on their order.

    Args:
        manifest: The data set; its other splits stay as they are.
        count: Training images that keep their tags, 1 to all.
        seed: Another seed gives another choice.

    Returns:
        The data set without the other training images, and those, with the tags that they had
        (`boxless.data.untagged.join_untagged` hides them; an oracle may look).

    Raises:
        DataError: There is no split ``train``, or fewer than ``count`` images in it.
    """
    train = manifest.split("train")
    if not 1 <= count <= len(train):
        raise DataError(
            f"{manifest.name}: expected 1 to {len(train):,} training images that keep their tags,"
            f" found {count:,}"
        )
    order = sorted(range(len(train)), key=train.image_ids.__getitem__)
    chosen = _choose(train.labels[order] == PRESENT, count, seed)
    kept = {train.records[order[row]].image_id for row in np.flatnonzero(chosen)}
    rest = tuple(record for record in train.records if record.image_id not in kept)
    note = f"{count:,} of {len(train):,} training images keep their tags (seed {seed})"
    tagged = manifest.without(record.image_id for record in rest)
    return replace(tagged, notes=(*manifest.notes, note)), rest


def _choose(positive: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.bool_]:
    """(M,) True for ``count`` rows of the (M, K) table of present tags.

    Of a small part `stratify` may leave a class short; images are exchanged for as long as that
    brings sum((have - wanted)^2 / wanted) over the classes down.
    """
    total = len(positive)
    if count == total:
        return np.ones(total, bool)
    shares = [count / total, 1 - count / total]
    chosen: NDArray[np.bool_] = stratify(positive, shares, seed=seed) == 0
    tags = np.column_stack((positive, ~positive.any(axis=1)))  # no tag counts as a class
    found = tags.sum(axis=0)
    wanted = np.maximum(found * count / total, np.minimum(found, AT_LEAST)).clip(min=1)
    for _ in range(count):
        surplus = tags[chosen].sum(axis=0) - wanted
        less = (tags @ ((1 - 2 * surplus) / wanted)).round(9)  # ties break alike everywhere
        out = np.where(chosen, less, np.inf).argmin()
        more = (tags @ ((1 + 2 * (surplus - tags[out])) / wanted)).round(9)
        new = np.where(chosen, np.inf, more).argmin()
        if less[out] + more[new] > -1e-9:
            break
        chosen[out], chosen[new] = False, True
    return chosen


def keep_one_tag(manifest: Manifest, *, seed: int) -> Manifest:
    """The data set with one present tag per image; others become absent.

    Which one depends on the seed and the image's id alone, each with the same probability. Images
    without a tag and unknown labels stay as they are.

    Args:
        manifest: The images.
        seed: Another seed keeps other tags.

    Returns:
        The same images; a note says how many tags were taken away.
    """
    records, lost = [], 0
    for record in manifest.records:
        present = [k for k, label in enumerate(record.labels) if label == PRESENT]
        if len(present) > 1:
            kept = present[_draw(f"{seed}/{record.image_id}", len(present))]
            lost += len(present) - 1
            labels = tuple(
                ABSENT if label == PRESENT and k != kept else label
                for k, label in enumerate(record.labels)
            )
            record = replace(record, labels=labels)  # noqa: PLW2901
        records.append(record)
    note = f"one tag per image is kept (seed {seed}); {lost:,} others are called absent"
    return replace(manifest, records=tuple(records), notes=(*manifest.notes, note))


def _draw(key: str, count: int) -> int:
    """A number below `count` that depends on the key alone, on every machine."""
    return (
        int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8]) % count
    )
