"""Read ``cvat:PATH``: the XML of "CVAT for images", with tags, boxes and other shapes.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
"""

import math
from pathlib import Path
from xml.etree.ElementTree import Element

from boxless.data.image_places import ImagePlaces
from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.tagged import Box, TaggedImage, draft_of
from boxless.data.voc_xml import read_xml
from boxless.errors import DataError
from boxless.types import PRESENT

OPTIONS = ("root", "outside", *COMMON)


def read(location: str) -> Manifest:
    """Read an export of CVAT.

    Tags are the labels of all tags and shapes of an image; a box lies around each shape.

    Args:
        location: ``FILE.xml[,OPTION=VALUE…]``, or the folder with ``annotations.xml`` and
            ``images``. Options: ``root=DIR`` is the folder of the images; ``outside=refuse|allow``;
            and those of `boxless.data.settle.settle`.

    Returns:
        Manifest; classes in the order of the task's labels, splits as CVAT's subsets.

    Raises:
        DataError: The file is missing or not of this form.
    """
    path, options = split_options("cvat", location, OPTIONS)
    file = path / "annotations.xml" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"expected CVAT's annotations at {file}, found nothing")
    root = read_xml(file)
    if root.tag != "annotations":
        hint = f"write voc:{file.parent}" if root.tag == "annotation" else ""
        raise DataError(
            f"{file}: expected <annotations> as 'CVAT for images' writes, found <{root.tag}>",
            hint=hint,
        )
    if root.find("track") is not None and root.find("image") is None:
        raise DataError(
            f"{file}: expected images, found tracks of a video",
            hint="export the task as 'CVAT for images 1.1'",
        )
    folder = file.parent
    places = ImagePlaces(
        [folder, folder / "images", folder],
        options,
        spec=f"cvat:{location},outside=allow",
    )
    labels = [name for item in root.iterfind("meta//labels/label/name") if (name := item.text)]
    images = [
        _image(item, f"{file}: image {item.get('name')}", places) for item in root.iter("image")
    ]
    draft = draft_of(folder.name, images, classes=labels, notes=places.notes)
    return settle(draft, options.with_class_file(folder), location=location)


def _image(item: Element, source: str, places: ImagePlaces) -> TaggedImage:
    name = item.get("name")
    if not name:
        raise DataError(f"{source}: expected the name of an image, found none")
    tags: dict[str, int] = {}
    boxes: list[tuple[str, Box]] = []
    path = places.locate(name, source)
    for folder in (item.get("subset") or "", ""):
        inside = places.locate(f"{folder}/{name}" if folder else name, source)
        if Path(inside).is_file():
            path = inside
            break
    for shape in item:
        label = (shape.get("label") or "").strip()
        if label:
            tags[label] = PRESENT
            box = _around(shape)
            if box is not None:
                boxes.append((label, box))
    subset = item.get("subset") or ""
    split = "" if subset.lower() == "default" else subset
    return TaggedImage(name, path, split, tags, source, boxes)


def _around(shape: Element) -> Box | None:
    """The box of a shape; None for a tag, and for shapes that have none."""
    try:
        if shape.tag == "box":
            x1, y1, x2, y2 = (
                float(shape.get(side, "nan")) for side in ("xtl", "ytl", "xbr", "ybr")
            )
        else:
            points = [
                tuple(map(float, p.split(","))) for p in shape.get("points", "").split(";") if p
            ]
            xs, ys = zip(*points, strict=True)
            x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
    except ValueError:
        return None
    box = (max(x1, 0.0), max(y1, 0.0), x2, y2)
    return box if all(map(math.isfinite, box)) and box[2] > box[0] and box[3] > box[1] else None
