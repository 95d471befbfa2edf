"""Read ``fiftyone:DIR``, as FiftyOne exports: ``labels.json`` or ``samples.json`` beside ``data``.

Formats: https://docs.voxel51.com/user_guide/export_datasets.html (FiftyOneImageClassification,
FiftyOneImageDetection and FiftyOneDataset).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from boxless.data.find_images import list_images
from boxless.data.image_places import ImagePlaces
from boxless.data.label_studio import list_of, read_json
from boxless.data.manifest import Manifest
from boxless.data.options import split_options
from boxless.data.settle import OPTIONS as COMMON
from boxless.data.settle import settle
from boxless.data.splits import split_name
from boxless.data.tagged import TaggedImage, draft_of, in_pixels
from boxless.errors import DataError
from boxless.types import PRESENT

OPTIONS = ("field", "root", "outside", *COMMON)
Labels = list[tuple[str, Sequence[float] | None]]


def read(location: str) -> Manifest:
    """Read an export of FiftyOne.

    Args:
        location: ``DIR[,OPTION=VALUE…]`` or its JSON file. Options: ``field=NAME`` chooses the
            labels of ``samples.json`` where there are several fields; ``root=DIR``;
            ``outside=refuse|allow``; and those of `boxless.data.settle.settle`.

    Returns:
        Manifest; the tags ``train``, ``validation`` and ``test`` of samples are the splits.

    Raises:
        DataError: A file is missing or not of this form.
    """
    path, options = split_options("fiftyone", location, OPTIONS)
    names = ("labels.json", "samples.json")
    file = next((path / n for n in names if (path / n).is_file()), path / names[0])
    file = file if path.is_dir() else path
    content = read_json(file)
    folder = file.parent
    spec = f"fiftyone:{location},outside=allow"
    places = ImagePlaces([folder, folder, folder / "data"], options, spec=spec)
    if isinstance(content, dict) and isinstance(content.get("samples"), list):
        field = options.text("field") or _field(content["samples"], file)
        images = list(_samples(content["samples"], field, file, places))
        classes: list[str] = []
    elif isinstance(content, dict) and isinstance(content.get("labels"), dict):
        classes = [str(name) for name in list_of(content.get("classes"), "classes", str(file))]
        images = list(_labelled(content["labels"], classes, file, places))
    else:
        raise DataError(f"{file}: expected 'labels' or 'samples' as FiftyOne writes, found neither")
    draft = draft_of(folder.name, images, classes=classes, notes=places.notes)
    return settle(draft, options.with_class_file(folder), location=location)


def _labelled(
    labels: Mapping[str, Any], classes: Sequence[str], file: Path, places: ImagePlaces
) -> Iterator[TaggedImage]:
    """Images of ``labels.json``, which names them by path or without an ending."""
    folder = file.parent / "data"
    stems = {
        path.relative_to(folder).with_suffix("").as_posix(): path.relative_to(folder).as_posix()
        for path in (list_images(folder).images if folder.is_dir() else ())
    }
    for name, target in labels.items():
        source = f"{file}: {name}"
        found = _labels_in(target, classes, source)
        yield _image(name, places.locate(stems.get(name, name), source), "", found, source)


def _samples(
    samples: Sequence[Any], field: str, file: Path, places: ImagePlaces
) -> Iterator[TaggedImage]:
    for number, sample in enumerate(samples, start=1):
        source = f"{file}: sample {number}"
        name = sample.get("filepath") if isinstance(sample, dict) else None
        if not isinstance(name, str):
            raise DataError(f"{source}: expected a filepath, found none")
        split = next(
            (tag for tag in list_of(sample.get("tags"), "tags", source) if split_name(str(tag))), ""
        )
        found = _labels_in(sample.get(field), (), source)
        yield _image(name, places.locate(name, source), split, found, source)


def _image(name: str, path: str, split: str, found: Labels, source: str) -> TaggedImage:
    tags = {tag: PRESENT for tag, _ in found}
    boxes = [
        (tag, (box[0], box[1], box[0] + box[2], box[1] + box[3]))
        for tag, box in found
        if isinstance(box, list) and len(box) == 4 and all(isinstance(x, int | float) for x in box)
    ]
    return TaggedImage(name, path, split, tags, source, in_pixels(path, boxes))


def _field(samples: Sequence[Any], file: Path) -> str:
    """The one field of samples that holds labels."""
    fields = {
        key
        for sample in samples
        if isinstance(sample, dict)
        for key, value in sample.items()
        if isinstance(value, dict)
        and str(value.get("_cls")) in ("Classification", "Classifications", "Detections")
    }
    if len(fields) > 1 and "ground_truth" in fields:
        return "ground_truth"
    if len(fields) != 1:
        raise DataError(
            f"{file}: expected one field with labels, found {', '.join(sorted(fields)) or 'none'}",
            hint="say which: field=NAME" if fields else "",
        )
    return str(fields.pop())


def _labels_in(target: Any, classes: Sequence[str], source: str) -> Labels:
    """Names, and boxes as shares of the image, of one image."""
    if target is None:
        return []
    if isinstance(target, list):
        return [pair for item in target for pair in _labels_in(item, classes, source)]
    if isinstance(target, dict):
        inner = next((target[k] for k in ("classifications", "detections") if k in target), None)
        if inner is not None:
            return _labels_in(inner, classes, source)
        box = target.get("bounding_box")
        return [(name, box) for name, _ in _labels_in(target.get("label"), classes, source)]
    if isinstance(target, int) and not isinstance(target, bool) and classes:
        if not 0 <= target < len(classes):
            raise DataError(
                f"{source}: expected a class from 0 to {len(classes) - 1}, found {target}"
            )
        return [(classes[target], None)]
    return [(str(target), None)]
