"""Exports of labelling tools: CVAT, YOLO, Label Studio and FiftyOne."""

import json

import pytest
from small_images import save_image

from boxless.data.simple_yaml import read_simple_yaml
from boxless.data.sources import load_manifest
from boxless.errors import DataError
from boxless.types import TrueBox


def tags_of(manifest):
    return {
        r.image_id: {n for n, v in zip(manifest.classes, r.labels, strict=True) if v == 1}
        for r in manifest.records
    }


def splits_of(manifest):
    return {record.image_id: record.split for record in manifest.records}


class TestCvat:
    XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>
<image id="0" name="a b.png" subset="Train" width="24" height="16">
  <box label="cat" occluded="0" xtl="-1.5" ytl="2.00" xbr="8.00" ybr="9.00" z_order="0"></box>
  <polygon label="dog" points="3.0,4.0;9.0,4.0;6.0,8.5" z_order="0"></polygon></image>
<image id="1" name="sub/b.png" subset="Test" width="24" height="16"><tag label="dog"></tag></image>
<image id="2" name="c.png" subset="Train" width="24" height="16"></image>
</annotations>"""

    @pytest.fixture
    def task(self, tmp_path):
        save_image(tmp_path / "images" / "Train" / "a b.png")
        save_image(tmp_path / "images" / "sub" / "b.png")
        save_image(tmp_path / "images" / "c.png")
        (tmp_path / "annotations.xml").write_text(self.XML)
        return tmp_path

    def test_tags_shapes_and_subsets(self, task):
        found = load_manifest(f"cvat:{task}")
        assert found.classes == ("dog", "cat")
        assert tags_of(found) == {"a b.png": {"cat", "dog"}, "sub/b.png": {"dog"}, "c.png": set()}
        assert splits_of(found) == {"a b.png": "train", "sub/b.png": "test", "c.png": "train"}
        assert found.records[0].boxes == (
            TrueBox(1, (0.0, 2.0, 8.0, 9.0)), TrueBox(0, (3.0, 4.0, 9.0, 8.5)),
        )  # fmt: skip
        assert found.records[0].path == f"{task}/images/Train/a b.png"
        assert found.fingerprint
        assert load_manifest(f"cvat:{task}/annotations.xml").records == found.records

    def test_a_task_without_subsets_is_split_by_hash(self, task):
        images = "".join(
            f'<image id="{n}" name="{n}.png"><tag label="cat"/></image>' for n in range(40)
        )
        for n in range(40):
            save_image(task / "images" / f"{n}.png", seed=n)
        (task / "annotations.xml").write_text(f"<annotations>{images}</annotations>")
        found = load_manifest(f"cvat:{task}")
        assert found.classes == ("cat",)
        assert set(found.split_names) == {"train", "test"}

    @pytest.mark.parametrize(
        ("xml", "told"),
        [
            ("<annotation/>", r"expected <annotations> .* found <annotation>(.|\n)*write voc:"),
            ("<annotations><track/></annotations>", "found tracks of a video"),
            ("<annotations>", "broken XML"),
            ('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "declares entities"),
            ("<annotations/>", "expected images with annotations, found none"),
            ("<annotations><image/></annotations>", "expected the name of an image"),
        ],
    )
    def test_other_files_are_refused(self, tmp_path, xml, told):
        (tmp_path / "annotations.xml").write_text(xml)
        with pytest.raises(DataError, match=told):
            load_manifest(f"cvat:{tmp_path}")

    def test_names_cannot_lead_out(self, tmp_path):
        xml = '<annotations><image name="../../x.png"><tag label="cat"/></image></annotations>'
        (tmp_path / "annotations.xml").write_text(xml)
        with pytest.raises(DataError, match="expected an image inside the folder"):
            load_manifest(f"cvat:{tmp_path}")


class TestYolo:
    YAML = (
        "path: /somewhere/else\ntrain: ../train/images\nval: valid/images\n"
        "names:\n  0: cat\n  1: dog\n"
    )

    @pytest.fixture
    def root(self, tmp_path):
        for number, part in enumerate(("train", "valid")):
            save_image(tmp_path / part / "images" / f"{number}.png", size=(40, 20))
            save_image(tmp_path / part / "images" / f"bare{number}.png")
            (tmp_path / part / "labels").mkdir()
            (tmp_path / part / "labels" / f"{number}.txt").write_text(
                f"{number} 0.5 0.5 0.5 1.0\n1 0.1 0.1 0.5 0.1 0.3 0.9\n"
            )
        (tmp_path / "data.yaml").write_text(self.YAML)
        return tmp_path

    def test_folders_classes_and_boxes(self, root):
        found = load_manifest(f"yolo:{root}")
        assert found.classes == ("cat", "dog")
        assert tags_of(found) == {
            "train/images/0.png": {"cat", "dog"}, "train/images/bare0.png": set(),
            "valid/images/1.png": {"dog"}, "valid/images/bare1.png": set(),
        }  # fmt: skip
        assert splits_of(found)["valid/images/1.png"] == "test"
        box, polygon = found.records[0].boxes
        assert box == TrueBox(0, (10.0, 0.0, 30.0, 20.0))
        assert polygon.xyxy == pytest.approx((4, 2, 20, 18))
        assert load_manifest(f"yolo:{root}/data.yaml").records == found.records

    @pytest.mark.parametrize(
        "names",
        ["[cat, dog]", "\n- cat\n- dog", "{0: cat, 1: dog}", "['cat',\n  \"dog\"]  # two",
         "  # classes\n  1: 'dog'\n  0: cat\n", "\n  - cat # c\n\n  - dog\nroboflow:\n  url: http://x/#y"],
    )  # fmt: skip
    def test_names_in_any_form(self, root, names):
        (root / "data.yaml").write_text(f"train: train/images\nval: valid/images\nnames: {names}\n")
        assert load_manifest(f"yolo:{root}").classes == ("cat", "dog")

    @pytest.mark.parametrize(
        ("text", "name"),
        [("['it''s']", "it's"), ('["a, b"]', "a, b"), ("[C#]", "C#"), ("['# x']", "# x"),
         ("\n  0: a: b", "a: b"), ("\n- hot dog", "hot dog"), ("['[/b]']", "[/b]")],
    )  # fmt: skip
    def test_reference_yaml_reads_the_same_names(self, tmp_path, text, name):
        yaml = pytest.importorskip("yaml")
        path = tmp_path / "data.yaml"
        path.write_text(f"nc: 1\nnames: {text}\n")
        if name != "a: b":  # no YAML, and written all the same
            reference = yaml.safe_load(path.read_text())["names"]
            assert (reference if isinstance(reference, list) else list(reference.values())) == [
                name
            ]
        assert read_simple_yaml(path) == {"nc": "1", "names": [name]}

    def test_lists_of_images(self, root):
        (root / "train.txt").write_text("./train/images/0.png\n")
        (root / "test.txt").write_text(f"{root}/valid/images/1.png\n")
        (root / "data.yaml").write_text("train: train.txt\ntest: test.txt\nnames: [cat, dog]\n")
        assert splits_of(load_manifest(f"yolo:{root}")) == {
            "train/images/0.png": "train", "valid/images/1.png": "test",
        }  # fmt: skip

    def test_darknet(self, tmp_path):
        for n in range(30):
            save_image(tmp_path / "obj_train_data" / f"{n}.png", seed=n)
            (tmp_path / "obj_train_data" / f"{n}.txt").write_text("1 0.5 0.5 1 1\n")
        (tmp_path / "obj.names").write_text("cat\ndog\n")
        found = load_manifest(f"yolo:{tmp_path}")
        assert found.classes == ("cat", "dog")
        assert {record.labels for record in found.records} == {(0, 1)}

    @pytest.mark.parametrize(
        ("line", "told"),
        [("7 0.5 0.5 1 1", r"0\.txt:1: expected a class from 0 to 1, found 7"),
         ("cat 0.5", r"0\.txt:1: expected a class number and a box"),
         ("inf 1 1 1 1", r"0\.txt:1: expected a class number and a box")],
    )  # fmt: skip
    def test_wrong_lines_are_named(self, root, line, told):
        (root / "train" / "labels" / "0.txt").write_text(line)
        with pytest.raises(DataError, match=told):
            load_manifest(f"yolo:{root}")

    @pytest.mark.parametrize("text", ["names: 3", "train: x", "a: [", "- 1", "names: {9999999: x}"])
    def test_wrong_settings_are_refused(self, root, text):
        (root / "data.yaml").write_text(text)
        with pytest.raises(DataError, match=r"names|key: value|numbered"):
            load_manifest(f"yolo:{root}")

    def test_neither_settings_nor_names(self, tmp_path):
        with pytest.raises(DataError, match=r"expected data\.yaml, classes\.txt or obj\.names"):
            load_manifest(f"yolo:{tmp_path}")


def choice(*names):
    return {"type": "choices", "value": {"choices": list(names)}}


RECTANGLE = {
    "type": "rectanglelabels", "original_width": 200, "original_height": 100,
    "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["dog"]},
}  # fmt: skip


class TestLabelStudio:
    def export(self, folder, tasks):
        path = folder / "project-1.json"
        path.write_text(json.dumps(tasks))
        return f"label-studio:{path},test=50%"

    @pytest.fixture
    def folder(self, tmp_path):
        for n in range(12):
            save_image(tmp_path / "images" / f"{n}.png", seed=n)
        return tmp_path

    def task(self, number, *results, key="image", start="/data/upload/1/1234abcd-"):
        annotations = [{"result": list(result)} for result in results]
        return {"id": number, "data": {key: f"{start}{number}.png"}, "annotations": annotations}

    def test_choices_and_boxes(self, folder):
        tasks = [self.task(n, [choice("cat", "sofa"), RECTANGLE]) for n in range(10)]
        found = load_manifest(self.export(folder, [*tasks, self.task(10), self.task(11, [])]))
        assert found.classes == ("cat", "dog", "sofa")
        record = found.records[0]
        assert record.labels == (1, 1, 1)
        assert record.path == f"{folder}/images/0.png"
        assert record.boxes == (TrueBox(1, (20.0, 20.0, 80.0, 60.0)),)
        assert len(found) == 11  # looked at, and no tag given
        assert "1 tasks have no annotation and are left out" in found.notes
        assert found.fingerprint

    def test_annotators_that_disagree(self, folder):
        tasks = [self.task(n, [choice("cat")], [choice("cat", "dog")]) for n in range(10)]
        found = load_manifest(self.export(folder, tasks))
        assert found.records[0].labels == (1, -1)
        assert any("10 tags are unknown: some annotators" in note for note in found.notes)

    def test_cancelled_work_does_not_count(self, folder):
        tasks = [self.task(n, [choice("cat")]) for n in range(10)]
        tasks[0]["annotations"].append({"was_cancelled": True, "result": [choice("dog")]})
        assert load_manifest(self.export(folder, tasks)).classes == ("cat",)

    @pytest.mark.parametrize(
        ("value", "classes"),
        [({"choice": "cat"}, ("cat",)), ({"choice": {"choices": ["cat", "dog"]}}, ("cat", "dog")),
         ({"label": [RECTANGLE["value"]]}, ("dog",))],
    )  # fmt: skip
    def test_the_short_form(self, folder, value, classes):
        tasks = [{"id": n, "image": f"/data/local-files/?d=images/{n}.png", "annotator": 1, **value}
                 for n in range(10)]  # fmt: skip
        found = load_manifest(self.export(folder, tasks))
        assert found.classes == classes
        assert found.records[0].path == f"{folder}/images/0.png"

    @pytest.mark.parametrize(
        ("content", "told"),
        [("{}", "expected a list of tasks"), ("[", "broken JSON"),
         ("[1]", "expected a list of tasks"),
         ("[]", "expected images with annotations"),
         ('[{"id": 1, "annotations": [{"result": []}]}]', "expected the image in data.image")],
    )  # fmt: skip
    def test_other_files_are_refused(self, tmp_path, content, told):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(DataError, match=told):
            load_manifest(f"label-studio:{tmp_path}/x.json")


class TestFiftyOne:
    @pytest.fixture
    def root(self, tmp_path):
        for n in range(12):
            save_image(tmp_path / "data" / f"{n}.png", seed=n, size=(40, 20))
        return tmp_path

    def write(self, root, name, content):
        (root / name).write_text(json.dumps(content))
        return f"fiftyone:{root},test=50%"

    @pytest.mark.parametrize(
        "target", [1, "dog", [1], {"label": "dog", "confidence": 0.9}, {"label": 1},
                   {"classifications": [{"label": "dog"}]}],
    )  # fmt: skip
    def test_classifications(self, root, target):
        labels = {str(n): target for n in range(11)} | {"11": None}
        found = load_manifest(
            self.write(root, "labels.json", {"classes": ["cat", "dog"], "labels": labels})
        )
        assert found.classes == ("cat", "dog")
        assert tags_of(found)["3"] == {"dog"}
        assert tags_of(found)["11"] == set()
        assert found.records[3].path == f"{root}/data/3.png"
        assert found.fingerprint

    def test_several_labels_and_boxes(self, root):
        boxed = {"label": 0, "bounding_box": [0.25, 0.5, 0.5, 0.25]}
        labels = {f"{n}.png": [boxed, {"label": "dog"}] for n in range(12)}
        found = load_manifest(
            self.write(root, "labels.json", {"classes": ["cat"], "labels": labels})
        )
        assert tags_of(found)["3.png"] == {"cat", "dog"}
        assert found.records[3].boxes == (TrueBox(0, (10.0, 10.0, 30.0, 15.0)),)

    def test_samples(self, root):
        samples = [
            {"filepath": f"data/{n}.png", "tags": ["test" if n % 2 else "train"],
             "metadata": {"_cls": "ImageMetadata"},
             "tags_of_mine": {"_cls": "Classifications", "classifications": [{"label": "cat"}]}}
            for n in range(12)
        ]  # fmt: skip
        self.write(root, "samples.json", {"samples": samples})
        found = load_manifest(f"fiftyone:{root}")
        assert found.classes == ("cat",)
        assert splits_of(found)["data/1.png"] == "test"
        for sample in samples:
            sample["other"] = {"_cls": "Classification", "label": "dog"}
        self.write(root, "samples.json", {"samples": samples})
        with pytest.raises(DataError, match="found other, tags_of_mine"):
            load_manifest(f"fiftyone:{root}")
        assert load_manifest(f"fiftyone:{root},field=other").classes == ("dog",)

    @pytest.mark.parametrize("content", [[], {}, {"labels": {"0": 5}, "classes": ["cat"]}])
    def test_other_files_are_refused(self, root, content):
        with pytest.raises(DataError, match=r"labels\.json: "):
            load_manifest(self.write(root, "labels.json", content))
