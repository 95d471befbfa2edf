import pytest

from boxless.data import table
from boxless.data.manifest import Manifest
from boxless.errors import DataError
from boxless.types import ImageRecord


def read(path, *options):
    return table.read(",".join((str(path), *options)))


def test_tags_in_one_column(csv_file):
    found = read(
        csv_file("path,labels,split\na.png,dog; cat ,train\nb.png,,train\nc.png,dog;,test\n")
    )
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert found.split_names == ("train", "test")
    assert found.image_ids == ("a.png", "b.png", "c.png")
    assert [r.source.rsplit("/", 1)[1] for r in found.records] == [
        "tags.csv:2",
        "tags.csv:3",
        "tags.csv:4",
    ]
    assert not found.has_boxes
    assert found.notes == ()


def test_one_column_a_class_keeps_their_order(csv_file):
    found = read(csv_file("path,split,dog,cat\na.png,train,1,0\nb.png,test,-1,0\n"))
    assert found.classes == ("dog", "cat")
    assert found.labels.tolist() == [[1, 0], [-1, 0]]


def test_spreadsheet_export_with_byte_order_mark_crlf_and_quotes(csv_file):
    text = (
        '\ufeffpath,labels,split\r\n"a.png","cat, wild;dog",train\r\n\r\n,,\r\nb.png,dog,test\r\n'
    )
    found = read(csv_file(text))
    assert found.classes == ("cat, wild", "dog")
    assert found.records[1].source.endswith("tags.csv:5")


def test_class_list_beside_fixes_the_order(csv_file):
    file = csv_file("path,labels,split\na.png,cat,train\n")
    file.with_name("tags.csv.classes.txt").write_text("dog\ncat\nbird\n")
    found = read(file)
    assert found.classes == ("dog", "cat", "bird")
    assert found.labels.tolist() == [[0, 1, 0]]
    file.write_text("path,labels,split\na.png,cat,train\nb.png,dgo,train\n")
    with pytest.raises(DataError, match=r"tags\.csv:3:2: unknown class 'dgo'.* 'dog'"):
        read(file)


def test_class_list_beside_orders_and_checks_columns(csv_file):
    file = csv_file("path,split,dog,cat\na.png,train,1,0\n")
    names = file.with_name("tags.csv.classes.txt")
    names.write_text("cat\ndog\n")
    assert read(file).labels.tolist() == [[0, 1]]
    names.write_text("cat\ndogs\n")
    with pytest.raises(DataError, match=r"tags\.csv:1:3: unknown class 'dog'.* 'dogs'"):
        read(file)
    names.write_text("cat\ndog\nbird\n")
    with pytest.raises(DataError, match="none for bird"):
        read(file)


def test_missing_split_column_splits_by_hash_and_says_so(csv_file):
    rows = "".join(f"img{n}.png,cat\n" for n in range(1000))
    found = read(csv_file("path,labels\n" + rows))
    assert 150 < len(found.split("test")) < 250
    assert any("80 % train and 20 % test" in note for note in found.notes)
    again = read(csv_file("path,labels\n" + "".join(reversed(rows.splitlines(keepends=True)))))
    splits = {r.image_id: r.split for r in again.records}
    assert all(splits[r.image_id] == r.split for r in found.records)


def test_too_few_images_to_split(csv_file):
    with pytest.raises(DataError, match=r"1 images are too few(.|\n)*column 'split'"):
        read(csv_file("path,labels\na.png,cat\n"))


def test_path_relative_to_the_table(csv_file, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    found = read(csv_file(f"path,labels,split\n./a.png,x,train\n{tmp_path}/b.png,x,train\n"))
    assert [r.path for r in found.records] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert found.image_ids == ("a.png", "b.png")  # the same wherever the folder lies


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the table is empty"),
        ("path,labels\n", "a header but no images"),
        ("what,labels\na.png,x\n", r"tags\.csv:1: expected a column 'path', found what, labels"),
        ("path\na.png\n", "'labels' or one column a class, found none"),
        ("path,labels,cat\na.png,x,1\n", "found 'labels' and cat"),
        ("path,cat,cat\na.png,1,1\n", r"tags\.csv:1:3: .*'cat' twice"),
        ("path,labels,split\na.png,x\n", r"tags\.csv:2: expected 3 cells .* found 2"),
        ("path,split,cat\na.png,train,1\nb.png,train,2\n", r"tags\.csv:3:3: .*'cat', found '2'"),
        ("path,split,cat\na.png,train,\n", "one column a class, found none among path, split, cat"),
        ("path,split,cat\na.png,,1\n", r"tags\.csv:2:2: expected a split"),
        ("path,labels,split\n,cat,train\n", r"tags\.csv:2:1: expected the path"),
        ("path,labels,split\na.png,x,train\na.png,x,test\n", r"tags\.csv:3: image id 'a\.png'"),
        ("path,labels,split\na.png,;,train\n", "no image has a tag"),
        (
            "path,split,cat\na.png,train,1\nb.png,train,-1\n",
            r"1 labels are -1 and 0 are 0(.|\n)*write 0",
        ),
        ('path,labels,split\n"a.png,x,train\n', r"tags\.csv:\d: broken CSV"),
        ("path,labels,split\na.png,x,train\n./a.png,x,test\n", r"tags\.csv:3: image id 'a\.png'"),
    ],
)
def test_malformed_tables_are_refused_with_their_place(csv_file, text, told):
    with pytest.raises(DataError, match=told):
        read(csv_file(text))


def test_other_encodings_are_refused(csv_file):
    with pytest.raises(DataError, match="expected UTF-8 text, found byte 0xe9"):
        read(csv_file("path,labels,split\na.png,caf\u00e9,train\n", encoding="latin-1"))


def test_mostly_unknown_labels_are_remarked(csv_file):
    found = read(csv_file("path,split,x,y\na.png,train,1,-1\nb.png,train,-1,0\n"))
    assert found.notes == ("2 labels are unknown and only 1 are absent",)


def test_minus_one_as_voc_means_it_is_asked_about(csv_file):
    path = csv_file("path,split,cat\na.png,train,1\nb.png,train,-1\nc.png,test,-1\n")
    with pytest.raises(DataError, match="-1 may mean unknown, as here, or absent") as no:
        read(path)
    assert "minus=unknown, or minus=absent" in no.value.hint
    assert read(path, "minus=absent").labels.tolist() == [[1], [0], [0]]
    assert read(path, "minus=unknown").labels.tolist() == [[1], [-1], [-1]]


def test_missing_table(tmp_path):
    with pytest.raises(DataError, match=r"CSV file at .*no\.csv, found nothing"):
        read(tmp_path / "no.csv")
    with pytest.raises(DataError, match="found a folder"):
        read(tmp_path)


def made(*classes):
    labels = tuple((1, 0, -1)[k % 3] for k in range(len(classes)))
    records = (ImageRecord("r", "/x/r.png", "val", labels),)
    return Manifest("m", classes, records)


def test_written_table_reads_back(tmp_path):
    manifest = made("cat", 'odd, "name"', "dog")
    file = tmp_path / "deep" / "out.csv"
    table.write(manifest, file, ["r.png"])
    found = read(file)
    assert found.classes == manifest.classes
    assert (found.labels == manifest.labels).all()
    assert found.split_names == ("val",)
    assert [p.name for p in file.parent.iterdir()] == ["out.csv"]


ODD = ("cat", "split", "path", "labels", "id", "is_valid", "Unnamed: 0", " blanks ", "a\nb",
       "class:x", "name", "1", "[/b]", "[red]dog", "\u732b", "caf\u00e9, noir", 'odd "quote"',
       "cat\u200b", "unknown")  # fmt: skip


def test_every_class_name_comes_back(tmp_path):
    file = tmp_path / "out.csv"
    table.write(made(*ODD), file, ["r.png"])
    found = read(file)
    assert found.classes == ODD
    assert found.labels.tolist() == made(*ODD).labels.tolist()


def test_failed_write_leaves_the_old_table(tmp_path):
    file = tmp_path / "out.csv"
    file.write_text("old")
    with pytest.raises(ValueError, match="zip"):
        table.write(made("cat"), file, [])
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            "path,labels\na.png,cat\n",
            "path,mine\nb.png,cat\n",
            r"more\.csv:1: expected the column 'labels' as in .*tags\.csv, found only path, mine",
        ),
        (
            "path,labels\na.png,cat\n",
            "picture,labels\nb.png,cat\n",
            r"more\.csv:1: expected the column 'path' as in .*, found only picture, labels",
        ),
        (
            "path,labels\na.png,cat\n",
            "path,keywords\nb.png,cat\n",
            r"both hold the tags .*tags\.csv has path, labels; .*more\.csv has path, keywords",
        ),
        (
            "path,cat,dog\na.png,1,0\n",
            "path,labels\nb.png,cat\n",
            r"tags\.csv has path, cat, dog; .*more\.csv has path, labels",
        ),
    ],
)
def test_a_table_without_the_columns_of_the_first_is_named(first, second, told, csv_file, tmp_path):
    (tmp_path / "more.csv").write_text(second)
    with pytest.raises(DataError, match=told) as caught:
        read(csv_file(first), "test=more.csv")
    assert "name the columns of all tables alike" in caught.value.hint


def test_tables_whose_tags_have_two_names_are_read_where_both_are_given(csv_file, tmp_path):
    (tmp_path / "more.csv").write_text("path,mine\nb.png,dog\n")
    found = read(csv_file("path,labels\na.png,cat\n"), "test=more.csv", "labels=labels+mine")
    assert found.labels.tolist() == [[1, 0], [0, 1]]


def test_a_class_without_a_column_in_one_table_is_told(csv_file, tmp_path):
    (tmp_path / "more.csv").write_text("path,cat,fox\nb.png,1,0\n")
    found = read(csv_file("path,cat,dog\na.png,1,0\n"), "test=more.csv")
    assert found.labels.tolist() == [[1, 0, -1], [1, -1, 0]]
    assert f"{tmp_path}/more.csv has no column 'dog': taken as empty cells" in found.notes
