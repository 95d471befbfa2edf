"""Tables as people and programs write them: each is read as it is meant, or refused with why."""

import json

import pytest
from table_case import read, tags_of

from boxless.data.sources import load_manifest
from boxless.errors import DataError

TAGS = (("cat", "sofa"), ("cat",), ("sofa", "dog"), ())
"""Tags of the four images of every table here."""


EXPECTED = [tuple(sorted(tags)) for tags in TAGS]


@pytest.fixture
def four(tmp_path):
    """Write a table of four images from a function of their tags."""

    def write(cell, *, header="path\tlabels\tsplit"):
        rows = [
            f"{n}.jpg\t{cell(tags)}\t{'test' if n > 1 else 'train'}" for n, tags in enumerate(TAGS)
        ]
        path = tmp_path / "tags.csv"
        path.write_text("\n".join((header, *rows)) + "\n")
        return path

    return write


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (";".join, "split at ';'"),
        ("; ".join, "split at ';'"),
        ("|".join, "split at '|'"),
        (",".join, "split at ','"),
        (", ".join, "split at ','"),
        (lambda tags: quoted("\n".join(tags)), "split at line ends"),
        (lambda tags: quoted(repr(list(tags))), "lists"),
        (lambda tags: quoted(repr(tuple(tags))), "lists"),
        (lambda tags: quoted(repr(set(tags))), "lists"),
        (lambda tags: quoted(json.dumps(tags)), "lists"),
        (lambda tags: quoted("[" + " ".join(map(repr, tags)) + "]"), "lists"),  # NumPy's
        (lambda tags: f"[{', '.join(tags)}]", "split at ','"),
        (lambda tags: "{" + ",".join(tags) + "}", "split at ','"),  # PostgreSQL's
        (lambda tags: quoted(json.dumps({"choices": tags})), "lists"),  # Label Studio's
        (lambda tags: ";".join(tags) or "nan", "split at ';'"),
        (lambda tags: ";".join(tags) or "None", "split at ';'"),
        (lambda tags: ";".join(tags) or "N/A", "split at ';'"),
    ],
)
def test_a_cell_of_several_tags(four, cell, told):
    found = read(four(cell))
    assert tags_of(found) == EXPECTED
    assert found.classes == ("cat", "dog", "sofa")
    assert told in found.reading[0]


def test_lists_of_the_tests_own_comma_table(csv_file):
    """The cells of the reports, as they stand between commas."""
    text = (
        'path,labels,split\na.png,"[\'cat\', \'sofa\']",train\nb.png,"[""cat"", ""sofa""]",test\n'
    )
    assert tags_of(read(csv_file(text))) == [("cat", "sofa")] * 2


def test_a_quote_after_a_blank(csv_file):
    found = read(csv_file('path, labels, split\na.png, "cat; sofa", train\nb.png, "cat", test\n'))
    assert tags_of(found) == [("cat", "sofa"), ("cat",)]
    assert found.split_names == ("train", "test")


def test_null_words_are_told(four):
    notes = read(four(lambda tags: ";".join(tags) or "nan")).notes
    assert "1 cells say 'nan': no tag" in notes


class TestBlanks:
    def test_refused_where_parts_come_back(self, four):
        path = four(" ".join)
        with pytest.raises(DataError, match="'cat' and 'sofa', split at blanks, or one name") as no:
            read(path)
        assert "label_separator=space or label_separator=none" in no.value.hint
        assert tags_of(read(path, "label_separator=space")) == EXPECTED
        assert read(path, "label_separator=none").classes == ("cat", "cat sofa", "sofa dog")

    def test_told_where_they_may_be_names(self, csv_file):
        found = read(csv_file("path,labels,split\na.png,dining table,train\nb.png,dog,test\n"))
        assert found.classes == ("dining table", "dog")
        assert any("1 names hold blanks, such as 'dining table'" in note for note in found.notes)


def test_two_separators_are_refused_with_both_readings(csv_file):
    text = 'path,labels,split\na.png,cat;dog,train\nb.png,"cat,dog",train\nc.png,cat,test\n'
    with pytest.raises(DataError, match="may be 'cat' and 'dog', split at ',', or one name") as no:
        read(csv_file(text))
    assert "label_separator=comma or label_separator=semicolon" in no.value.hint
    assert read(csv_file(text), "label_separator=;").classes == ("cat", "cat,dog", "dog")


@pytest.mark.parametrize("mark", ["/", "+", "&"])
def test_rarer_separators_are_asked_about(csv_file, mark):
    path = csv_file(f"path,labels,split\na.png,cat {mark} dog,train\nb.png,cat,test\n")
    with pytest.raises(DataError, match="may be 'cat' and 'dog', split at"):
        read(path)
    assert read(path, f"label_separator={mark}").classes == ("cat", "dog")


@pytest.mark.parametrize(
    "cell", ["cat\uff0csofa", "cat\u3001sofa", "cat\uff1bsofa", "'cat'; 'sofa'"]
)
def test_wide_separators_and_quoted_names(csv_file, cell):
    found = read(csv_file(f"path,labels,split\na.png,{cell},train\nb.png,cat,test\n"))
    assert found.classes == ("cat", "sofa")


def test_commas_inside_names_are_refused_or_kept_as_asked(csv_file):
    cells = ('"tench, fish",train', '"cock, bird",train', '"drake, duck",test')
    rows = "".join(f"{n}.png,{cell}\n" for n, cell in zip("abc", cells, strict=True))
    text = f"path,labels,split\n{rows}"
    with pytest.raises(DataError, match="split at ',', or one name"):
        read(csv_file(text))
    assert len(read(csv_file(text), "label_separator=none").classes) == 3
    assert len(read(csv_file(text), "label_separator=,").classes) == 6


def test_zeros_and_ones_in_a_list_are_no_names(csv_file):
    with pytest.raises(DataError, match="expected names of classes, found lists of 3 zeros and on"):
        read(csv_file('path,labels\na.png,"[1, 0, 1]"\nb.png,"[0, 0, 1]"\n'))


@pytest.mark.parametrize(
    ("names", "shown"),
    [(("Sofa", "sofa"), "'Sofa' (1 images), 'sofa' (2 images)"),
     (("cat\u200b", "cat"), r"'cat' (2 images), 'cat\u200b' (1 images)"),
     (("caf\u00e9", "cafe\u0301"), r"'caf\xe9' (1 images)"),
     (("\uff43\uff41\uff54", "cat"), r"'\uff43\uff41\uff54' (1 images)")],
)  # fmt: skip
def test_names_equal_but_for_their_form_are_counted(csv_file, names, shown):
    one, two = names
    path = csv_file(f"path,labels,split\na.png,{one},train\nb.png,{two},train\nc.png,{two},test\n")
    found = read(path)
    assert len(found.classes) == 2
    (note,) = [note for note in found.notes if "differ in form only" in note]
    assert shown in note
    merged = read(path, "names=merge")
    assert merged.classes == (two,)  # the more frequent form
    assert merged.labels.tolist() == [[1], [1], [1]]


class TestSplits:
    @pytest.mark.parametrize("header", ["is_valid", "is_val", "valid", "IsValid"])
    @pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("1", "0"), ("TRUE", "FALSE")])
    def test_a_column_that_says_yes_to_one_part(self, csv_file, header, yes, no):
        text = f"path,{header},cat,dog\na.png,{no},1,0\nb.png,{yes},0,1\nc.png,{no},1,1\n"
        found = read(csv_file(text))
        assert found.classes == ("cat", "dog")
        assert [r.split for r in found.records] == ["train", "test", "train"]
        assert f"split = {header}" in found.reading[0]
        assert "no test images: the split val is the test part" in found.notes

    @pytest.mark.parametrize("header", ["split", "set", "subset", "partition", "fold", "Usage"])
    @pytest.mark.parametrize(
        ("words", "parts"),
        [
            (("train", "val", "test"), ["train", "val", "test"]),
            (("Train ", "Valid", "Test "), ["train", "val", "test"]),
            (("TRAINING", "dev", "testing"), ["train", "val", "test"]),
            (("train", "valid", "valid"), ["train", "test", "test"]),
        ],
    )
    def test_names_of_columns_and_parts(self, csv_file, header, words, parts):
        rows = "".join(f"{n}.png,cat,{word}\n" for n, word in zip("abc", words, strict=True))
        found = read(csv_file(f"path,labels,{header}\n{rows}"))
        assert [r.split for r in found.records] == parts
        assert f"split = {header}" in found.reading[0]

    def test_other_words_are_told(self, csv_file):
        found = read(csv_file("path,labels,split\na.png,x,Training\nb.png,x,test\n"))
        assert "split 'Training' is train" in found.notes

    def test_numbered_folds_are_refused_until_one_is_named(self, csv_file):
        path = csv_file("path,labels,fold\na.png,x,0\nb.png,x,1\nc.png,y,2\n")
        with pytest.raises(DataError, match="none of its values says train or test: 0, 1, 2") as no:
            read(path)
        assert "split=fold,test=2" in no.value.hint
        found = read(path, "split=fold", "test=2")
        assert [r.split for r in found.records] == ["train", "train", "test"]
        assert set(read(path, "ignore=fold").split_names) == {"train", "test"}

    def test_further_columns_about_splits_are_no_classes(self, csv_file):
        text = "path,split,fold,is_valid,cat\na.png,train,0,0,1\nb.png,test,1,1,0\n"
        path = csv_file(text)
        with pytest.raises(DataError, match="'split' and 'is_valid' may both be the split"):
            read(path)
        for option in ("split=split", "split=is_valid"):
            found = read(path, option)
            assert found.classes == ("cat",)
            assert found.split_names == ("train", "test")
        assert "left out: fold, is_valid" in read(path, "split=split").reading[0]

    def test_a_group_that_tells_no_split_is_left_out(self, csv_file):
        found = read(
            csv_file("path,group,dataset,split,cat\na.png,A,x,train,1\nb.png,B,y,test,0\n")
        )
        assert found.classes == ("cat",)
        found = read(csv_file("path,group,cat\na.png,A,1\nb.png,B,0\n"))
        assert "left out: group" in found.reading[0]
        with pytest.raises(DataError, match="column 'group' holds 1 and 0 only"):
            read(csv_file("path,group,cat\na.png,1,1\nb.png,0,0\n"))

    def test_a_share_of_the_training_images(self, tmp_path):
        rows = "".join(f"{n}.jpg,cat,train\n" for n in range(500))
        (tmp_path / "t.csv").write_text("path,labels,split\n" + rows)
        found = read(tmp_path / "t.csv", "test=30%")
        assert 110 < len(found.split("test")) < 190

    def test_a_table_for_each_part(self, csv_file, tmp_path):
        (tmp_path / "more.csv").write_text("path,labels\nc.png,dog\n")
        found = read(csv_file("path,labels\na.png,cat\nb.png,dog\n"), "test=more.csv")
        assert [(r.image_id, r.split) for r in found.records] == [
            ("a.png", "train"), ("b.png", "train"), ("c.png", "test"),
        ]  # fmt: skip
        assert found.records[2].source == f"{tmp_path}/more.csv:2"

    @pytest.mark.parametrize(
        ("header", "rows", "parts"),
        [
            ("is_test", ("0", "1"), ["train", "test"]),
            ("is_train", ("1", "0"), ["train", "test"]),
            ("train,test", ("1,0", "0,1"), ["train", "test"]),
            (
                "is_train,is_valid,is_test",
                ("True,False,False", "False,False,True"),
                ["train", "test"],
            ),
        ],
    )
    def test_flags_of_several_parts(self, csv_file, header, rows, parts):
        one, two = rows
        found = read(csv_file(f"path,{header},cat,dog\na.png,{one},1,0\nb.png,{two},0,1\n"))
        assert found.classes == ("cat", "dog")
        assert [r.split for r in found.records] == parts

    @pytest.mark.parametrize("cells", [("0", "1"), ("A", "B")])
    def test_a_split_that_names_no_part_is_refused(self, csv_file, cells):
        path = csv_file("path,split,cat\na.png,{},1\nb.png,{},0\n".format(*cells))
        with pytest.raises(DataError, match="column 'split'") as no:
            read(path)
        assert f"split=split,test={cells[1]}" in no.value.hint
        assert [r.split for r in read(path, "split=split", f"test={cells[1]}").records] == [
            "train", "test",
        ]  # fmt: skip

    def test_a_part_of_another_name_is_told(self, csv_file):
        path = csv_file("path,labels,split\na.png,x,train\nb.png,x,test\nc.png,x,extra\n")
        assert "split 'extra' is neither trained on nor evaluated (1 images)" in read(path).notes

    def test_two_columns_that_may_be_the_split(self, csv_file):
        with pytest.raises(DataError, match="'split' and 'is_valid' may both be the split"):
            read(csv_file("path,labels,split,is_valid\na.png,x,train,0\nb.png,x,test,1\n"))


class TestPlaces:
    def test_names_without_ending(self, csv_file, tmp_path):
        found = read(csv_file("image_id,labels,split\na,cat,train\nb,dog,test\n"))
        assert [r.path for r in found.records] == [f"{tmp_path}/a.png", f"{tmp_path}/b.png"]

    def test_images_in_a_folder_beside(self, csv_file, tmp_path):
        path = csv_file("image,labels,split\na.png,cat,train\nb.png,dog,test\n")
        (tmp_path / "photos").mkdir()
        for name in ("a.png", "b.png"):
            (tmp_path / name).rename(tmp_path / "photos" / name)
        found = read(path)
        assert found.records[0].path == f"{tmp_path}/photos/a.png"
        assert "images are in the folder photos beside the table" in found.notes
        assert read(path, "root=photos").records[0].path == found.records[0].path

    def test_backslashes(self, csv_file, tmp_path):
        (tmp_path / "img").mkdir()
        (tmp_path / "a.png").rename(tmp_path / "img" / "a.png")
        found = read(csv_file("path,labels,split\nimg\\a.png,cat,train\nb.png,dog,test\n"))
        assert found.image_ids[0] == "img/a.png"


class TestOtherFiles:
    ROWS = ({"file_name": "a.png", "labels": ["cat", "sofa"], "split": "train"},
            {"file_name": "b.png", "labels": [], "split": "test"})  # fmt: skip

    @pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
    def test_each_is_read_alike(self, csv_file, tmp_path, suffix):
        csv_file("")
        path = tmp_path / f"metadata.{suffix}"
        if suffix == "parquet":
            pa = pytest.importorskip("pyarrow")
            from pyarrow import parquet

            parquet.write_table(pa.Table.from_pylist(list(self.ROWS)), path)
        elif suffix == "json":
            path.write_text(json.dumps(self.ROWS))
        else:
            path.write_text("\n".join(map(json.dumps, self.ROWS)))
        found = load_manifest(f"csv:{path}")
        assert tags_of(found) == [("cat", "sofa"), ()]
        assert found.split_names == ("train", "test")

    def test_one_column_a_class_in_parquet(self, csv_file, tmp_path):
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        columns = {"image": ["a.png", "b.png"], "is_valid": [False, True],
                   "cat": [True, False], "dog": [0.0, 1.0], "bird": [1, None]}  # fmt: skip
        parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
        found = load_manifest(f"csv:{tmp_path}/t.parquet")
        assert found.labels.tolist() == [[1, 0, 1], [0, 1, -1]]

    @pytest.mark.parametrize(
        ("name", "content"), [("a.jsonl", '{"a": 1'), ("a.json", "[1]"), ("a.parquet", "PAR1")]
    )
    def test_broken_ones_are_refused(self, tmp_path, name, content):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=name):
            load_manifest(f"csv:{tmp_path}/{name}")

    def test_wide_text_of_a_spreadsheet(self, csv_file, tmp_path):
        path = tmp_path / "t.txt"
        path.write_text("sep=;\npath;labels;split\na.png;cat,dog;train\nb.png;cat;test\n", "utf-16")
        assert read(path).classes == ("cat", "dog")
