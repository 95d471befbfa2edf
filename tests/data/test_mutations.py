"""Documents of labelling tools with one value replaced: each is read, or refused with a reason."""

import copy
import json

import pytest
from small_images import save_image

from boxless.data.sources import load_manifest
from boxless.errors import BoxlessError

VALUES = (None, 5, 1.5, "x", "", [], {}, [5], ["x"], {"a": 1}, True, 10**30)
BOX = {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["dog"]}
SIZE = {"original_width": 9, "original_height": 9}
SHARES = [0.1, 0.2, 0.3, 0.4]
DOCUMENTS = {
    "coco": {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}],
        "categories": [{"id": 1, "name": "cat", "supercategory": "z"}],
    },
    "label-studio": [
        {
            "data": {"image": "a.png"},
            "annotations": [{"result": [{"value": {"choices": ["cat"]}}, {"value": BOX, **SIZE}]}],
        },
        {"image": "b.png", "choice": {"choices": ["cat"]}, "label": [{**BOX, **SIZE}]},
    ],
    "fiftyone": {
        "classes": ["cat"],
        "labels": {
            "a.png": [{"label": 0, "bounding_box": SHARES}],
            "b.png": {"classifications": [{"label": "dog"}]},
        },
    },
    "fiftyone:samples": {
        "samples": [
            {
                "filepath": "a.png",
                "tags": ["train"],
                "gt": {"_cls": "Classification", "label": "x"},
            },
            {
                "filepath": "b.png",
                "tags": ["test"],
                "gt": {
                    "_cls": "Detections",
                    "detections": [{"label": "cat", "bounding_box": SHARES}],
                },
            },
        ]
    },
    "csv": [
        {"file_name": "a.png", "labels": ["cat"], "split": "train"},
        {"file_name": "b.png", "labels": [], "split": "test"},
    ],
    "csv:classes": [
        {"image": {"path": "a.png"}, "cat": 1, "is_valid": True},
        {"image": {"path": "b.png"}, "cat": 0.0, "is_valid": False},
    ],
}


def places(value, path=()):
    """Every place in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, item in inner:
        yield from places(item, (*path, key))


def changed(document, path, value):
    if not path:
        return value
    document = copy.deepcopy(document)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_one_value_replaced(tmp_path, name):
    for image in ("a.png", "b.png"):
        save_image(tmp_path / image)
    file = tmp_path / "x.json"
    spec = f"{name.partition(':')[0]}:{file}"
    file.write_text(json.dumps(DOCUMENTS[name]))
    assert len(load_manifest(spec)) == 2
    for path in places(DOCUMENTS[name]):
        for value in VALUES:
            file.write_text(json.dumps(changed(DOCUMENTS[name], path, value)))
            try:
                load_manifest(spec)
            except BoxlessError as error:
                assert error.message  # noqa: PT017 - any other error is a finding
