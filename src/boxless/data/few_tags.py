"""Train with few tags: some of the training images keep theirs, the others become untagged."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from boxless.data.manifest import Manifest
from boxless.data.stratify import stratify
from boxless.errors import DataError
from boxless.types import PRESENT, ImageRecord

AT_LEAST = 5
"""Tags of each class that are kept where so many are to be had: one for each of five folds."""


def keep_tags(
    manifest: Manifest, count: int, *, seed: int
) -> tuple[Manifest, tuple[ImageRecord, ...]]:
    """Choose the training images that keep their tags.

    Every class keeps its share. Classes of which that leaves fewer than `AT_LEAST` images get some
    of them back, as many as images of frequent classes can make room for. The choice depends on the
    set of training images, not on their order.

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
    """(M,) True for ``count`` rows of the (M, K) table of present tags."""
    total = len(positive)
    if count == total:
        return np.ones(total, bool)
    positive = np.column_stack((positive, ~positive.any(axis=1)))  # no tag counts as a class
    chosen = stratify(positive, [count / total, 1 - count / total], seed=seed) == 0
    order = np.random.Generator(np.random.PCG64(seed)).permutation(total)
    rarest = np.argsort(positive.sum(axis=0), kind="stable")
    for wanted in range(1, AT_LEAST + 1):  # one of each class before a second of any
        for k in rarest:
            have = positive[chosen].sum(axis=0)
            carriers = order[positive[order, k] & ~chosen[order]]
            spare = np.where(positive, have, total).min(axis=1)  # of an image's rarest class
            out = order[np.argmax(np.where(chosen, spare, 0)[order])]
            if have[k] < wanted and len(carriers) and spare[out] > wanted:
                chosen[carriers[0]], chosen[out] = True, False
    return chosen
