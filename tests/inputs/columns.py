"""Columns of tables: images, classes, splits, what is neither, and how a file is written."""
# ruff: noqa: E501  (a table of cases: one reads across)

import json

from workshop import FOUR, PARTS, check, refused, table

READ = "cat 2, dog 2; train 2, test 2"
NAMES = tuple(FOUR)
ONE_HOT = ((1, 0), (0, 1), (1, 1), (0, 0))


def hot(yes="1", no="0", *, path="path", split="split", parts=PARTS, mark=",", more=()) -> str:
    """Columns cat and dog of the four images; ``more`` are (header, cells) further columns."""
    head = (path, *(name for name, _ in more), split, "cat", "dog")
    rows = [
        (name, *(values[n] for _, values in more), part, *(yes if v else no for v in values_of))
        for n, (name, part, values_of) in enumerate(zip(NAMES, parts, ONE_HOT, strict=True))
    ]
    return table(head, *rows, mark=mark)


def column(header, values) -> str:
    """One column of tags beside the path."""
    return table(
        ("path", "labels", header), *zip(NAMES, ("cat", "dog", "cat", "dog"), values, strict=True)
    )


def flags(header, values, **options) -> str:
    """Columns of yes and no about the split, and cat and dog."""
    rows = ((n, *v, *c) for n, v, c in zip(NAMES, values, ONE_HOT, strict=True))
    return table(("path", *header, "cat", "dog"), *rows)


def parquet(path) -> None:
    import pyarrow as pa
    from pyarrow import parquet as pq

    rows = [
        {"file_name": n, "labels": ["cat"], "split": p} for n, p in zip(NAMES, PARTS, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


LINES = [{"file_name": n, "labels": ["cat", "dog"] if n == "a.jpg" else ["cat"], "split": p}
         for n, p in zip(NAMES, PARTS, strict=True)]  # fmt: skip
FOLDS = column("fold", (0, 1, 2, 0))
TWO_SPLITS = hot(more=[("is_valid", (0, 0, 1, 1))])

COLUMNS = (
    check("columns of 1 and 0", hot(), READ),
    check("`True` and `False`", hot("True", "False"), READ),
    check("`1.0` and `0.0`", hot("1.0", "0.0"), READ),
    check("`yes` and `no`", hot("yes", "no"), READ),
    check("`x` and nothing", hot("x", ""), READ),
    refused("1 and -1 without any 0", hot("1", "-1"), "-1 may mean unknown, as here, or absent", "minus=unknown, or minus=absent"),
    check("the same, `minus=unknown`", hot("1", "-1"), "unknown 4", spec="csv:t.csv,minus=unknown"),
    check("the same, `minus=absent`", hot("1", "-1"), READ, spec="csv:t.csv,minus=absent"),
    check("empty cells beside zeros", table(("path", "split", "cat", "dog"), ("a.jpg", "train", 1, ""),
          ("b.jpg", "test", 0, 1)), "unknown 1"),
    check("the same, `empty=absent`", table(("path", "split", "cat", "dog"), ("a.jpg", "train", 1, ""),
          ("b.jpg", "test", 0, 1)), "cat 1, dog 1; train 1", spec="csv:t.csv,empty=absent"),
    check("CheXpert: 1.0, 0.0, -1.0 and empty cells, Sex, Age, AP/PA", table(
          ("Path", "Sex", "Age", "AP/PA", "Edema", "Fracture"), ("a.jpg", "Male", 63, "AP", "1.0", ""),
          ("b.jpg", "Female", 50, "", "-1.0", "0.0")), "left out: Age, AP/PA", "Edema 1, Fracture 0; unknown 1",
          spec="csv:t.csv,split=Sex,test=Female"),
    refused("`perhaps` in a column of 1 and 0", hot().replace("a.jpg,train,1", "a.jpg,train,perhaps"),
            "t.csv:2:3", "'perhaps'", "1 (present)"),
    check("fastai's `is_valid`", flags(("is_valid",), ((0,), (0,), (1,), (1,))), READ, "split = is_valid"),
    check("`is_valid` as True and False", flags(("is_valid",), (("False",), ("False",), ("True",), ("True",))),
          READ, "split = is_valid"),
    check("`is_test`", flags(("is_test",), ((0,), (0,), (1,), (1,))), READ, "split = is_test"),
    check("`is_train`", flags(("is_train",), ((1,), (1,), (0,), (0,))), READ),
    check("columns `train` and `test`", flags(("train", "test"), ((1, 0), (1, 0), (0, 1), (0, 1))), READ),
    refused("`split` and `is_valid` that may both be the split", TWO_SPLITS, "may both be the split", "split="),
    check("the same, `split=split`", TWO_SPLITS, READ, "left out: is_valid", spec="csv:t.csv,split=split"),
    refused("`path,label` with 1 and 0", table(("path", "label", "split"), *zip(NAMES, (1, 0, 1, 0), PARTS, strict=True)),
            "holds 1 and 0 only", "classes=label or labels=label"),
    check("the same, `classes=label`", table(("path", "label", "split"), *zip(NAMES, (1, 0, 1, 0), PARTS, strict=True)),
          "label 2; train 2, test 2", spec="csv:t.csv,classes=label"),
    check("`Unnamed: 0` with 0 and 1", hot(more=[("Unnamed: 0", (0, 1, 0, 1))]), READ, "left out: Unnamed: 0"),
    check("an index without a name", hot(more=[("", (0, 1, 2, 3))]), READ, "left out: (column 2)"),
    check("`id`, `width`, `height`, `url`", hot(more=[("id", "abcd"), ("width", "1111"), ("height", "1010"),
          ("url", ["http://x/a"] * 4)]), READ, "left out: id, width, height, url"),
    check("a column `group` beside `split`", hot(more=[("group", (1, 0, 1, 0))]), READ, "left out: group"),
    refused("a column `group` with 1 and 0, no split", "path,group,cat\na.jpg,1,1\nb.jpg,0,0\n", "'group' holds 1 and 0 only"),
    check("`ignore=dog`", hot(), "cat 2; train 2", "dog", spec="csv:t.csv,ignore=dog"),
    check("`classes=dog,cat`", hot(), "dog 2, cat 2", spec="csv:t.csv,classes=dog,cat"),
    refused("`ignore=dgo`", hot(), "unknown class 'dgo'", "'dog'", spec="csv:t.csv,ignore=dgo"),
    refused("an option that does not exist, `lables=x`", hot(), "'lables'", "'labels'", spec="csv:t.csv,lables=x"),
    check("Roboflow's `filename, cat, dog`", "filename, cat, dog\n" + "".join(
          f"{n}, {n in 'a.jpgc.jpg':d}, {n in 'b.jpgc.jpg':d}\n" for n in NAMES), "cat 2, dog 2", "path = filename"),
    *(check(f"images in a column `{name}`", hot(path=name), READ, f"path = {name}")
      for name in ("filename", "file_name", "image", "image_id", "Path", "img", "Image Index")),
    check("names without ending", hot().replace(".jpg", ""), READ),
    check("images in a folder beside the table", hot(), READ, "images are in the folder photos",
          files={**dict.fromkeys(NAMES), **{f"photos/{n}": c for n, c in FOUR.items()}}),
    check("Windows' `photos\\a.jpg`", hot().replace("a.jpg", "photos\\a.jpg"), READ, files={"photos/a.jpg": FOUR["a.jpg"]}),
    check("absolute paths of another machine, `root=.`", hot().replace("a.jpg", "/data/x/a.jpg"), READ,
          "named by a place elsewhere", spec="csv:t.csv,root=."),
    refused("no column that names images", hot(path="what"), "t.csv:1", "'path'"),
    refused("a class named twice", hot().replace("cat,dog", "cat,cat"), "t.csv:1", "cat"),
    refused("an image named twice that says two things", hot() + "a.jpg,test,1,0\n", "t.csv:6", "t.csv:2"),
    refused("a row with a cell too few", hot().replace("a.jpg,train,1,0", "a.jpg,train,1"), "t.csv:2", "expected 4 cells"),
    refused("a row with a cell too many", hot().replace("a.jpg,train,1,0", "a.jpg,train,1,0,1"), "t.csv:2", "expected 4 cells"),
    refused("an image that is not there", hot().replace("a.jpg", "gone.jpg"), "gone.jpg: image file is missing"),
    check("the same, `missing=drop`", hot().replace("a.jpg", "gone.jpg"), "train 1, test 2", spec="csv:t.csv,missing=drop"),
    refused("a header alone", "path,labels,split\n", "t.csv"),
    refused("an empty file", "", "t.csv"),
    refused("a class file that lacks a class", hot(), "unknown class 'dog'", files={"t.csv.classes.txt": "cat\nfish\n"}),
)  # fmt: skip

SPLITS = (
    check("`train`, `val` and `test`", column("split", ("train", "val", "test", "test")), "train 1, val 1, test 2"),
    check("`Training`, `valid`, `testing`", column("split", ("Training", "valid", "testing", "testing")),
          "train 1, val 1, test 2", "split 'Training' is train"),
    check("`Train` and `Test ` with a blank", column("split", ("Train", "Train", "Test ", "Test ")), "train 2, test 2"),
    check("`train` and `val` alone", column("split", ("train", "train", "val", "val")), "train 2, test 2",
          "no test images: the split val is the test part"),
    check("no split", hot(more=()).replace(",split", "").replace(",train", "").replace(",test", ""),
          "% test, by a hash of the path"),
    check("`train` alone", column("split", ["train"] * 4), "no test images, only train", "test=20%", needs=True),
    check("the same, `test=50%`", column("split", ["train"] * 4), "test", "by a hash of the path",
          spec="csv:t.csv,test=50%"),
    check("`test` alone", column("split", ["test"] * 4), "no train images, only test", "train=NAME", needs=True),
    check("a split `extra`", column("split", ("train", "test", "extra", "extra")),
          "split 'extra' is neither trained on nor evaluated (2 images)"),
    refused("folds that are only numbered", FOLDS, "none of its values says train or test: 0, 1, 2", "split=fold,test=2"),
    check("the same, `split=fold,test=2`", FOLDS, "train 3, test 1", spec="csv:t.csv,split=fold,test=2"),
    refused("`test=nosuch`", column("split", PARTS), "test=nosuch names no split", spec="csv:t.csv,test=nosuch"),
    refused("`test=0%`", column("split", PARTS), "from 1% to 99%", spec="csv:t.csv,test=0%"),
    refused("a row without a split among others", column("split", ("train", "", "test", "test")), "t.csv:3:3", "expected a split"),
    check("a table for the test part, `test=more.csv`", table(("path", "labels"), ("a.jpg", "cat"), ("b.jpg", "dog")),
          "train 2, test 1", spec="csv:t.csv,test=more.csv", files={"more.csv": "path,labels\nc.jpg,dog\n"}),
    check("all test images without a tag", hot().replace("c.jpg,test,1,1", "c.jpg,test,0,0"), "no test image has a tag", needs=True),
    check("a class that never occurs in train", hot().replace("b.jpg,train,0,1", "b.jpg,train,1,0"),
          "1 classes never occur in train: dog; they cannot be learned", needs=True),
    check("a held-out part without a tag", column("split", ("train", "val", "test", "test")).replace("b.jpg,dog", "b.jpg,"),
          "none of the 1 held-out images has a tag", needs=True),
    check("four images in all", column("split", PARTS), "only 0 images are held out", "may stay at 0.5", needs=True),
)  # fmt: skip

FILES = (
    check("`;` between columns", hot(mark=";"), READ, "columns parted by ';'"),
    check("tabs between columns, `.tsv`", hot(mark="\t"), READ, spec="csv:t.tsv", name="t.tsv"),
    check("bars between columns", hot(mark="|"), READ),
    check("Excel's `sep=;` in the first line", "sep=;\n" + hot(mark=";"), READ),
    check("UTF-8 with a byte order mark", hot().encode("utf-8-sig"), READ),
    check("UTF-16 of a spreadsheet", hot().encode("utf-16"), READ),
    check("line ends of Windows", hot().replace("\n", "\r\n"), READ),
    check("line ends of old Macs", hot().replace("\n", "\r"), READ),
    check("no line end after the last row", hot().rstrip("\n"), READ),
    check("empty lines between rows", hot().replace("\n", "\n\n"), READ),
    refused("Latin-1 with an umlaut", column("split", PARTS).replace("cat", "k\u00e4tzchen").encode("latin-1"), "t.csv", "UTF-8"),
    refused("NUL bytes", hot().replace("cat", "c\0t"), "found NUL bytes at byte 12"),
    refused("a quote that never ends", hot().replace("a.jpg", '"a.jpg'), "t.csv"),
    refused("a JPEG named `t.csv`", FOUR["a.jpg"], "t.csv"),
    check("JSON lines", "\n".join(map(json.dumps, LINES)), "cat 4, dog 1; train 2, test 2", spec="csv:t.jsonl", name="t.jsonl"),
    check("a JSON list of objects", json.dumps(LINES), "cat 4, dog 1", spec="csv:t.json", name="t.json"),
    check("Parquet", parquet, "cat 4; train 2, test 2", spec="csv:t.parquet", name="t.parquet"),
    refused("JSON lines that break off", '{"file_name": "a.jpg"', "t.jsonl", spec="csv:t.jsonl", name="t.jsonl"),
    refused("Parquet that is none", "PAR1", "t.parquet", spec="csv:t.parquet", name="t.parquet"),
    refused("an Excel workbook", b"PK\x03\x04 workbook", "found a workbook or an archive", "CSV UTF-8", spec="csv:t.xlsx", name="t.xlsx"),
    refused("a table that is not there", "", "expected a CSV file", spec="csv:none.csv"),
    refused("a folder in place of a table", "", "photos", spec="csv:photos", files={"photos/a.jpg": FOUR["a.jpg"]}),
    check("the path alone", hot(), READ, spec="t.csv"),
    refused("the path of a JSON file alone", json.dumps(LINES), "expected the format before the path", "write csv:t.json or coco:t.json", spec="t.json", name="t.json"),
    refused("`cvs:t.csv`", hot(), "unknown data format 'cvs'", "csv", spec="cvs:t.csv"),
    refused("`csv` without a colon", hot(), "'csv:'", spec="csv"),
    refused("`csv:` without a path", hot(), "expected a path after 'csv:'", spec="csv:"),
    refused("`scenes:trian=5`", "", "'trian'", "Did you mean 'train'", spec="scenes:trian=5"),
    refused("`voc:` of an address in a store", "", "found the address", spec="voc:s3://bucket/voc"),
)  # fmt: skip
