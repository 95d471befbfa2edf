"""Objects of one image from an annotation file in the format of PASCAL VOC."""

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from boxless.data.cells import truth
from boxless.errors import DataError
from boxless.types import PRESENT

_SIDES = ("xmin", "ymin", "xmax", "ymax")
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class VocObject:
    """One annotated object.

    Attributes:
        name: Its class.
        xyxy: Box in pixels, continuous with exclusive ends; None where it has none.
        difficult: Marked as hard to recognise.
    """

    name: str
    xyxy: Box | None
    difficult: bool


def read_objects(path: Path) -> tuple[VocObject, ...]:
    """Read one annotation file.

    VOC counts pixels from 1 and includes the last one; the boxes returned are continuous with
    exclusive ends: ``(xmin - 1, ymin - 1, xmax, ymax)``. A side that starts at 0 or before, as some
    labelling tools write it, starts at the image's edge. A polygon without a box gives the box
    around it.

    Returns:
        Its objects, in file order.

    Raises:
        DataError: The file is no safe, well-formed VOC annotation.
    """
    root = read_xml(path)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # a namespace
    if root.tag != "annotation":
        raise DataError(f"{path}: expected <annotation> as PASCAL VOC writes, found <{root.tag}>")
    return tuple(
        _read_object(item, f"{path}: object {number}")
        for number, item in enumerate(root.findall("object"), start=1)
    )


def read_xml(path: Path) -> Element:
    """Parse an XML file from elsewhere; entities and references to other files are refused.

    Raises:
        DataError: It is missing, broken or not safe.
    """
    try:
        root: Element = parse(path).getroot()
    except ParseError as error:
        line, column = error.position
        raise DataError(f"{path}:{line}:{column}: broken XML ({error})") from error
    except DefusedXmlException as error:
        raise DataError(
            f"{path}: refused, the XML declares entities or other files ({type(error).__name__})",
            hint="an annotation needs neither; take the declarations out",
        ) from error
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    return root


def _read_object(item: Element, where: str) -> VocObject:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise DataError(f"{where}: expected the name of a class, found none")
    text = (item.findtext("difficult") or "0").strip()
    difficult = 0 if text.lower() == "unspecified" else truth(text)
    if difficult is None:
        raise DataError(f"{where}: expected difficult as 0 or 1, found {text!r}")
    texts = [item.findtext(f"bndbox/{side}") for side in _SIDES]
    if all(text is None for text in texts):
        return VocObject(name, _around(item), difficult == PRESENT)
    try:
        xmin, ymin, xmax, ymax = (float(text or "") for text in texts)
    except ValueError:
        xmin = ymin = xmax = ymax = math.nan
    if not (xmin <= xmax < math.inf and ymin <= ymax < math.inf):
        raise DataError(
            f"{where} ({name}): expected 1 <= xmin <= xmax and 1 <= ymin <= ymax, "
            f"found {dict(zip(_SIDES, texts, strict=True))}"
        )
    corner = (max(xmin - 1, 0.0), max(ymin - 1, 0.0))
    inside = xmax > corner[0] and ymax > corner[1]
    return VocObject(name, (*corner, xmax, ymax) if inside else None, difficult == PRESENT)


def _around(item: Element) -> Box | None:
    """The box around a polygon, as ``<x1>…<y1>`` or as points; None where there is none."""
    points: dict[str, list[float]] = {"x": [], "y": []}
    for element in (child for polygon in item.findall("polygon") for child in polygon.iter()):
        axis = element.tag[:1].lower()
        if (axis in points and element.tag[1:].isdecimal()) or element.tag in ("x", "y"):
            try:
                points[axis].append(float(element.text or ""))
            except ValueError:
                return None
    xs, ys = points["x"], points["y"]
    if not xs or not ys or not all(map(math.isfinite, (*xs, *ys))):
        return None
    box = (max(min(xs), 0.0), max(min(ys), 0.0), max(xs), max(ys))
    return box if box[2] > box[0] and box[3] > box[1] else None
