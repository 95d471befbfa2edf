"""Objects of one image from a PASCAL VOC annotation file."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from boxless.errors import DataError, unknown_name
from boxless.types import TrueBox

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_objects(path: Path, classes: tuple[str, ...]) -> tuple[TrueBox, ...]:
    """Read the boxes of one annotation file.

    VOC counts pixels from 1 and includes the last one; the boxes returned are continuous with
    exclusive ends: ``(xmin - 1, ymin - 1, xmax, ymax)``. A side that starts at 0, as some labelling
    tools write it, starts at the image's edge.

    Args:
        path: XML file.
        classes: K class names that objects may have.

    Returns:
        One box an object, in file order.

    Raises:
        DataError: The file is no safe, well-formed VOC annotation, or names another class.
    """
    try:
        root = parse(path).getroot()
    except ParseError as error:
        line, column = error.position
        raise DataError(f"{path}:{line}:{column}: broken XML ({error})") from error
    except DefusedXmlException as error:
        raise DataError(
            f"{path}: refused, the XML declares entities or other files ({type(error).__name__})",
            hint="a VOC annotation needs neither; take the declarations out",
        ) from error
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    objects = root.findall("object")
    return tuple(_read_object(item, path, n, classes) for n, item in enumerate(objects, start=1))


def _read_object(item: Element, path: Path, number: int, classes: tuple[str, ...]) -> TrueBox:
    where = f"{path}: object {number}"
    name = (item.findtext("name") or "").strip()
    if name not in classes:
        raise DataError(f"{where}: {unknown_name('class', name, classes)}")
    difficult = (item.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        raise DataError(f"{where}: expected difficult as 0 or 1, found {difficult!r}")
    texts = [item.findtext(f"bndbox/{side}") for side in _SIDES]
    try:
        xmin, ymin, xmax, ymax = (float(text or "") for text in texts)
    except ValueError:
        xmin, ymin, xmax, ymax = -1.0, -1.0, -1.0, -1.0
    if not 0 <= xmin <= xmax < float("inf") or not 0 <= ymin <= ymax < float("inf"):
        raise DataError(
            f"{where} ({name}): expected 1 <= xmin <= xmax and 1 <= ymin <= ymax, "
            f"found {dict(zip(_SIDES, texts, strict=True))}"
        )
    corner = (max(xmin - 1, 0.0), max(ymin - 1, 0.0))
    return TrueBox(classes.index(name), (*corner, xmax, ymax), difficult == "1")
