"""Further dialects of cells, columns, splits and files of tables."""
# ruff: noqa: E501  (a table of cases: one reads across)

import gzip
import json

from columns import NAMES, column, flags, hot
from label_cells import cells, plain
from workshop import FOUR, PARTS, check, picture, refused

READ = "cat 2, dog 1, sofa 2; train 2, test 2"
HOT = "cat 2, dog 2; train 2, test 2"
TWO = "cat 2, dog 2"


def pair(mark) -> str:
    """``cat`` and ``dog`` joined by something, and alone."""
    return plain(f"cat{mark}dog", "cat", "dog", f"dog{mark}cat")


def joined(name, mark, word):
    """A column whose names may be parted by something unusual."""
    return refused(f"`{name}`", pair(mark), "may be 'cat' and 'dog'", f"label_separator={word}")


CELLS = (
    check("NumPy 2's `[np.str_('cat')]`", cells(lambda t: f"[{', '.join(f'np.str_({n!r})' for n in t)}]"), READ, "lists"),
    check("a Python frozenset", cells(lambda t: repr(frozenset(t))), READ, "lists"),
    check("JSON in JSON", cells(lambda t: json.dumps(json.dumps(t))), READ, "lists"),
    check("`[cat; sofa]`", cells(lambda t: f"[{'; '.join(t)}]"), READ),
    check("`{\"cat\": 1, \"sofa\": 0}`", cells(lambda t: json.dumps({n: int(n in t) for n in ("cat", "sofa", "dog")})), READ),
    check("pairs of a name and 1 or 0", cells(lambda t: json.dumps([[n, int(n in t)] for n in ("cat", "sofa", "dog")])), READ),
    refused("names with probabilities in JSON", cells(lambda t: json.dumps(dict.fromkeys((*t, "cat"), 0.5))), "column 'labels'", "each with 1 or 0, found cat: 0.5"),
    refused("`cat:1;dog:0`", plain("cat:1;dog:0", "cat:1;dog:1", "cat:0;dog:1", "cat:0;dog:0"), "'cat:0': a name with a number behind it"),
    refused("`cat (0.9); dog (0.8)`", plain("cat (0.9); dog (0.8)", "cat (0.7)", "dog (0.3)", ""), "a name with a number behind it"),
    refused("a name and its score, `('cat', 0.9)`", plain("('cat', 0.9)", "('dog', 0.8)", "('cat', 0.7)", ""), "'0.7': a number among names"),
    refused("a list that breaks off", plain("['cat', 'sofa'", "['cat']", "['sofa']", "[]"), "a part of a list"),
    refused("`-dog` beside `dog`", plain("cat;-dog", "dog;-cat", "cat", "dog"), "'-cat': the denial of the name 'cat'"),
    refused("`#REF!`", plain("#REF!", "cat", "dog", "cat"), "an error of a spreadsheet"),
    refused("`cat &amp; dog`", plain("cat &amp; dog", "cat", "dog", "cat"), "a sign as HTML writes it"),
    joined("cat:dog", ":", "colon"), joined("cat_dog", "_", "underscore"), joined("#cat#dog", "#", "hash"),
    joined("cat<br>dog", "<br>", "<br>"), joined("cat\u00b7dog", "\u00b7", "\u00b7"),
    check("names that only share a part, `hot-dog` beside `dog`", plain("hot-dog", "dog", "cat", "hot-dog"), "cat 1, dog 1, hot-dog 2"),
    check("Arabic commas", cells("\u060c ".join), READ),
    check("curly quotes", cells(lambda t: "; ".join(f"\u201c{n}\u201d" for n in t)), READ),
    check("a spreadsheet's `=\"cat\"`", plain('="cat"', '="dog"', '="cat"', '="dog"'), TWO),
    check("pandas' `3.0` for a class number", plain("3.0", "7.0", "3.0", ""), "3 2, 7 1", "all tags are numbers"),
    check("no tag as an em dash, `(null)`, `\\\\N`", plain("cat", "\u2014", "(null)", "\\N"), "cat 1;", "no tag"),
    check("`unknown` and `?`", plain("unknown", "cat", "dog", "?"), "1 cells say 'unknown': taken as a class (ignore=unknown leaves it out)"),
    *(refused(f"a vector as `{given}`", plain(*values), "found lists of 3 zeros and ones") for given, values in (
        ("1 0 1", ("1 0 1", "0 1 0", "1 1 0", "0 0 1")), ("1,0,1", ("1,0,1", "0,1,0", "1,1,0", "0,0,1")),
        ("101", ("101", "010", "110", "001")), ("[1. 0. 1.]", ("[1. 0. 1.]", "[0. 1. 0.]", "[1. 1. 0.]", "[0. 0. 1.]")))),
    refused("`label_separator=semicolons`", plain("cat;dog", "cat", "dog", "cat"), "unknown label_separator 'semicolons'", "'semicolon'",
            spec="csv:t.csv,label_separator=semicolons"),
    check("a separator that no cell holds", plain("cat;dog", "cat", "dog", "cat"), "no cell holds '|'", spec="csv:t.csv,label_separator=|"),
)  # fmt: skip

COLUMNS = (
    *(refused(f"a column `{name}` of 1 and 0 among classes", hot(more=[(name, (0, 1, 0, 1))]), f"column '{name}' may be about the image",
              f"ignore={name}, or write class:{name}") for name in ("quality", "has_label", "is_bad")),
    check("the same, `ignore=quality`", hot(more=[("quality", (0, 1, 0, 1))]), HOT, spec="csv:t.csv,ignore=quality"),
    check("a class `class:quality`", hot(more=[("class:quality", (0, 1, 0, 1))]), "quality 2, cat 2, dog 2"),
    check("`video_id` of 1 and 0", hot(more=[("video_id", (0, 1, 0, 1))]), HOT, "left out: video_id"),
    *(check(f"a column `{name}` that says train and test", column(name, PARTS), "train 2, test 2", f"split = {name}")
      for name in ("train_test", "role", "splits")),
    check("Kaggle's `Usage`", column("Usage", ("Training", "Training", "PublicTest", "PrivateTest")), "train 2, test 2", "split = Usage"),
    check("`in_test`", flags(("in_test",), ((0,), (0,), (1,), (1,))), HOT, "split = in_test"),
    refused("folds in `fold_id`", column("fold_id", (0, 1, 2, 0)), "column 'fold_id' may be the split", "split=fold_id,test=2"),
    check("`train2017`, `val2017`", column("split", ("train2017", "train2017", "val2017", "val2017")), "train 2, test 2", "split 'val2017' is val"),
    check("an `unlabeled` split", column("split", ("unlabeled", "train", "test", "test")), "split 'unlabeled' is neither trained on nor evaluated"),
    check("`test=test` where the table says `TEST`", column("split", ("train", "train", "TEST", "TEST")), "train 2, test 2", spec="csv:t.csv,test=test"),
    refused("`test=0.2`", column("split", ("train",) * 4), "test=0.2 names no split", "drawn by test=20%", spec="csv:t.csv,test=0.2"),
    refused("`test=more.csv` that is not there", column("split", PARTS), "expected a file for csv: test", "more.csv, found none", spec="csv:t.csv,test=more.csv"),
)  # fmt: skip

BY_IMAGE = json.dumps({n: ["cat", "dog"] if n == "a.jpg" else ["cat"] for n in FOUR})
BY_COLUMN = json.dumps(
    {"path": dict(enumerate(NAMES)), "labels": dict(enumerate(("cat", "dog", "cat", "dog")))}
)
BY_PARTS = json.dumps({"columns": ["path", "labels"], "data": [[n, "cat"] for n in NAMES]})
AS_JSON = {"spec": "csv:t.json", "name": "t.json"}
FILES = (
    check("CSV packed by gzip", gzip.compress(hot().encode(), mtime=0), HOT, spec="csv:t.csv.gz", name="t.csv.gz"),
    refused("gzip that breaks off", gzip.compress(hot().encode(), mtime=0)[:30], "t.csv.gz: cannot be read", spec="csv:t.csv.gz", name="t.csv.gz"),
    check("UTF-32", hot().encode("utf-32"), HOT),
    check("a title above the header", "My tags,,,\n" + hot(), HOT, "1 lines above the header are left out, first 'My tags'"),
    check("a remark above the header", "# exported\n" + hot(), HOT, "1 lines above the header"),
    check("tables put together, each with its header", hot() + "path,split,cat,dog\ne.jpg,test,1,0\n", "cat 3, dog 2; train 2, test 3", "the header stands 1 times more", files={"e.jpg": picture(9)}),
    check("a cell of 300,000 characters", "path,labels\na.jpg," + "cat;" * 75_000 + "\nb.jpg,dog\n", "cat 1, dog 1"),
    refused("blanks between columns", "path labels\na.jpg cat\n", "delimiter=space"),
    check("the same, `delimiter=space`", "path labels\na.jpg cat\nb.jpg dog\n", "cat 1, dog 1", spec="csv:t.csv,delimiter=space"),
    refused("a web page saved as `t.csv`", "<html><body>login</body></html>", "expected a table, found a web page"),
    check("JSON lines named `.csv`", "".join(json.dumps({"file_name": n, "labels": ["cat"]}) + "\n" for n in FOUR), "cat 4"),
    check("JSON by image, `{\"a.jpg\": [...]}`", BY_IMAGE, "cat 4, dog 1", **AS_JSON),
    check("JSON by column, as pandas writes it", BY_COLUMN, TWO, **AS_JSON),
    check("JSON of `columns` and `data`", BY_PARTS, "cat 4", **AS_JSON),
    check("JSON with a list below a name", json.dumps({"data": [{"path": n, "labels": "cat"} for n in FOUR]}, indent=1), "cat 4", **AS_JSON),
    refused("JSON of something else", json.dumps({"model": "x", "epochs": 3}), "found an object with model, epochs", **AS_JSON),
    refused("COCO's annotations", json.dumps({"images": [], "annotations": [], "categories": []}), "write coco:", **AS_JSON),
)  # fmt: skip
