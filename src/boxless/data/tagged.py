"""Images with names of classes, as most formats give them, made into a manifest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from boxless.data.images import image_size
from boxless.data.manifest import Manifest
from boxless.errors import DataError
from boxless.types import ABSENT, ImageRecord, TrueBox

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """One image as a file of a format tells of it.

    Attributes:
        image_id: Unique in the data set.
        path: Absolute file path.
        split: What the data set says; "" where it says nothing.
        tags: Labels by class name; other classes are absent.
        source: File, and place in it.
        boxes: Class name and box in pixels of each object; None where there are no boxes.
    """

    image_id: str
    path: str
    split: str
    tags: Mapping[str, int]
    source: str
    boxes: Sequence[tuple[str, Box]] | None = None


def draft_of(
    name: str,
    images: Iterable[TaggedImage],
    *,
    classes: Sequence[str] = (),
    notes: Sequence[str] = (),
    reading: str = "",
) -> Manifest:
    """Make a manifest of tagged images.

    Args:
        name: Of the data set.
        images: In their order.
        classes: Names that are given, in their order; other names follow, sorted.
        notes: For the user.
        reading: What was taken for what.

    Raises:
        DataError: There is no image, or no class.
    """
    images = list(images)
    if not images:
        raise DataError(f"{name}: expected images with annotations, found none")
    used = {tag for image in images for tag in image.tags}
    names = tuple(dict.fromkeys((*classes, *sorted(used))))
    if not names:
        raise DataError(f"{name}: no image has a tag")
    places = {tag: place for place, tag in enumerate(names)}
    boxed = any(image.boxes for image in images)
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    records = []
    for image in images:
        labels = tuple(image.tags.get(tag, ABSENT) for tag in names)
        boxes = None
        if boxed and image.boxes is not None:
            boxes = tuple(TrueBox(places[tag], box) for tag, box in image.boxes)
        records.append(
            ImageRecord(
                image.image_id,
                image.path,
                image.split,
                shared.setdefault(labels, labels),
                boxes,
                image.source,
            )
        )
    return Manifest(name, names, tuple(records), tuple(notes), (reading,) if reading else ())


def in_pixels(path: str, shapes: Sequence[tuple[str, Box]]) -> list[tuple[str, Box]] | None:
    """Boxes given as shares of an image, in its pixels and cut at its edges.

    Args:
        path: The image.
        shapes: Class name and ``(x1, y1, x2, y2)``, 0 to 1, of each object.

    Returns:
        Those that have an area; None where the image cannot be opened (`data check` names it).
    """
    if not shapes:
        return []
    try:
        width, height = image_size(path)
    except DataError:
        return None
    cut = ((name, [min(max(side, 0.0), 1.0) for side in box]) for name, box in shapes)
    return [
        (name, (x1 * width, y1 * height, x2 * width, y2 * height))
        for name, (x1, y1, x2, y2) in cut
        if x2 > x1 and y2 > y1
    ]
