"""Which format a data set has that is named by its path alone, as in ``boxless train tags.csv``."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

_FILES: Final = (
    *((f"*{ending}{packed}", "csv") for ending in (".csv", ".tsv", ".jsonl", ".ndjson")
      for packed in ("", ".gz")),
    ("*.parquet", "csv"),
    ("*.pq", "csv"),
    ("data.yaml", "yolo"),
    ("*.xml", "cvat"),
    ("samples.json", "fiftyone"),
    ("*.coco.json", "coco"),
    ("instances_*.json", "coco"),
)  # fmt: skip
"""What tells the format of a file: its name in lower case."""

_OPEN: Final = {
    ".json": ("csv", "coco", "label-studio", "fiftyone"),
    ".txt": ("csv", "list", "nus-wide"),
}
"""Endings that files of several formats have."""

_FOLDERS: Final = (
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
    ("labels/*.txt", "yolo"),
    ("labels/*/*.txt", "yolo"),
)
"""What tells the format of a folder: something that lies in it."""

_EDITIONS: Final = ("*/ImageSets/Main", "*/*/ImageSets/Main")
_TABLES: Final = ("metadata.*", "*/metadata.*", "*/_classes.csv")


def readings(location: str) -> tuple[list[str], bool]:
    """Formats that what lies at a path may have.

    Args:
        location: Path of a file or folder that exists.

    Returns:
        ``FORMAT:PATH`` of each; none where nothing tells. And whether there is no doubt: a mark of
        one format alone was found. A folder of folders has none, it may be anything.
    """
    path = Path(location).expanduser()
    if path.is_file():
        name = path.name.lower()
        sure = next((prefix for mark, prefix in _FILES if fnmatchcase(name, mark)), None)
        formats = (sure,) if sure else _OPEN.get(path.suffix.lower(), ())
        return [f"{prefix}:{location}" for prefix in formats], sure is not None
    marked = dict.fromkeys(prefix for mark, prefix in _FOLDERS if any(path.glob(mark)))
    found = [f"{prefix}:{location}" for prefix in marked]
    if not found:
        mains = sorted(main for mark in _EDITIONS for main in path.glob(mark))
        found = [f"voc:{main.parent.parent}" for main in mains]
    if found:
        return found, len(found) == 1
    nested = any(entry.is_dir() for entry in path.iterdir())
    if nested or any(any(path.glob(mark)) for mark in _TABLES):
        return [f"folder:{location}"], False
    return [], False
