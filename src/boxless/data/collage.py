"""Crowded images made of real photographs: ``collage:SPEC,grid=2`` puts 2 x 2 of them on one.

A constructed set, for what the paper's method is about: many small objects, and tags that do not
say where. The tags of the photographs are united, their boxes are carried along for evaluation, and
photographs of two splits never meet.

Collages are written as JPEG files into a cache folder when the set is first read, so that whatever
takes image files takes them: proposals on other machines, image caches, pages, `boxless data
convert`. The folder is named after the content of the photographs and the options; what is there is
not made again.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from boxless.data.images import image_size, load_image
from boxless.data.leaks import shared_images
from boxless.data.manifest import Manifest
from boxless.data.options import Options, split_options
from boxless.data.resize import resize_square
from boxless.errors import DataError
from boxless.files.atomic import write_atomically
from boxless.files.copies import cache_folder
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord, TrueBox

VERSION = 1
"""Raised whenever the same options would give other pixels, tags or boxes."""

OPTIONS = ("grid", "size", "seed", "repeat", "out")
_QUALITY = 95


@dataclass(frozen=True, slots=True)
class _Collage:
    """What stands on one collage.

    Attributes:
        image_id: Its id.
        tiles: The photographs row by row.
        group: Collages of the same photographs.
    """

    image_id: str
    tiles: tuple[ImageRecord, ...]
    group: str


def read(rest: str, load: Callable[[str], Manifest]) -> Manifest:
    """Make collages of another data set's images.

    Args:
        rest: ``SPEC,grid=2`` and, behind that, ``size=256`` (side of a photograph in pixels, which
            is squashed to a square), ``seed=0``, ``repeat=1`` (collages that each photograph stands
            on) and ``out=DIR`` (instead of the cache folder).
        load: Reads the data set that ``SPEC`` names.

    Returns:
        Manifest with the splits of that data set. A collage names its photographs in ``source``;
        those that share photographs are of one ``group``. A class is present where any photograph
        has it, else unknown where any may have it.

    Raises:
        DataError: An option is wrong, a split has too few images, images are missing or damaged, or
            splits share images.
        RunError: The folder cannot be written.
    """
    spec, options = _parse(rest)
    base = load(spec)
    grid, size = options.number("grid", 2, low=2), options.number("size", 256, low=16)
    seed, repeat = options.number("seed", 0), options.number("repeat", 1, low=1)
    _refuse_shared(base)
    planned = [
        collage
        for number, split in enumerate(base.split_names)
        for collage in _plan(base.split(split), grid**2, repeat, (seed, number))
    ]
    content = f"{VERSION} {base.fingerprint} {grid} {size} {seed} {repeat}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    asked = options.text("out")
    folder = Path(asked).expanduser().absolute() if asked else cache_folder() / "collages"
    folder /= f"{base.name}-{digest}"

    def make(number: int, collage: _Collage) -> ImageRecord:
        path = folder / f"{number:06d}.jpg"
        if not path.exists():
            _compose(collage.tiles, grid, size, path)
        return _record(collage, grid, size, path)

    with ThreadPoolExecutor() as pool:
        records = tuple(pool.map(make, range(len(planned)), planned))
    note = (
        f"a constructed set: {grid} x {grid} images of {spec} squashed to {size} x {size} on each"
        f" collage, {len(base):,} images on {len(records):,} collages in {folder}"
    )
    return replace(base, name=f"{base.name}-collage", records=records, notes=(*base.notes, note))


def _parse(rest: str) -> tuple[str, Options]:
    """The inner data set, which may have options of its own, and those from ``grid=`` on."""
    spec, mark, tail = rest.rpartition(",grid=")
    if not mark:
        raise DataError(
            f"expected collage: a data set and the number of its images in a row, found {rest!r}",
            hint="such as collage:voc:DIR,grid=2 or collage:voc:DIR,grid=2,repeat=4,seed=1",
        )
    return spec, split_options("collage", f",grid={tail}", OPTIONS)[1]  # behind no path


def _refuse_shared(base: Manifest) -> None:
    """A photograph in two splits could no longer be found once it is part of collages."""
    for first, second in combinations(base.split_names, 2):
        pairs = shared_images(base.split(first).records, base.split(second).records)
        if pairs:
            one, two = pairs[0]
            raise DataError(
                f"{base.name}: {len(pairs):,} image(s) stand in {one.split!r} and in"
                f" {two.split!r} with the very same bytes, first {one.path} and {two.path}",
                hint="collages would hide that: take them out of one split",
            )


def _plan(part: Manifest, tiles: int, repeat: int, seed: tuple[int, int]) -> Iterator[_Collage]:
    """Collages of one split.

    The images are dealt into groups; each group is cut into collages ``repeat`` times over. So no
    two groups share an image. Where the images do not divide evenly some stand on fewer collages.
    """
    split = part.records[0].split
    if len(part) < tiles:
        raise DataError(
            f"{part.name}: expected at least {tiles} images of split {split!r} for a collage,"
            f" found {len(part)}"
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    records = sorted(part.records, key=lambda record: record.image_id)
    together = tiles if repeat == 1 else 2 * tiles
    order = generator.permutation(len(records))
    number = 0
    for group, rows in enumerate(np.array_split(order, max(1, len(records) // together))):
        for _ in range(repeat):
            shuffled = generator.permutation(rows)
            for first in range(0, len(rows) - tiles + 1, tiles):
                chosen = tuple(records[row] for row in shuffled[first : first + tiles])
                name = "" if repeat == 1 else f"{split}-{group:05d}"
                yield _Collage(f"{split}-{number:05d}", chosen, name)
                number += 1


def _compose(tiles: Sequence[ImageRecord], grid: int, size: int, path: Path) -> None:
    """Write a collage; the file appears complete or not at all."""
    squares = [resize_square(load_image(tile.path), size) for tile in tiles]
    rows = [np.hstack(squares[first : first + grid]) for first in range(0, grid**2, grid)]
    encoded = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(encoded, "jpeg", quality=_QUALITY, subsampling=0)
    write_atomically(path, encoded.getvalue())


def _record(collage: _Collage, grid: int, size: int, path: Path) -> ImageRecord:
    tags = np.array([tile.labels for tile in collage.tiles])
    some, maybe = (tags == PRESENT).any(axis=0), (tags == UNKNOWN).any(axis=0)
    labels = np.where(some, PRESENT, np.where(maybe, UNKNOWN, ABSENT))
    boxed = all(tile.boxes is not None for tile in collage.tiles)
    return ImageRecord(
        image_id=collage.image_id,
        path=str(path),
        split=collage.tiles[0].split,
        labels=tuple(labels.tolist()),
        boxes=tuple(_boxes(collage, grid, size)) if boxed else None,
        source=f"collage of {', '.join(tile.image_id for tile in collage.tiles)}",
        group=collage.group,
    )


def _boxes(collage: _Collage, grid: int, size: int) -> Iterator[TrueBox]:
    """True boxes of the photographs, squashed and moved with them."""
    for place, tile in enumerate(collage.tiles):
        if not tile.boxes:
            continue
        row, column = divmod(place, grid)
        width, height = image_size(tile.path)
        scale = np.array([size / width, size / height] * 2)
        corner = np.array([column * size, row * size] * 2)
        for box in tile.boxes:
            x1, y1, x2, y2 = (np.array(box.xyxy) * scale + corner).tolist()
            yield replace(box, xyxy=(x1, y1, x2, y2))
