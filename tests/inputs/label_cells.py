"""Tags in a table's cells, as people and programs write them."""
# ruff: noqa: E501  (a table of cases: one reads across)

import json

from workshop import FOUR, PARTS, check, refused, table

TAGS = (("cat", "sofa"), ("cat",), ("sofa", "dog"), ())
READ = "cat 2, dog 1, sofa 2; train 2, test 2"


def cells(cell, tags=TAGS, header="labels") -> str:
    """A table of the four images, each with what ``cell`` makes of its tags."""
    rows = ((name, cell(names), part) for name, names, part in zip(FOUR, tags, PARTS, strict=True))
    return table(("path", header, "split"), *rows)


def plain(*values, header="labels") -> str:
    """A table of the four images with these cells."""
    return table(("path", header, "split"), *zip(FOUR, values, PARTS, strict=True))


def raw(*lines) -> str:
    """A table written by hand."""
    return "".join(f"{line}\n" for line in lines)


ASKED = "label_separator=comma or label_separator=semicolon"

CASES = (
    check("`cat;sofa`", cells(";".join), READ, "split at ';'"),
    check("`cat; sofa`", cells("; ".join), READ, "split at ';'"),
    check("`cat|sofa`", cells("|".join), READ, "split at '|'"),
    check("`\"cat,sofa\"`", cells(",".join), READ, "split at ','"),
    check("`\"cat, sofa\"`", cells(", ".join), READ, "split at ','"),
    check("a list as pandas writes it, `\"['cat', 'sofa']\"`", cells(lambda t: repr(list(t))), READ),
    check("a list in JSON, `\"[\"\"cat\"\", \"\"sofa\"\"]\"`", cells(json.dumps), READ, "lists"),
    check("a Python tuple", cells(lambda t: repr(tuple(t))), READ, "lists"),
    check("a Python set", cells(lambda t: repr(set(t))), READ, "lists"),
    check("a list as NumPy prints it", cells(lambda t: f"[{' '.join(map(repr, t))}]"), READ),
    check("a list as PostgreSQL writes it, `{cat,sofa}`", cells(lambda t: f"{{{','.join(t)}}}"), READ),
    check("Label Studio's `{\"choices\": [...]}`", cells(lambda t: json.dumps({"choices": t})), READ),
    check("a line for each tag in one cell", cells("\n".join), READ, "split at line ends"),
    check("`cat;;sofa;`", plain("cat;;sofa;", "cat;", ";sofa;dog", ";"), READ),
    check("no tag as `nan`", cells(lambda t: ";".join(t) or "nan"), READ, "1 cells say 'nan': no tag"),
    check("no tag as `none`", cells(lambda t: ";".join(t) or "none"), READ, "'none': no tag"),
    check("no tag as `N/A`", cells(lambda t: ";".join(t) or "N/A"), READ, "no tag"),
    check("no tag as `-`", cells(lambda t: ";".join(t) or "-"), READ),
    check("no tag as `[]`", cells(lambda t: ";".join(t) or "[]"), READ),
    check("a quote after a blank", raw("path, labels, split", 'a.jpg, "cat; sofa", train',
          'b.jpg, "cat", train', 'c.jpg, "sofa;dog", test', "d.jpg, , test"), READ),
    check("wide commas of a Chinese keyboard", cells("\uff0c".join), READ),
    check("names in quotes of their own, `'cat'; 'sofa'`", cells(lambda t: "; ".join(map(repr, t))), READ),
    refused("`cat sofa` (Kaggle)", cells(" ".join), "'cat' and 'sofa', split at blanks, or one name",
            "label_separator=space"),
    check("the same, `label_separator=space`", cells(" ".join), READ,
          spec="csv:t.csv,label_separator=space"),
    check("names with blanks", plain("dining table", "dog", "dining table", "dog"), "dining table 2",
          "1 names hold blanks"),
    refused("`cat;dog` and `\"cat,dog\"` in one column", plain("cat;dog", "cat,dog", "cat", "dog"),
            "'cat' and 'dog', split at ','", ASKED),
    check("the same, `label_separator=;`", plain("cat;dog", "cat,dog", "cat", "dog"), "cat,dog 1",
          spec="csv:t.csv,label_separator=;"),
    refused("`cat/dog`", plain("cat/dog", "cat", "dog", "dog"), "may be 'cat' and 'dog'"),
    refused("`cat + dog`", plain("cat + dog", "cat", "dog", "dog"), "may be 'cat' and 'dog'"),
    refused("names that hold commas (ImageNet)", plain("tench, fish", "cock, bird", "drake, duck", "cat, pet"),
            "split at ',', or one name", "label_separator"),
    check("the same, `label_separator=none`", plain("tench, fish", "cock, bird", "tench, fish", "cock, bird"),
          "cock, bird 2, tench, fish 2", spec="csv:t.csv,label_separator=none"),
    refused("a list of zeros and ones", plain("[1, 0]", "[0, 1]", "[1, 1]", "[0, 0]"),
            "expected names of classes, found lists of 2 zeros and ones"),
    check("numbers for names", plain("3;7", "7", "3", "7"), "3 2, 7 3", "all tags are numbers"),
    check("`Sofa` beside `sofa`", plain("Sofa", "sofa", "sofa", "cat"), "Sofa 1",
          "differ in form only: 'Sofa' (1 images), 'sofa' (2 images)"),
    check("the same, `names=merge`", plain("Sofa", "sofa", "sofa", "cat"), "sofa 3, cat 1",
          spec="csv:t.csv,names=merge"),
    check("`cat` with a zero-width space", plain("cat\u200b", "cat", "cat", "dog"), "differ in form only"),
    check("`café` composed and decomposed", plain("caf\u00e9", "cafe\u0301", "cat", "cat"),
          "differ in form only"),
    check("a column `tags`", cells(";".join, header="tags"), READ, "labels = column tags"),
    check("a column `Finding Labels` (NIH)", cells("|".join, header="Finding Labels"), READ),
    check("a column `category`", cells(";".join, header="category"), READ),
    refused("tags in a column `animal`", cells(";".join, header="animal"), "labels=animal"),
    check("the same, `labels=animal`", cells(";".join, header="animal"), READ,
          spec="csv:t.csv,labels=animal"),
    check("columns `label1`, `label2`", table(("path", "label1", "label2", "split"),
          ("a.jpg", "cat", "sofa", "train"), ("b.jpg", "cat", "", "train"),
          ("c.jpg", "sofa", "dog", "test"), ("d.jpg", "", "", "test")), READ),
    check("one row for each label", table(("path", "label", "split"), ("a.jpg", "cat", "train"),
          ("a.jpg", "sofa", "train"), ("b.jpg", "cat", "train"), ("c.jpg", "sofa", "test"),
          ("c.jpg", "dog", "test"), ("d.jpg", "", "test")), READ, "2 rows name an image again"),
    check("Open Images' labels with `Confidence` 0 and 1", table(("ImageID", "LabelName", "Confidence", "split"),
          ("a", "cat", "1", "train"), ("a", "dog", "0", "train"), ("b", "cat", "1", "train"),
          ("c", "dog", "1", "test")), "cat 2, dog 1"),
    check("boxes of a detector, a row each", table(
          ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "split"),
          ("a.jpg", 32, 24, "cat", 1, 1, 2, 2, "train"), ("a.jpg", 32, 24, "cat", 3, 3, 4, 4, "train"),
          ("b.jpg", 32, 24, "dog", 0, 0, 1, 1, "test")), "cat 1, dog 1"),
)  # fmt: skip
