"""What is wrong with a folder in VOC layout is named, and where."""

from pathlib import Path

import pytest

from boxless.data import voc
from boxless.errors import DataError


def read(tree):
    return voc.read(str(tree.root))


class TestErrors:
    def test_image_without_jpeg(self, voc_tree):
        (voc_tree.root / "JPEGImages" / "2.jpg").unlink()
        with pytest.raises(
            DataError, match=r"trainval\.txt:2: image '2' has no file in JPEGImages"
        ):
            read(voc_tree)

    def test_image_without_xml(self, voc_tree):
        (voc_tree.root / "Annotations" / "3.xml").unlink()
        with pytest.raises(DataError, match=r"trainval\.txt:3: image '3' has no XML"):
            read(voc_tree)

    def test_many_missing_images_are_counted(self, voc_tree):
        voc_tree.split("test", *(str(n) for n in range(100, 120)))
        with pytest.raises(DataError, match=r"(?s)test\.txt:1: image '100'.*and 35 more"):
            read(voc_tree)

    def test_empty_split(self, voc_tree):
        voc_tree.split("test")
        with pytest.raises(DataError, match=r"test\.txt: the split is empty"):
            read(voc_tree)

    def test_same_image_in_both_splits(self, voc_tree):
        voc_tree.split("test", "4", "1")
        with pytest.raises(DataError, match=r"test\.txt:2: image id '1'.*trainval\.txt:1"):
            read(voc_tree)

    def test_no_split_list(self, voc_tree):
        (voc_tree.main / "trainval.txt").unlink()
        with pytest.raises(DataError, match=r"trainval\.txt or train\.txt .*found test\.txt"):
            read(voc_tree)

    def test_two_words_in_a_split_list(self, voc_tree):
        (voc_tree.main / "test.txt").write_text("4 1\n")
        with pytest.raises(DataError, match=r"test\.txt:1: expected one image id, found '4 1'"):
            read(voc_tree)

    @pytest.mark.parametrize("line", ["1 2", "1", "1 1 1", "1 yes"])
    def test_wrong_label_value(self, voc_tree, line):
        path = voc_tree.tags("cat", "trainval", {"2": 1, "3": 1})
        path.write_text(path.read_text() + line)
        with pytest.raises(DataError, match=rf"cat_trainval\.txt:3: expected .*{line!r}"):
            read(voc_tree)

    def test_class_file_lacks_an_image(self, voc_tree):
        voc_tree.tags("cat", "trainval", {"1": 1, "3": 1})
        with pytest.raises(DataError, match=r"cat_trainval\.txt: .*image '2', which .*txt:2 lists"):
            read(voc_tree)

    def test_class_file_contradicts_itself(self, voc_tree):
        path = voc_tree.tags("cat", "trainval", {"1": 1, "2": 1, "3": 1})
        path.write_text(path.read_text() + "1 -1\n")
        with pytest.raises(DataError, match=r"txt:4: image '1' has two different labels"):
            read(voc_tree)

    def test_broken_xml(self, voc_tree):
        (voc_tree.root / "Annotations" / "1.xml").write_text("<annotation>\n<object></annotation>")
        with pytest.raises(DataError, match=r"1\.xml:2:\d+: broken XML"):
            read(voc_tree)

    def test_entity_expansion_is_refused(self, voc_tree):
        bomb = (
            '<!DOCTYPE a [<!ENTITY x "cat"><!ENTITY y "&x;&x;&x;">]>'
            "<annotation><object><name>&y;</name></object></annotation>"
        )
        (voc_tree.root / "Annotations" / "1.xml").write_text(bomb)
        with pytest.raises(DataError, match=r"1\.xml: refused, the XML declares entities"):
            read(voc_tree)

    def test_external_entity_is_refused(self, voc_tree, tmp_path):
        secret = tmp_path / "secret"
        secret.write_text("cat")
        bomb = (
            f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]>'
            "<annotation><object><name>&x;</name></object></annotation>"
        )
        (voc_tree.root / "Annotations" / "1.xml").write_text(bomb)
        with pytest.raises(DataError, match="refused"):
            read(voc_tree)

    def test_unknown_class(self, voc_tree):
        voc_tree.image("1", ("cta", 0, (1, 1, 2, 2)))
        with pytest.raises(DataError, match=r"1\.xml: object 1: .*'cta'.* Did you mean 'cat'"):
            read(voc_tree)

    @pytest.mark.parametrize("box", [(5, 1, 4, 2), (1, 5, 2, 4), (1, 1, "inf", 4), ("x", 1, 2, 2)])
    def test_impossible_box(self, voc_tree, box):
        voc_tree.image("1", ("cat", 0, box))
        with pytest.raises(DataError, match=r"1\.xml: object 1 \(cat\): expected 1 <= xmin"):
            read(voc_tree)

    def test_wrong_difficult_flag(self, voc_tree):
        voc_tree.image("1", ("cat", 7, (1, 1, 2, 2)))
        with pytest.raises(DataError, match="expected difficult as 0 or 1, found '7'"):
            read(voc_tree)

    def test_class_list_with_repeats(self, voc_tree):
        (voc_tree.root / "classes.txt").write_text("cat\ncat\n")
        with pytest.raises(DataError, match=r"classes\.txt: expected one class name a line"):
            read(voc_tree)

    def test_missing_folder(self, tmp_path):
        with pytest.raises(DataError, match=r"at .*nowhere, found nothing"):
            voc.read(str(tmp_path / "nowhere"))

    def test_folder_above_is_pointed_down(self, voc_tree):
        with pytest.raises(DataError, match=r"did you mean voc:.*VOC2007\?"):
            voc.read(str(voc_tree.root.parent))

    def test_unreadable_folder(self, voc_tree, monkeypatch):
        def refuse(self):
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "iterdir", refuse)  # root could read it whatever its mode
        with pytest.raises(
            DataError, match=r"cannot read the folder .*VOC2007 \(Permission denied"
        ):
            read(voc_tree)

    def test_split_list_that_is_no_text(self, voc_tree):
        (voc_tree.main / "test.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match=r"test\.txt: cannot be read as UTF-8"):
            read(voc_tree)
