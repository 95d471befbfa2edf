"""Train with missing tags: each image keeps one of its tags, the others are called absent.

The protocol of Cole et al., "Multi-Label Learning from Single Positive Labels", CVPR 2021
(https://arxiv.org/abs/2106.09708). Unlike theirs, which keeps a clean validation part, it is meant
for the held-out part too: to choose anything by tags that the training images lack would be
cheating.
"""

import hashlib
from dataclasses import replace

from boxless.data.manifest import Manifest
from boxless.types import ABSENT, PRESENT


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
