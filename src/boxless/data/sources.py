"""From a data set's name on the command line to its manifest."""

from collections.abc import Callable
from pathlib import Path

from boxless.data import (
    authors_list,
    coco,
    collage,
    cvat,
    fiftyone,
    folders,
    label_studio,
    nus_wide,
    scenes,
    table,
    voc,
    yolo,
)
from boxless.data.bare_paths import readings
from boxless.data.manifest import Manifest
from boxless.data.options import cut_location
from boxless.errors import DataError, unknown_name
from boxless.files.console import plain_console
from boxless.files.engine import LocalEngine
from boxless.files.paths import is_url


def _read_collage(rest: str) -> Manifest:
    return collage.read(rest, load_manifest)


READERS: dict[str, Callable[[str], Manifest]] = {
    "csv": table.read,
    "folder": folders.read,
    "voc": voc.read,
    "coco": coco.read,
    "yolo": yolo.read,
    "cvat": cvat.read,
    "label-studio": label_studio.read,
    "fiftyone": fiftyone.read,
    "nus-wide": nus_wide.read,
    "list": authors_list.read,
    "scenes": scenes.read,
    "collage": _read_collage,
}
"""Reader of each prefix."""

FORMATS = {
    "csv": "csv:FILE                  table of tags: CSV, JSON lines, Parquet",
    "folder": "folder:DIR                a folder for each class, or images with metadata.csv",
    "voc": "voc:DIR                   folder in PASCAL VOC layout, such as VOCdevkit/VOC2007",
    "coco": "coco:DIR|FILE.json        annotations in COCO's format, such as MS-COCO's own",
    "yolo": "yolo:DIR|data.yaml        images and text files of boxes",
    "cvat": "cvat:FILE.xml             'CVAT for images'",
    "label-studio": "label-studio:FILE.json    JSON or JSON-MIN of Label Studio",
    "fiftyone": "fiftyone:DIR              labels.json or samples.json of FiftyOne",
    "nus-wide": "nus-wide:DIR              NUS-WIDE, official folders or flat lists",
    "list": "list:FILE[,test=FILE]     lines of path, labels and boxes, as the authors' code reads",
    "scenes": "scenes:[train=600,…]      drawn images, nothing to download",
    "collage": "collage:SPEC,grid=2       2 x 2 images of another data set on one",
}
"""One line of help for each prefix."""

LARGE = 2_000_000
"""Bytes of a table from which on reading takes longer than to start a process for it."""
APART = 2
"""Workers of an engine that does not work in this process; one is started."""

_ALIASES = {
    **dict.fromkeys(("table", "tsv", "json", "jsonl", "parquet"), "csv"),
    **dict.fromkeys(("imagefolder", "image-folder", "hf", "huggingface"), "folder"),
    "labelstudio": "label-studio",
    "pascal": "voc",
    "ultralytics": "yolo",
}


def load_manifest(spec: str) -> Manifest:
    """Read a data set.

    Args:
        spec: As of `with_format`.

    Returns:
        Its manifest.

    Raises:
        DataError: The format is unknown, or the reader found something wrong.
    """
    prefix, _, rest = with_format(spec).partition(":")
    prefix = _ALIASES.get(prefix, prefix)
    if not rest and prefix != "scenes":
        raise DataError(f"expected a path after '{prefix}:'", hint=_formats())
    if is_url(rest) and prefix != "csv":
        raise DataError(
            f"{prefix}: reads folders of this machine, found the address {rest}",
            hint="only csv: reads from a store, as in csv:s3://BUCKET/tags.csv, and its rows"
            " may name images there (`boxless data convert` makes such a table)",
        )
    if prefix == "csv" and _large(rest):
        # Python gives back little of the memory that reading takes while the records live on among
        # it: of 100,000 rows 70 MB would stay until the end of a run.
        return next(LocalEngine(APART).map(table.read, [rest]))
    return READERS[prefix](rest)


def _large(rest: str) -> bool:
    """Whether a table is one to read in a process of its own."""
    location = cut_location(rest)[0]
    file = Path(location).expanduser()
    return not is_url(location) and file.is_file() and file.stat().st_size > LARGE


def with_format(spec: str) -> str:
    """A data set's name with its format in front; says on stderr what a bare path is taken for.

    Args:
        spec: A prefix of `FORMATS` and a path, as ``csv:FILE``, or the path alone where it leaves
            no doubt; options follow the path, as in ``coco:DIR,year=2014``.

    Returns:
        The same where it has a format already.

    Raises:
        DataError: The format is unknown, nothing is there, or it may be of several formats.
    """
    prefix, colon, _ = spec.partition(":")
    if colon and _ALIASES.get(prefix, prefix) in READERS:
        return spec
    location = cut_location(spec)[0]
    if location and Path(location).expanduser().exists():
        found, sure = readings(location)
        if not sure:
            raise DataError(
                f"expected the format before the path of a data set, found {spec!r}",
                hint=f"write {' or '.join(found)}" if found else _formats(),
            )
        taken = f"{found[0]}{spec.removeprefix(location)}"
        plain_console(stderr=True).print(f"{spec}: taken as {taken}")
        return taken
    if colon:
        raise DataError(unknown_name("data format", prefix, READERS), hint=_formats())
    if spec in READERS:
        raise DataError(f"expected {spec!r} with a colon, as in '{spec}:'", hint=_formats())
    raise DataError(f"no data set {spec!r}: neither a format nor an existing path", hint=_formats())


def _formats() -> str:
    return "a data set is one of\n" + "\n".join(f"     {line}" for line in FORMATS.values())
