"""Real images of COCO, read as pycocotools reads them."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from boxless.data import coco
from boxless.data.check import check_manifest
from boxless.data.coco_json import read_instances


@pytest.fixture(scope="module")
def mini(data_root):
    return data_root / "coco-mini" / "coco"


class TestRealImages:
    def test_counts(self, mini):
        found = coco.read(str(mini))
        assert (len(found.split("train")), len(found.split("test"))) == (255, 250)
        kept = coco.read(f"{mini},unlabelled=keep")
        assert (len(kept.split("train")), len(kept.split("test"))) == (258, 252)
        assert len(found.classes) == 80
        assert (found.classes[0], found.classes[-1]) == ("person", "toothbrush")
        assert check_manifest(found, images=False).disagreements == ()

    @pytest.mark.parametrize(("name", "split"), [("train2017", "train"), ("val2017", "test")])
    def test_reference_pycocotools_sees_the_same_tags_and_boxes(self, mini, name, split):
        from pycocotools.coco import COCO

        with contextlib.redirect_stdout(io.StringIO()):
            reference = COCO(str(mini / "annotations" / f"instances_{name}.json"))
        part = coco.read(f"{mini},unlabelled=keep").split(split)
        records = {record.image_id: record for record in part.records}
        category_ids = sorted(reference.getCatIds())
        classes = tuple(c["name"] for c in reference.loadCats(category_ids))
        assert classes == coco.read(str(mini)).classes
        assert records.keys() == {str(key) for key in reference.getImgIds()}
        boxes = 0
        for image_id in reference.getImgIds():
            record = records[str(image_id)]
            annotations = reference.loadAnns(reference.getAnnIds(imgIds=[image_id]))
            present = {annotation["category_id"] for annotation in annotations}
            assert record.labels == tuple(int(key in present) for key in category_ids)
            assert [(category_ids[box.label], box.difficult, box.xyxy) for box in record.boxes] == [
                (a["category_id"], a["iscrowd"] == 1, (x, y, x + w, y + h))
                for a in annotations
                for x, y, w, h in [a["bbox"]]
            ]
            assert Path(record.path).name == reference.imgs[image_id]["file_name"]
            boxes += len(annotations)
        assert boxes > 1800

    def test_the_file_is_not_held_while_it_is_read(self, mini, tmp_path):
        """Outlines of objects, most of a real file, leave no trace in memory."""
        import tracemalloc

        content = json.loads((mini / "annotations/instances_val2017.json").read_text())
        content["annotations"] = content["annotations"][:200]
        for annotation in content["annotations"]:
            annotation["segmentation"] = {"counts": "x" * 20_000}
        path = tmp_path / "instances_val2017.json"
        path.write_text(json.dumps(content))
        tracemalloc.start()
        found = read_instances(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        size = path.stat().st_size
        assert len(found.image_ids) == len(content["annotations"])
        assert size > 4_000_000
        assert peak < size / 4
        assert np.asarray(found.boxes).size == 4 * len(found.image_ids)
