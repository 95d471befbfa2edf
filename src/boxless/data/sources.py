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
from boxless.data.manifest import Manifest
from boxless.errors import DataError, unknown_name
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

_ALIASES = {
    **dict.fromkeys(("table", "tsv", "json", "jsonl", "parquet"), "csv"),
    **dict.fromkeys(("imagefolder", "image-folder", "hf", "huggingface"), "folder"),
    "labelstudio": "label-studio",
    "pascal": "voc",
    "ultralytics": "yolo",
}
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
_MARKS = (
    ("ImageSets/Main", "voc"),
    ("ImageList", "nus-wide"),
    ("annotations/*.json", "coco"),
    ("*annotations.coco.json", "coco"),
    ("*/*annotations.coco.json", "coco"),
    ("annotations.xml", "cvat"),
    ("samples.json", "fiftyone"),
    ("labels.json", "fiftyone"),
    ("data.yaml", "yolo"),
    ("obj.names", "yolo"),
    ("labels/*", "yolo"),
    ("metadata.*", "folder"),
    ("*/metadata.*", "folder"),
    ("*/_classes.csv", "folder"),
)
"""What tells the format of a folder."""


def load_manifest(spec: str) -> Manifest:
    """Read a data set.

    Args:
        spec: A prefix of `FORMATS` and a path, as ``csv:FILE``; options follow the path, as in
            ``coco:DIR,year=2014``.

    Returns:
        Its manifest.

    Raises:
        DataError: The prefix is unknown, or the reader found something wrong.
    """
    prefix, colon, rest = spec.partition(":")
    prefix = _ALIASES.get(prefix, prefix)
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
    """The spec that was meant by a bare path; "" where nothing tells."""
    path = Path(spec).expanduser()
    if path.is_file():
        by_name = {"data.yaml": "yolo", "annotations.xml": "cvat", "samples.json": "fiftyone"}
        prefix = by_name.get(path.name) or ("csv" if path.suffix.lower() in _TABLES else "")
        if path.suffix.lower() == ".json" and not prefix:
            return f"write coco:{spec}, label-studio:{spec} or fiftyone:{spec}"
        return f"write {prefix}:{spec}" if prefix else ""
    for mark, prefix in _MARKS:
        if any(path.glob(mark)):
            return f"write {prefix}:{spec}"
    inner = sorted(path.glob("**/ImageSets/Main"))[:1]
    if inner:
        return f"write voc:{inner[0].parent.parent}"
    return f"write folder:{spec}" if any(entry.is_dir() for entry in path.iterdir()) else ""


def _formats() -> str:
    return "a data set is one of\n" + "\n".join(f"     {line}" for line in FORMATS.values())
