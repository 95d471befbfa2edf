import pytest

from boxless.data import sources
from boxless.data.sources import FORMATS, READERS, load_manifest, with_format
from boxless.errors import DataError


def test_each_format_is_dispatched(voc_tree, csv_file):
    assert len(load_manifest(f"voc:{voc_tree.root}")) == 4
    table = csv_file("path,labels,split\na.png,x,train\n")
    assert len(load_manifest(f"csv:{table}")) == 1
    assert len(load_manifest("scenes:train=2,test=1")) == 3
    assert FORMATS.keys() == READERS.keys()
    assert all(line.startswith(f"{prefix}:") for prefix, line in FORMATS.items())


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("vco:/data", r"unknown data format 'vco'\. Did you mean 'voc'"),
        ("/no/such/folder", "neither a format nor an existing path"),
        ("", "neither a format nor an existing path"),
        ("scenes", "with a colon, as in 'scenes:'"),
        ("voc:", "expected a path after 'voc:'"),
        ("coco:", "expected a path after 'coco:'"),
        ("nuswide:x", r"unknown data format 'nuswide'\. Did you mean 'nus-wide'"),
        ("scenes:trian=3", r"unknown scenes: option 'trian'\. Did you mean 'train'"),
        ("scenes:train=0", "from 1 to"),
        ("scenes:train=many", "found 'many'"),
        ("scenes:train", "options like 'train=600', found 'train'"),
        ("scenes:size=8", "size as a whole number from 48"),
    ],
)
def test_wrong_names_are_explained(spec, told):
    with pytest.raises(DataError, match=told):
        load_manifest(spec)


def test_a_path_alone_is_taken_for_what_its_mark_says_and_told(voc_tree, csv_file, capsys):
    table = csv_file("path,labels,split\na.png,x,train\na2.png,y,test\n")
    assert load_manifest(f"{table},classes=x").classes == ("x",)
    assert capsys.readouterr().err == f"{table},classes=x: taken as csv:{table},classes=x\n"
    for folder in (voc_tree.root, voc_tree.root.parent):  # VOC2007, VOCdevkit
        assert load_manifest(f"{folder},classes=dog").classes == ("dog",)
        assert f"taken as voc:{voc_tree.root},classes=dog\n" in capsys.readouterr().err


def test_a_format_that_is_given_stands_and_nothing_is_told(csv_file, capsys):
    spec = f"table:{csv_file('path,labels')}"
    assert with_format(spec) == spec
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("inside", "format_"),
    [
        ("coco/annotations/instances_val2014.json", "coco"),
        ("coco/train/_annotations.coco.json", "coco"),
        ("nus/ImageList/TrainImagelist.txt", "nus-wide"),
        ("yolo/data.yaml", "yolo"),
        ("yolo/labels/train/a.txt", "yolo"),
        ("set/samples.json", "fiftyone"),
    ],
)
def test_folders_are_told_by_what_lies_in_them(inside, format_, tmp_path):
    path = tmp_path / inside
    path.parent.mkdir(parents=True)
    path.touch()
    folder = tmp_path / inside.split("/")[0]
    assert with_format(f"{folder},val=x") == f"{format_}:{folder},val=x"


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("t.TSV", "csv"),
        ("t.csv.gz", "csv"),
        ("t.jsonl", "csv"),
        ("t.parquet", "csv"),
        ("data.yaml", "yolo"),
        ("annotations.xml", "cvat"),
        ("samples.json", "fiftyone"),
        ("_annotations.coco.json", "coco"),
        ("instances_default.json", "coco"),
    ],
)
def test_files_are_told_by_their_names(name, format_, tmp_path):
    (tmp_path / name).touch()
    assert with_format(f"{tmp_path}/{name}") == f"{format_}:{tmp_path}/{name}"


@pytest.mark.parametrize(
    ("files", "spec", "candidates"),
    [
        (("t.json",), "t.json", ("csv:", "coco:", "label-studio:", "fiftyone:")),
        (("t.txt",), "t.txt,test=u.txt", ("csv:", "list:", "nus-wide:")),
        (("p/data.yaml", "p/samples.json"), "p", ("fiftyone:", "yolo:")),
        (("p/cat/1.jpg", "p/dog/2.jpg"), "p", ("folder:",)),
        (("p/metadata.csv", "p/1.jpg"), "p", ("folder:",)),
        (("p/VOC2007/ImageSets/Main/x", "p/VOC2012/ImageSets/Main/x"), "p", ("voc:", "voc:")),
        (("a.png",), "a.png", ("csv:FILE",)),
    ],
)
def test_where_a_path_leaves_doubt_the_candidates_are_named(files, spec, candidates, tmp_path):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(DataError, match="expected the format before the path") as caught:
        with_format(f"{tmp_path}/{spec}")
    hint = caught.value.hint
    assert all(text in hint for text in candidates)
    assert len(candidates) < 2 or len(hint.split(" or ")) == len(candidates)


def test_a_large_table_is_read_by_another_process_to_the_same_manifest(csv_file, monkeypatch):
    table = csv_file("path,labels,split\na.png,x,train\nb.png,y;x,test\n")
    own = load_manifest(f"csv:{table}")
    monkeypatch.setattr(sources, "LARGE", 0)
    monkeypatch.setattr(own.__class__, "__post_init__", fail)  # not made here, only received
    assert load_manifest(f"csv:{table}") == own


def test_what_is_wrong_with_a_large_table_is_told_as_of_a_small_one(tmp_path, monkeypatch):
    table = tmp_path / "tags.csv"
    table.write_text("path,cat\nimages/a.jpg,perhaps\n", encoding="utf-8")
    told = []
    for large in (sources.LARGE, 0):
        monkeypatch.setattr(sources, "LARGE", large)
        with pytest.raises(DataError) as raised:
            load_manifest(f"csv:{table}")
        told.append((str(raised.value), raised.value.hint))
    assert told[0] == told[1]


def fail(_):
    raise AssertionError("made in this process")
