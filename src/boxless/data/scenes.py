"""The embedded data set ``scenes:``: drawn images that need no download.

A small painted country by the sea: mushrooms and snails in the meadow, boats and ducks on the
water, kites and balloons in the sky, up to six small objects of ten classes in each image. Colours
and sizes carry no information and places little, so a model must look at details of regions. Some
images hold no object; classes are imbalanced (about 1 : 6) and some like each other's company.
"""

import re

from boxless.data.manifest import Manifest
from boxless.data.scene_layout import CLASSES, SPLIT_CODES, Recipe, layout
from boxless.data.scene_painter import paint
from boxless.errors import DataError, unknown_name
from boxless.types import ImageRecord, UInt8Array

PREFIX = "scenes:"
VERSION = 2
"""Raised whenever the same recipe would give other pixels, tags or boxes."""

_PATH = re.compile(
    rf"{PREFIX}v{VERSION},seed=(\d{{1,10}}),size=(\d{{1,4}}),split=(\w+),index=(\d{{1,9}})"
)
# Default, least and largest value of each option.
_OPTIONS = {
    "train": (600, 1, 1_000_000),
    "test": (300, 1, 1_000_000),
    "untagged": (0, 0, 1_000_000),
    "seed": (0, 0, 2**32 - 1),
    "size": (160, 48, 1024),
}


def read(options: str = "") -> Manifest:
    """Build the manifest of an embedded data set.

    Args:
        options: What follows ``scenes:``, such as ``"train=600,test=300,seed=0,size=160"``; each
            option may be left out. ``train``, ``test`` and ``untagged`` count images, ``size`` is
            the side in pixels. No split depends on how large another one is.

    Returns:
        Manifest with splits ``train``, ``test`` and ``untagged`` (if any), all with true boxes and
        true labels: not to read those of ``untagged`` is left to its user.

    Raises:
        DataError: An option is unknown or out of range.
    """
    chosen = {name: default for name, (default, _, _) in _OPTIONS.items()}
    chosen |= dict(_option(part.strip()) for part in options.split(",") if part.strip())
    records = [
        _record(Recipe(chosen["seed"], chosen["size"], split, index))
        for split in SPLIT_CODES
        for index in range(chosen[split])
    ]
    return Manifest(name="scenes", classes=CLASSES, records=tuple(records))


def render(path: str) -> UInt8Array:
    """Draw the image that a record's path names.

    Args:
        path: ``scenes:…`` as in the records of `read`.

    Returns:
        (H, W, 3) RGB image.

    Raises:
        DataError: The path is not one of this version's.
    """
    return paint(layout(parse_path(path)))


def parse_path(path: str) -> Recipe:
    """Turn a record's path back into the recipe of its scene.

    Args:
        path: ``scenes:v2,seed=0,size=160,split=train,index=17``.

    Returns:
        The recipe.

    Raises:
        DataError: The path is malformed or of another version.
    """
    found = _PATH.fullmatch(path)
    _, low, high = _OPTIONS["size"]
    if found is None or found[3] not in SPLIT_CODES or not low <= int(found[2]) <= high:
        raise DataError(
            f"expected a scene like {_path(Recipe(0, 160, 'train', 17))!r}, found {path!r}",
            hint="load the data set again with its scenes: options",
        )
    return Recipe(int(found[1]), int(found[2]), found[3], int(found[4]))


def _path(r: Recipe) -> str:
    return f"{PREFIX}v{VERSION},seed={r.seed},size={r.size},split={r.split},index={r.index}"


def _record(recipe: Recipe) -> ImageRecord:
    scene, path, split = layout(recipe), _path(recipe), recipe.split
    return ImageRecord(f"{split}-{recipe.index:05d}", path, split, scene.labels, scene.boxes, path)


def _option(part: str) -> tuple[str, int]:
    name, equals, text = part.partition("=")
    name = name.strip()
    if not equals:
        raise DataError(f"expected scenes: options like 'train=600', found {part!r}")
    if name not in _OPTIONS:
        raise DataError(unknown_name("scenes: option", name, _OPTIONS))
    _, low, high = _OPTIONS[name]
    try:
        if low <= int(text) <= high:
            return name, int(text)
    except ValueError:
        pass
    raise DataError(
        f"expected scenes: {name} as a whole number from {low} to {high}, found {text!r}"
    )
