"""From a data set's name on the command line to its manifest."""

from collections.abc import Callable
from pathlib import Path

from boxless.data import authors_list, coco, collage, nus_wide, scenes, table, voc
from boxless.data.manifest import Manifest
from boxless.errors import DataError, unknown_name
from boxless.files.paths import is_url


def _read_collage(rest: str) -> Manifest:
    return collage.read(rest, load_manifest)


READERS: dict[str, Callable[[str], Manifest]] = {
    "voc": voc.read,
    "coco": coco.read,
    "nus-wide": nus_wide.read,
    "csv": table.read,
    "list": authors_list.read,
    "scenes": scenes.read,
    "collage": _read_collage,
}
"""Reader of each prefix."""

FORMATS = {
    "voc": "voc:DIR                   folder in PASCAL VOC layout, such as VOCdevkit/VOC2007",
    "coco": "coco:DIR[,year=2014]      MS-COCO 2014 or 2017 with annotations/instances_*.json",
    "nus-wide": "nus-wide:DIR              NUS-WIDE, official folders or flat lists",
    "csv": "csv:FILE                  table: path,labels[,split] or one column a class",
    "list": "list:FILE[,test=FILE]     lines of path, labels and boxes, as the authors' code reads",
    "scenes": "scenes:[train=600,…]      drawn images, nothing to download",
    "collage": "collage:SPEC,grid=2       2 x 2 images of another data set on one",
}
"""One line of help for each prefix."""


def load_manifest(spec: str) -> Manifest:
    """Read a data set.

    Args:
        spec: ``voc:DIR``, ``coco:DIR``, ``nus-wide:DIR``, ``csv:FILE``, ``list:FILE``,
            ``scenes:OPTIONS`` or ``collage:SPEC,grid=2``; options follow the path, as in
            ``coco:DIR,year=2014``.

    Returns:
        Its manifest.

    Raises:
        DataError: The prefix is unknown, or the reader found something wrong.
    """
    prefix, colon, rest = spec.partition(":")
    if colon and prefix in READERS:
        if not rest and prefix != "scenes":
            raise DataError(f"expected a path after '{prefix}:'", hint=_formats())
        if is_url(rest) and prefix != "csv":
            raise DataError(
                f"{prefix}: reads folders of this machine, found the address {rest}",
                hint="only csv: reads from a store, as in csv:s3://BUCKET/tags.csv, and its rows"
                " may name images there (`boxless data convert` makes such a table)",
            )
        return READERS[prefix](rest)
    if Path(spec).expanduser().exists():
        raise DataError(
            f"expected the format before the path of a data set, found {spec!r}",
            hint=_guess(spec) or _formats(),
        )
    if colon:
        raise DataError(unknown_name("data format", prefix, READERS), hint=_formats())
    if spec in READERS:
        raise DataError(f"expected {spec!r} with a colon, as in '{spec}:'", hint=_formats())
    raise DataError(f"no data set {spec!r}: neither a format nor an existing path", hint=_formats())


def _guess(spec: str) -> str:
    path = Path(spec).expanduser()
    if path.is_file() and path.suffix.lower() == ".csv":
        return f"write csv:{spec}"
    if (path / "ImageSets" / "Main").is_dir():
        return f"write voc:{spec}"
    if (path / "ImageList").is_dir():
        return f"write nus-wide:{spec}"
    if any(path.glob("annotations/instances_*.json")):
        return f"write coco:{spec}"
    inner = sorted(path.glob("**/ImageSets/Main"))[:1] if path.is_dir() else []
    return f"write voc:{inner[0].parent.parent}" if inner else ""


def _formats() -> str:
    return "a data set is one of\n" + "\n".join(f"     {line}" for line in FORMATS.values())
