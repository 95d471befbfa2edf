import pytest

from boxless.data.sources import FORMATS, READERS, load_manifest
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
        ("", "neither a format nor an existing path|format before the path"),
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


def test_bare_paths_are_recognised(voc_tree, csv_file):
    with pytest.raises(DataError, match=rf"write voc:{voc_tree.root}$"):
        load_manifest(str(voc_tree.root))
    with pytest.raises(DataError, match=rf"write voc:{voc_tree.root}$"):
        load_manifest(str(voc_tree.root.parent))
    table = csv_file("path,labels\n")
    with pytest.raises(DataError, match=rf"write csv:{table}$"):
        load_manifest(str(table))
    with pytest.raises(DataError, match="csv:FILE"):
        load_manifest(str(table.with_name("a.png")))


def test_bare_folders_of_other_data_sets_are_recognised(tmp_path):
    for folder, inside, spec in (
        ("coco", "annotations/instances_val2014.json", "coco"),
        ("nus", "ImageList/TrainImagelist.txt", "nus-wide"),
    ):
        path = tmp_path / folder / inside
        path.parent.mkdir(parents=True)
        path.touch()
        with pytest.raises(DataError, match=rf"write {spec}:{tmp_path}/{folder}$"):
            load_manifest(f"{tmp_path}/{folder}")
