"""Formats of data sets and labelling tools."""
# ruff: noqa: E501  (a table of cases: one reads across)

import json

from workshop import FOUR, case, picture

TWELVE = {f"{n}.jpg": picture(n) for n in range(12)}
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def below(folder, files=FOUR) -> dict:
    return {f"{folder}/{name}": content for name, content in files.items()}


def check(given, spec, files, *right, **options):
    return case(given, ("data", "check", spec), *right, files=files, **options)


def coco(names, annotations, **changes) -> str:
    """Annotations of images that are numbered in the order of their names."""
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    return json.dumps(content | changes)


def thing(image, category=1, **more) -> dict:
    return {
        "id": 10 * category,
        "image_id": image,
        "category_id": category,
        "bbox": [1, 1, 5, 5],
        **more,
    }


def whole(**more) -> str:
    """Four images: cat, dog, cat, dog."""
    things = [thing(n, 1 + n % 2, **more) for n in range(4)]
    return coco(FOUR, things)


HALF = ",test=50%"
READ = "cat 2, dog 2"
TRAIN = {"train/_annotations.coco.json": coco(["a.jpg", "b.jpg"], [thing(0), thing(1, 2)])}
VALID = {"valid/_annotations.coco.json": coco(["c.jpg", "d.jpg"], [thing(0), thing(1, 2)])}
ROBOFLOW = {
    **TRAIN,
    **VALID,
    **{f"{'train' if n in 'a.jpgb.jpg' else 'valid'}/{n}": c for n, c in FOUR.items()},
}
ABSOLUTE = coco([f"/home/me/{name}" for name in FOUR], [thing(n, 1 + n % 2) for n in range(4)])
TEXT_IDS = json.dumps({"images": [{"id": n, "file_name": n} for n in FOUR], "categories": CATEGORIES,
                       "annotations": [thing(n, 1 + k % 2) for k, n in enumerate(FOUR)]})  # fmt: skip

COCO = (
    check("Roboflow's folders, ids that repeat between the files", "coco:.", ROBOFLOW, READ, "train 2, test 2"),
    check("CVAT's `instances_default.json`", "coco:." + HALF, {"annotations/instances_default.json": whole(), **below("images")}, READ),
    check("one file", "coco:t.json" + HALF, {"t.json": whole(), **FOUR}, READ),
    check("a file for each part", "coco:train.json,test=test.json",
          {"train.json": coco(["a.jpg", "b.jpg"], [thing(0), thing(1, 2)]), **FOUR,
           "test.json": coco(["c.jpg", "d.jpg"], [thing(0), thing(1, 2)])}, READ, "train 2, test 2"),
    check("no `bbox`", "coco:t.json" + HALF, {"t.json": whole().replace('"bbox": [1, 1, 5, 5]', '"x": 0'), **FOUR}, READ),
    check("`bbox` that is null", "coco:t.json" + HALF, {"t.json": whole(bbox=None), **FOUR}, READ),
    check("`bbox` that is empty", "coco:t.json" + HALF, {"t.json": whole(bbox=[]), **FOUR}, READ),
    check("`iscrowd` false", "coco:t.json" + HALF, {"t.json": whole(iscrowd=False), **FOUR}, READ),
    check("ids that are texts", "coco:t.json" + HALF, {"t.json": TEXT_IDS, **FOUR}, READ),
    check("absolute file names of another machine", "coco:t.json" + HALF, {"t.json": ABSOLUTE, **FOUR}, READ),
    check("`../` in a file name", "coco:t.json", {"t.json": whole().replace("a.jpg", "../../a.jpg"), **below("x")},
          "t.json", "outside", code=2),
    check("an image that is not there", "coco:t.json" + HALF, {"t.json": whole().replace("a.jpg", "gone.jpg"), **FOUR},
          "1 of 4 image files are missing", code=2),
    check("a category that is not listed", "coco:t.json", {"t.json": coco(FOUR, [thing(0, 9)]), **FOUR}, "t.json", "9", code=2),
    check("no `categories`", "coco:t.json", {"t.json": coco(FOUR, [thing(0)], categories=[]), **FOUR}, "t.json", code=2),
    check("JSON that breaks off", "coco:t.json", {"t.json": whole()[:200], **FOUR}, "t.json", code=2),
    check("a list of detections in place of annotations", "coco:t.json", {"t.json": "[]", **FOUR}, "t.json", code=2),
    check("a folder without annotations", "coco:x", below("x"), "expected", code=2),
)  # fmt: skip


def voc(*objects, more="") -> str:
    things = "".join(f"<object><name>{name}</name>{rest}</object>" for name, rest in objects)
    return f"<annotation>{things}{more}</annotation>"


BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
POLYGON = "<polygon><x1>1</x1><y1>1</y1><x2>9</x2><y2>1</y2><x3>9</x3><y3>9</y3></polygon>"
IDS = ("a", "b", "c", "d")


def devkit(first=None, *, names=("cat", "dog"), lists=None, ids=IDS, classes="cat\ndog\n") -> dict:
    """A folder in VOC layout; ``first`` is the first image's annotation."""
    files = {f"V/Annotations/{i}.xml": voc((names[n % 2], BOX)) for n, i in enumerate(ids)}
    if first is not None:
        files[f"V/Annotations/{ids[0]}.xml"] = first
    files |= {f"V/JPEGImages/{i}.jpg": picture(n) for n, i in enumerate(ids)}
    lists = lists or {"train": ids[:2], "test": ids[2:]}
    files |= {f"V/ImageSets/Main/{k}.txt": "".join(f"{i}\n" for i in v) for k, v in lists.items()}
    return files | ({"V/classes.txt": classes} if classes else {})


VOC = (
    check("lists and XML", "voc:V", devkit(), READ, "train 2, test 2"),
    check("own classes without `classes.txt`", "voc:V", devkit(names=("kitten", "puppy"), classes=""), "kitten 2, puppy 2"),
    check("ids with blanks", "voc:V", devkit(ids=("a 1", "b", "c", "d")), READ),
    check("CVAT's `default.txt` and `labelmap.txt`", "voc:V" + HALF, {**devkit(lists={"default": IDS}, classes=""),
          "V/labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,1,1::\ndog:2,2,2::\n"}, READ),
    check("`xmin` of -1", "voc:V", devkit(voc(("cat", BOX.replace("<xmin>1", "<xmin>-1")))), READ),
    check("a polygon alone", "voc:V", devkit(voc(("cat", POLYGON))), READ),
    check("`difficult` as `False`", "voc:V", devkit(voc(("cat", f"<difficult>False</difficult>{BOX}"))), READ),
    check("an object without a box", "voc:V", devkit(voc(("cat", ""))), "cat"),
    check("difficult objects alone", "voc:V", devkit(voc(("cat", f"<difficult>1</difficult>{BOX}"))), "cat 1, dog 2; unknown 1"),
    check("an object of no class", "voc:V", devkit(voc(("fish", BOX))), "fish", code=2),
    check("XML that breaks off", "voc:V", devkit("<annotation><object>"), "a.xml", code=2),
    check("XML that declares entities", "voc:V", devkit('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'), "entities", code=2),
    check("an annotation that is not there", "voc:V", {k: v for k, v in devkit().items() if k != "V/Annotations/a.xml"}, "a", code=2),
    check("the folder above", "voc:.", devkit(), "V", code=2),
    check("`years=2007` of a folder without it", "voc:.,years=2007", devkit(), "VOC2007", code=2),
)  # fmt: skip


def link(target):
    return lambda path: path.symlink_to(target)


FOLDERS = (
    check("a folder for each class", "folder:p" + HALF, {f"p/{c}/{n}.jpg": picture(10 * k + n) for k, c in enumerate(("cat", "dog")) for n in range(2)},
          READ, "labels = names of folders"),
    check("`train/cat`, `test/cat`", "folder:p", {f"p/{s}/{c}/1.jpg": picture(k) for k, (s, c) in enumerate(
          (s, c) for s in ("train", "test") for c in ("cat", "dog"))}, READ, "test 2, train 2"),
    check("the same picture in two classes", "folder:p" + HALF, {"p/cat/1.jpg": picture(1), "p/dog/1.jpg": picture(1),
          "p/cat/2.jpg": picture(2), "p/dog/3.jpg": picture(3)}, "cat 2, dog 2"),
    check("one class alone", "folder:p" + HALF, {f"p/cat/{n}.jpg": picture(n) for n in range(4)}, "cat 4"),
    check("`.ipynb_checkpoints` in a class", "folder:p" + HALF, {**below("p/cat"), "p/cat/.ipynb_checkpoints/a.jpg": picture(0), "p/dog/x.jpg": picture(9)},
          "cat 4, dog 1", "1 images in .ipynb_checkpoints are left out"),
    check("a linked folder", "folder:p" + HALF, {**below("more"), "p/cat": link("../more"), "p/dog/x.jpg": picture(9)}, "cat 4, dog 1"),
    check("`.jfif`, `.JPG`, `.jpeg`", "folder:p" + HALF, {"p/cat/1.jfif": picture(1), "p/cat/2.JPG": picture(2), "p/dog/3.jpeg": picture(3)}, "cat 2, dog 1"),
    check("HEIC, raw files and notes", "folder:p" + HALF, {**below("p/cat"), "p/cat/1.HEIC": "x", "p/cat/2.CR2": "x", "p/cat/notes.txt": "x", "p/dog/x.jpg": picture(9)},
          "1 HEIC files are left out", "pillow-heif", "1 raw files", "1 other files are left out: .txt (1)"),
    check("images without folders of classes", "folder:p", below("p"), "p", code=2),
    check("an empty folder", "folder:p", {"p/notes.txt": "x"}, "p", code=2),
    check("a folder that is not there", "folder:none", {}, "none", code=2),
    check("Hugging Face's `metadata.csv`", "folder:p" + HALF, {**below("p"), "p/metadata.csv": "file_name,labels\na.jpg,cat\nb.jpg,cat|dog\nc.jpg,dog\nd.jpg,\n"}, "cat 2, dog 2"),
    check("Hugging Face's `metadata.jsonl`", "folder:p" + HALF, {**below("p"), "p/metadata.jsonl": "".join(
          json.dumps({"file_name": n, "labels": ["cat"]}) + "\n" for n in FOUR)}, "cat 4"),
    check("Roboflow's `_classes.csv` in each part", "folder:p", {"p/train/a.jpg": picture(0), "p/valid/b.jpg": picture(1),
          "p/train/_classes.csv": "filename, cat, dog\na.jpg, 1, 0\n", "p/valid/_classes.csv": "filename, cat, dog\nb.jpg, 0, 1\n"}, "cat 1, dog 1; train 1, test 1"),
    check("the folder without `folder:`", "p", {"p/cat/1.jpg": picture(1), "p/dog/2.jpg": picture(2)}, "write folder:p", code=2),
)  # fmt: skip

YAML = "train: train/images\nval: valid/images\nnames: [cat, dog]\n"
YOLO_FILES = {"data.yaml": YAML, "train/images/a.jpg": picture(0), "valid/images/b.jpg": picture(1),
              "train/labels/a.txt": "0 0.5 0.5 1 1\n", "valid/labels/b.txt": "1 0.5 0.5 1 1\n"}  # fmt: skip
XML = ('<annotations><image name="a.jpg" subset="train"><tag label="cat"/></image>'
       '<image name="b.jpg" subset="test"><box label="dog" xtl="-1" ytl="0" xbr="9" ybr="9"/></image></annotations>')  # fmt: skip


def tasks(*names, short=False) -> str:
    results = [[{"type": "choices", "value": {"choices": list(names)}}]]
    if short:
        return json.dumps(
            [
                {
                    "id": n,
                    "image": f"/data/upload/1/1234abcd-{n}.jpg",
                    "choice": {"choices": list(names)},
                }
                for n in range(12)
            ]
        )
    return json.dumps([{"id": n, "data": {"image": f"/data/upload/1/1234abcd-{n}.jpg"}, "annotations": [{"result": r} for r in results]} for n in range(12)])  # fmt: skip


FIFTYONE = json.dumps({"classes": ["cat", "dog"], "labels": {str(n): n % 2 for n in range(12)}})
SAMPLES = [{"filepath": f"data/{n}.jpg", "tags": ["test" if n % 2 else "train"],
            "truth": {"_cls": "Classification", "label": "cat"}} for n in range(12)]  # fmt: skip
TOOLS = (
    check("YOLO's `data.yaml`", "yolo:.", YOLO_FILES, "cat 1, dog 1; train 1, test 1"),
    check("`names` as numbered lines", "yolo:.", {**YOLO_FILES, "data.yaml": YAML.replace("[cat, dog]", "\n  0: cat\n  1: dog")}, "cat 1, dog 1"),
    check("an image without a text file", "yolo:.", {k: v for k, v in YOLO_FILES.items() if k != "train/labels/a.txt"}, "cat 0, dog 1"),
    check("a class number too high", "yolo:.", {**YOLO_FILES, "train/labels/a.txt": "7 0.5 0.5 1 1\n"}, "a.txt:1: expected a class from 0 to 1, found 7", code=2),
    check("a folder without `data.yaml`", "yolo:x", below("x"), "expected data.yaml, classes.txt or obj.names", code=2),
    check("CVAT for images: a tag, a box that begins outside", "cvat:.", {"annotations.xml": XML, **FOUR}, "cat 1, dog 1; train 1, test 1"),
    check("CVAT for video", "cvat:.", {"annotations.xml": "<annotations><track/></annotations>"}, "tracks of a video", code=2),
    check("VOC's XML given to `cvat:`", "cvat:.", {"annotations.xml": "<annotation/>"}, "annotation", code=2),
    check("Label Studio, JSON", "label-studio:p.json" + HALF, {"p.json": tasks("cat", "dog"), **below("images", TWELVE)}, "cat 12, dog 12"),
    check("Label Studio, JSON-MIN", "label-studio:p.json" + HALF, {"p.json": tasks("cat", short=True), **below("images", TWELVE)}, "cat 12"),
    check("Label Studio, an object in place of a list", "label-studio:p.json", {"p.json": "{}"}, "expected a list of tasks", code=2),
    check("FiftyOne's `labels.json`", "fiftyone:." + HALF, {"labels.json": FIFTYONE, **below("data", TWELVE)}, "cat 6, dog 6"),
    check("FiftyOne's `samples.json`", "fiftyone:.", {"samples.json": json.dumps({"samples": SAMPLES}), **below("data", TWELVE)}, "cat 12; train 6, test 6"),
    check("FiftyOne, a label that is no class", "fiftyone:.", {"labels.json": FIFTYONE.replace('"0": 0', '"0": 5'), **below("data", TWELVE)}, "labels.json", code=2),
    check("the authors' lists", "list:train.txt,test=test.txt,classes=2", {"train.txt": "a.jpg 1 0\nb.jpg 0 1\n", "test.txt": "c.jpg 1 1\n", **FOUR}, "train 2, test 1"),
    check("a list with a word for a label", "list:train.txt,classes=2", {"train.txt": "a.jpg 1 cat\n", **FOUR}, "train.txt:1", code=2),
    check("a flat list of NUS-WIDE with 80 labels", "nus-wide:all.txt", {"all.txt": "a.jpg " + "0 " * 79 + "1\n", **FOUR}, "all.txt:1", "81", code=2),
)  # fmt: skip
