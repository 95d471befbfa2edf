"""Turn any data set into a table of tags, COCO annotations or a Hugging Face image folder."""

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from boxless.data import scenes, table
from boxless.data.images import image_size
from boxless.data.manifest import Manifest
from boxless.errors import DataError
from boxless.files.atomic import write_atomically
from boxless.files.paths import is_url
from boxless.types import PRESENT, UNKNOWN, ImageRecord


def convert(
    manifest: Manifest,
    out: Path,
    *,
    to: str = "csv",
    images: Path | None = None,
    on_done: Callable[[], None] | None = None,
) -> tuple[str, ...]:
    """Write a data set in another format.

    Image paths are written relative to the file wherever both lie on one drive, so the folder that
    holds both can be moved.

    Args:
        manifest: The data set.
        out: The table or annotation file to write; for ``image-folder``, the folder, which gets
            ``metadata.jsonl`` and links to the images.
        to: ``csv``, ``coco`` or ``image-folder``.
        images: Folder for the PNG files of drawn scenes; only they need it.
        on_done: Called once for each drawn image.

    Returns:
        What the format could not hold, one sentence each.

    Raises:
        DataError: Scenes without ``images``, or ``images`` without scenes.
        RunError: A file cannot be written.
    """
    drawn = any(record.path.startswith(scenes.PREFIX) for record in manifest.records)
    if drawn and images is None:
        raise DataError(
            "drawn scenes have no files that a table could name",
            hint="give a folder for them: --images DIR",
        )
    if images is not None and not drawn:
        raise DataError(
            f"{manifest.name}: its images are files already, the table names them where they are",
            hint="leave --images out",
        )
    paths = []
    for record in manifest.records:
        path = record.path
        if images is not None:
            path = _draw(record, images)
            if on_done is not None:
                on_done()
        paths.append(path)
    if to == "image-folder":
        return _write_image_folder(manifest, out, paths)
    folder = Path(os.path.abspath(out)).parent  # noqa: PTH100 - keeps symlinks
    names = [portable(path, folder) for path in paths]
    if to == "coco":
        return _write_coco(manifest, out, paths, names)
    table.write(manifest, out, names)
    return ()


def portable(path: str, folder: Path) -> str:
    """A path relative to a folder wherever both lie on one drive, with slashes.

    Args:
        path: Absolute path; an address in a store stays as it is.
        folder: Absolute folder.
    """
    if is_url(path):
        return path
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive on Windows
        return path


def _write_coco(
    manifest: Manifest, out: Path, paths: Sequence[str], names: Sequence[str]
) -> tuple[str, ...]:
    """Annotations of one file; tags without boxes are objects without ``bbox``."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    unknown = 0
    for number, (record, path, name) in enumerate(
        zip(manifest.records, paths, names, strict=True), start=1
    ):
        width, height = image_size(path)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        boxed = {box.label for box in record.boxes or ()}
        objects = [
            {"category_id": box.label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
             "area": (x2 - x1) * (y2 - y1), "iscrowd": int(box.difficult)}
            for box in record.boxes or ()
            for x1, y1, x2, y2 in [box.xyxy]
        ]  # fmt: skip
        tags = [k for k, value in enumerate(record.labels) if value == PRESENT and k not in boxed]
        objects += [{"category_id": k + 1, "iscrowd": 0} for k in tags]
        for entry in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **entry})
        unknown += record.labels.count(UNKNOWN)
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k, "name": n} for k, n in enumerate(manifest.classes, start=1)],
    }
    write_atomically(out, json.dumps(content, ensure_ascii=False, allow_nan=False).encode())
    notes = []
    if unknown:
        notes.append(f"{unknown} unknown labels are written as absent: COCO has no word for them")
    if len(manifest.split_names) > 1:
        notes.append("COCO's format keeps no splits: write one file for each, with --split")
    return tuple(notes)


def _write_image_folder(manifest: Manifest, out: Path, paths: Sequence[str]) -> tuple[str, ...]:
    """``DIR/SPLIT/metadata.jsonl`` with links to the images beside it, as `datasets` reads them."""
    folder = Path(os.path.abspath(out))  # noqa: PTH100 - keeps symlinks
    unknown = sum(record.labels.count(UNKNOWN) for record in manifest.records)
    lines: dict[str, list[str]] = {}
    for record, path in zip(manifest.records, paths, strict=True):
        if is_url(path):
            raise DataError(f"{path}: an image folder holds files of this machine, found a URL")
        if Path(record.split).name != record.split:
            raise DataError(f"{record.source}: the split {record.split!r} cannot name a folder")
        rows = lines.setdefault(record.split, [])
        name = f"{len(rows):06d}-{Path(path).name}"
        place = folder / record.split / name
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(path, place)
        pairs = zip(manifest.classes, record.labels, strict=True)
        tags = [tag for tag, value in pairs if value == PRESENT]
        rows.append(json.dumps({"file_name": name, "labels": tags}, ensure_ascii=False) + "\n")
    for split, rows in lines.items():
        write_atomically(folder / split / "metadata.jsonl", "".join(rows).encode())
    if unknown:
        return (
            f"{unknown} unknown labels are written as absent: lists of tags cannot say unknown",
        )
    return ()


def _link(path: str, place: Path) -> None:
    try:
        place.symlink_to(os.path.relpath(path, place.parent))
    except (OSError, ValueError):  # no links here, or another drive
        shutil.copyfile(path, place)


def _draw(record: ImageRecord, folder: Path) -> str:
    """Write one scene as PNG; the file appears complete or not at all."""
    path = Path(os.path.abspath(folder)) / f"{record.image_id}.png"  # noqa: PTH100
    encoded = io.BytesIO()
    Image.fromarray(scenes.render(record.path)).save(encoded, "png")
    write_atomically(path, encoded.getvalue())
    return str(path)
