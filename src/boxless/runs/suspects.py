"""Which tags of a run's training images are suspicious, and which untagged images to tag next."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from boxless.data.suspects import Suspect, ToTag
from boxless.errors import ConfigError, DataError
from boxless.metrics.suspicion import next_to_tag, tag_suspicion
from boxless.report.gallery import Card
from boxless.runs.context import Run
from boxless.training.teacher_cache import TeacherCache
from boxless.types import Float32Array

SUSPICIOUS: Final = 0.5
"""A tag that is absent exceeds it where p > 1/2, one of a rare class that is present where p is
below the class's share of the images."""

_GUESSES: Final = 3
"""Classes that are shown of an image to tag."""


def cross_fitted(run: Run) -> bool:
    """Whether each training image was judged by a head of the teacher that never saw its tags."""
    return run.recipe.teacher.kind != "file" and run.recipe.teacher.folds > 1


def find_suspects(run: Run, limit: int | None = None) -> list[Suspect]:
    """The known tags of a run's training images, most suspicious first.

    A table of probabilities as teacher is taken as it is: whether its model had seen the tags is
    for the user to know.

    Args:
        run: The run, its step ``cache`` done.
        limit: Most tags; 0 = all, None = those that the teacher speaks against: a suspicion above
            one half.

    Raises:
        ConfigError: The teacher is not cross-fitted: it would repeat the tags that it learned.
        StoreError: The cache is damaged.
    """
    if run.recipe.teacher.kind != "file" and not cross_fitted(run):
        raise ConfigError(
            f"expected a run with teacher.folds of at least 2, found {run.recipe.teacher.folds} in"
            f" {run.folder}: its teacher has learned the very tags that it would judge",
            hint="train with --teacher.folds 5 --teacher.trainable head (the recipe photos-cpu has"
            " both); `boxless cache` instead of `boxless train` stops before the students",
        )
    found = _probabilities(run)[: len(run.train)]
    suspicion = tag_suspicion(found, run.train.labels)
    order = np.argsort(-suspicion, axis=None, kind="stable")  # NaN, the unknown, come last
    wanted = int((suspicion > (SUSPICIOUS if limit is None else -1)).sum())
    suspects = []
    for place, flat in enumerate(order[: min(limit or wanted, wanted)].tolist(), start=1):
        row, k = divmod(flat, len(run.classes))
        record = run.train.records[row]
        suspects.append(
            Suspect(record, run.classes[k], record.labels[k], float(found[row, k]), place)
        )
    return suspects


def find_worth_tagging(run: Run, count: int) -> list[ToTag]:
    """The untagged images of a run that are most worth tagging next.

    Args:
        run: The run, its step ``cache`` done.
        count: How many, at least 1.

    Raises:
        DataError: The run has no untagged images.
        StoreError: The cache is damaged.
    """
    tagged = len(run.train)
    records = run.pool.records[tagged:]
    if not records:
        raise DataError(
            f"expected untagged images to choose from, found none in {run.folder}",
            hint="train with --untagged photos/",
        )
    found = _probabilities(run)[tagged:]
    images = []
    for place, row in enumerate(next_to_tag(found, count).tolist(), start=1):
        best = np.argsort(-found[row], kind="stable")[:_GUESSES].tolist()
        guesses = tuple((run.classes[k], float(found[row, k])) for k in best)
        images.append(ToTag(records[row], place, guesses))
    return images


def cards(run: Run, found: Sequence[Suspect] | Sequence[ToTag]) -> list[Card]:
    """Pictures of what was found, for pages."""
    return [Card(run.images(one.record.path), one) for one in found]


def _probabilities(run: Run) -> Float32Array:
    """(images of the pool, K), each by heads that did not see the image's tags."""
    cache = TeacherCache(run.folder / "cache", len(run.pool))
    found: Float32Array = cache.probabilities.numpy()
    return found
