"""Further exports, folders and words after ``predict``."""
# ruff: noqa: E501  (a table of cases: one reads across)

import json
import os

from exports import (
    BOX,
    CATEGORIES,
    HALF,
    READ,
    YAML,
    YOLO_FILES,
    below,
    check,
    coco,
    devkit,
    thing,
    voc,
    whole,
)
from verbs import predict
from workshop import FOUR, picture

NO_THINGS = json.dumps(
    {"images": [{"id": n, "file_name": f} for n, f in enumerate(FOUR)], "categories": CATEGORIES}
)
SAME = [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]


def one(given, text, *right, **options):
    """A COCO file beside its images."""
    return check(given, "coco:t.json" + HALF, {"t.json": text, **FOUR}, *right, **options)


COCO = (
    one("no `annotations`", NO_THINGS, "t.json has no annotations: none of its images has a tag"),
    one("two categories of one name", coco(FOUR, [thing(n, 1 + n % 2) for n in range(4)], categories=SAME), "cat 4", "names a category twice"),
    one("names of categories with blanks around", whole().replace('"cat"', '" cat "'), "cat 2, dog 2"),
    one("names of categories that are numbers", whole().replace('"cat"', "1"), "1 2, dog 2"),
    one("a byte order mark", "\ufeff" + whole(), READ),
    one("packed", b"\x1f\x8b packed", "expected JSON, found a packed file", code=2),
    one("file names without ending", whole().replace(".jpg", ""), READ),
    check("`test=FILE` that is not there", "coco:t.json,test=v.json", {"t.json": whole(), **FOUR}, "expected a file for coco: test", code=2),
)  # fmt: skip
NAMESPACE = voc(("cat", BOX)).replace("<annotation>", '<annotation xmlns="http://x">')
VOC = (
    check("XML with a namespace", "voc:V", devkit(NAMESPACE), READ),
    check("XML of another kind", "voc:V", devkit("<root/>"), "expected <annotation>", "found <root>", code=2),
    check("lists of paths", "voc:V", devkit(lists={"train": ("JPEGImages/a.jpg", "/x/b.jpg"), "test": ("c", "d")}), READ),
    check("images in another folder", "voc:V", {k.replace("JPEGImages", "pics"): v for k, v in devkit().items()}, "name the folder of the images JPEGImages", code=2),
)  # fmt: skip


def tree(*paths, **more) -> dict:
    return {f"p/{path}": picture(n) for n, path in enumerate(paths)} | more


def split_tree(*extra) -> dict:
    return tree(*(f"{s}/{c}/1.jpg" for s in ("train", "test") for c in ("cat", "dog")), *extra)


FOLDERS = (
    check("`train/1.jpg`, `test/2.jpg` without classes", "folder:p", tree("train/1.jpg", "test/2.jpg"), "names a split", code=2),
    check("the same, and a table", "folder:p", {**tree("train/1.jpg", "test/2.jpg"), "p/train.csv": "id,label\n1,cat\n"}, "write csv:", "p/train.csv", code=2),
    check("folders of splits, and one of documents", "folder:p", split_tree("docs/x.jpg"), READ, "1 images in docs lie in no split: left out"),
    check("folders of splits, and `extra/cat`", "folder:p", split_tree("extra/cat/9.jpg"), "split 'extra' is neither trained on nor evaluated"),
    check("`cat/train`, `cat/test`", "folder:p", tree(*(f"{c}/{s}/1.jpg" for s in ("train", "test") for c in ("cat", "dog"))), READ, "split = folders below"),
    check("a class `train` among vehicles", "folder:p" + HALF, tree("train/1.jpg", "car/2.jpg", "bus/3.jpg"), "bus 1, car 1, train 1"),
    check("a folder `unlabeled`", "folder:p" + HALF, tree("cat/1.jpg", "dog/2.jpg", "unlabeled/3.jpg"), "cat 1, dog 1;", "the folder 'unlabeled' is no class"),
    check("a folder `cat,dog`", "folder:p" + HALF, tree("cat/1.jpg", "dog/2.jpg", "cat,dog/3.jpg"), "the folder 'cat,dog' is one class, though there are 'cat' and 'dog'"),
    check("a table of another name", "folder:p", {**below("p"), "p/labels.csv": "file_name,label\na.jpg,cat\n"}, "write csv:", "p/labels.csv", code=2),
)  # fmt: skip


def yolo(given, *right, code=0, **changes):
    """A data set of YOLO with other files; ``yaml`` is data.yaml, others are labels of images."""
    files = {**YOLO_FILES, "data.yaml": changes.pop("yaml", YAML), **changes.pop("files", {})}
    return check(given, "yolo:.", files, *right, code=code)


TOOLS = (
    yolo("`nc` that is not the number of names", "as many names as 'nc' says, 5, found 2", yaml="nc: 5\n" + YAML, code=2),
    yolo("names escaped as PyYAML does", "\u732b 1, caf\u00e9 1", yaml=YAML.replace("[cat, dog]", '["\\u732b", "caf\\xe9"]')),
    yolo("no text file at all", "found none for 2 images", "train/labels/a.txt", files={"train/labels/a.txt": None, "valid/labels/b.txt": None}, code=2),
    yolo("class 1.5", "a.txt:1: expected a class number", files={"train/labels/a.txt": "1.5 0.5 0.5 1 1\n"}, code=2),
    check("`labels/classes.txt`", "yolo:." + HALF, {**below("images"), "labels/classes.txt": "cat\ndog\n", "labels/a.txt": "0 .5 .5 1 1\n"}, "cat 1, dog 0"),
    check("CVAT, a label with blanks around", "cvat:.", {"annotations.xml": '<annotations><image name="a.jpg" subset="train"><tag label=" cat "/></image>'
          '<image name="b.jpg" subset="test"><tag label="cat"/></image></annotations>', **FOUR}, "cat 2; train 1, test 1"),
)  # fmt: skip


def hold_open(path) -> None:
    """A pipe whose ends are held, so that writing to it does not wait."""
    os.mkfifo(path)
    os.open(path, os.O_RDWR)


PREDICT = (
    predict("an empty word, as of a variable that is not set", "''", "found an empty word", code=2),
    predict("`--out` on a folder", "p --out p --format csv", "--out p is a folder", "p/labels.csv", code=2),
    predict("`--json --out x.csv`", "p --json --out x.csv", "--json is short for --format jsonl, but the suffix says csv", gone=("x.csv",), code=2),
    predict("`--json --format csv`", "p --json --format csv", "but --format says csv", code=2),
    predict("`--threads -1`", "p --threads -1", "at least 0, found -1", code=2),
    predict("`--out` on a pipe, which stays one", "p/a.jpg --out pipe --format csv", "written: pipe, 1 images labelled", files={"pipe": hold_open}),
    predict("`--out` on a link to a photograph", "p --out x.csv", "did not write", files={"x.csv": lambda path: path.symlink_to("p/a.jpg")}, stays=("p/a.jpg",), code=2),
    predict("`--draw` through a link to the photographs", "p --draw d", "would replace the image itself", files={"d": lambda path: path.symlink_to("p")}, stays=("p/a.jpg",), code=2),
)  # fmt: skip
