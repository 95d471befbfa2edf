"""A tiny data set of coloured pictures with made-up proposals, and settings to train on it."""

import dataclasses

import numpy as np

from boxless.training.batches import BatchStream, ViewDataset
from boxless.training.optimization import OptimSettings
from boxless.types import ImageRecord, Proposals

CLASSES = 3
IMAGES = 10
SIDE = 32
REGIONS = 6


def picture(path):
    """A picture that depends on its name alone; class k brightens channel k."""
    number = int(path.removeprefix("made:"))
    rng = np.random.default_rng(number)
    image = rng.integers(0, 120, (40 + number % 3, 48, 3), dtype=np.uint8)
    for k, tag in enumerate(tags(number)):
        image[..., k] += np.uint8(100 * (tag == 1))
    return image


def tags(number):
    """Labels of a picture; a few are unknown."""
    rng = np.random.default_rng([7, number])
    return tuple(int(v) for v in rng.choice([0, 1, 1, -1], CLASSES))


def propose(image_id):
    """Between two and seven boxes of a picture."""
    number = int(image_id)
    rng = np.random.default_rng([9, number])
    count = 2 + number % 6
    low = rng.random((count, 2)) * [24, 20]
    boxes = np.concatenate([low, low + 8 + rng.random((count, 2)) * 12], 1)
    return Proposals(
        boxes.astype(np.float32), rng.random(count).astype(np.float32) / 5, 48, 40 + number % 3
    )


def records(count=IMAGES):
    return [ImageRecord(str(n), f"made:{n}", "train", tags(n)) for n in range(count)]


def dataset(regions=0, count=IMAGES):
    if regions == 0:
        return ViewDataset(records(count), picture)
    return ViewDataset(records(count), picture, proposals=propose, regions=regions)


def stream(regions=0, **options):
    given = {"batch_size": 4, "seed": 3, "sizes": (SIDE,), "crop": 0.3, **options}
    return BatchStream(dataset(regions), **given)


def settings(**options):
    """Four updates of everything that could disturb a resumed run."""
    plain = OptimSettings(
        epochs=1.6,
        batch_size=4,
        optimizer="adamw",
        lr=3e-3,
        head_lr_factor=2.0,
        bias_lr_factor=2.0,
        momentum=0.9,
        weight_decay=1e-2,
        head_decay_factor=1.0,
        schedule="cosine",
        warmup=0.25,
        patience=0,
        clip_norm=0.0,
        train_norm_statistics=True,
        ema=0.0,
        crop=0.3,
    )
    return dataclasses.replace(plain, **options)
