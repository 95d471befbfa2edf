"""Which column of a table is what: found out, told, or asked."""

import pytest
from table_case import read, tags_of

from boxless.errors import DataError


class TestColumns:
    @pytest.mark.parametrize(
        "header",
        ["path", "filename", "file_name", "FileName", "image", "image_id", "Path", "img",
         "Image Index",         "filepath", "image_path", "image_name", "file"],
    )  # fmt: skip
    def test_the_image(self, csv_file, header):
        found = read(csv_file(f"{header},labels,split\na.png,cat,train\nb.png,dog,test\n"))
        assert found.image_ids == ("a.png", "b.png")
        assert f"path = {header}" in found.reading[0]

    @pytest.mark.parametrize(
        "header", ["labels", "label", "tags", "Finding Labels", "class", "category"]
    )
    def test_the_tags(self, csv_file, header):
        found = read(csv_file(f"path,{header},split\na.png,cat|dog,train\nb.png,dog,test\n"))
        assert found.classes == ("cat", "dog")
        assert f"labels = column {header} split at '|'" in found.reading[0]

    @pytest.mark.parametrize("mark", [";", "\t", "|"])
    def test_what_parts_columns(self, csv_file, mark):
        text = "path,labels,split\na.png,cat+dog,train\nb.png,cat,test\n".replace(",", mark)
        found = read(csv_file(text), "label_separator=+")
        assert found.classes == ("cat", "dog")
        assert f"columns parted by {mark!r}" in found.notes

    @pytest.mark.parametrize(
        ("yes", "no"),
        [
            ("1.0", "0.0"),
            ("True", "False"),
            ("yes", "no"),
            ("TRUE", "FALSE"),
            ("x", ""),
            ('"1,0"', '"0,0"'),
        ],
    )
    def test_truth(self, csv_file, yes, no):
        found = read(
            csv_file(f"path,split,cat,dog\na.png,train,{yes},{no}\nb.png,test,{no},{yes}\n")
        )
        assert found.labels.tolist() == [[1, 0], [0, 1]]

    def test_empty_cells_as_chexpert_writes_them(self, csv_file):
        text = (
            "Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Fracture\na.png,Male,63,Frontal,AP,1.0,\n"
            "b.png,Female,50,Lateral,,-1.0,0.0\n"
        )
        found = read(csv_file(text), "split=Sex", "test=Female")
        assert found.classes == ("Edema", "Fracture")
        assert found.labels.tolist() == [[1, 0], [-1, 0]]
        assert "left out: Age, Frontal/Lateral, AP/PA" in found.reading[0]
        assert any("1 empty cells are absent (empty=unknown" in note for note in found.notes)

    def test_empty_cells_beside_zeros_are_unknown_unless_asked(self, csv_file):
        path = csv_file("path,split,cat,dog\na.png,train,1,\nb.png,test,0,1\n")
        assert read(path).labels.tolist() == [[1, -1], [0, 1]]
        assert read(path, "empty=absent").labels.tolist() == [[1, 0], [0, 1]]

    @pytest.mark.parametrize("index", ["Unnamed: 0", "", "index", "id"])
    def test_an_index_is_no_class(self, csv_file, index):
        found = read(csv_file(f"{index},path,split,cat,dog\n0,a.png,train,1,0\n1,b.png,test,0,1\n"))
        assert found.classes == ("cat", "dog")
        assert f"left out: {index or '(column 1)'}" in found.reading[0]

    def test_metadata_is_left_out_and_named(self, csv_file):
        text = "path,width,height,url,split,cat\na.png,1,1,http://x/a,train,1\nb.png,0,1,http://x/b,test,0\n"
        found = read(csv_file(text))
        assert found.classes == ("cat",)
        assert "left out: width, height, url" in found.reading[0]

    def test_a_column_named_label_with_zeros_and_ones(self, csv_file):
        path = csv_file("path,label,split\na.png,1,train\nb.png,0,test\nc.png,1,train\n")
        with pytest.raises(DataError, match="holds 1 and 0 only") as no:
            read(path)
        assert no.value.hint == "say which: classes=label or labels=label"
        assert read(path, "classes=label").labels.tolist() == [[1], [0], [1]]
        assert read(path, "labels=label").classes == ("0", "1")

    def test_the_user_decides(self, csv_file):
        path = csv_file("path,split,cat,dog,bird\na.png,train,1,0,1\nb.png,test,0,1,0\n")
        assert read(path, "classes=dog,cat").classes == ("dog", "cat")
        assert read(path, "classes=dog+cat").classes == ("dog", "cat")
        assert read(path, "ignore=cat").classes == ("dog", "bird")
        (path.parent / "names.txt").write_text("bird\ncat\n")
        assert read(path, "classes=names.txt").classes == ("bird", "cat")
        with pytest.raises(DataError, match="found none for catt"):
            read(path, "classes=catt,dog")
        with pytest.raises(DataError, match=r"unknown class 'brid'.*'bird'"):
            read(path, "ignore=brid")

    def test_classes_of_tags_are_chosen_and_the_others_counted(self, csv_file):
        path = csv_file("path,labels,split\na.png,cat;dog,train\nb.png,cat;bird,test\n")
        found = read(path, "classes=dog,cat")
        assert found.labels.tolist() == [[1, 1], [0, 1]]
        assert "1 classes left out (images): bird (1)" in found.notes

    def test_one_row_for_each_label(self, csv_file):
        found = read(
            csv_file("path,label,split\na.png,cat,train\na.png,dog,train\nb.png,cat,test\n")
        )
        assert tags_of(found) == [("cat", "dog"), ("cat",)]
        assert any("1 rows name an image again" in note for note in found.notes)

    def test_rows_that_take_their_label_back(self, csv_file):
        text = (
            "ImageID,Source,LabelName,Confidence\na.png,verified,cat,1\na.png,verified,dog,0\n"
            "b.png,verified,dog,1\n"
        )
        found = read(csv_file(text), "split=Source", "train=verified")
        assert tags_of(found) == [("cat",), ("dog",)]

    def test_boxes_of_a_detector_are_tags(self, csv_file):
        text = (
            "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,9,9,cat,1,1,2,2\n"
            "a.png,9,9,cat,3,3,4,4\nb.png,9,9,dog,0,0,1,1\n"
        )
        assert read(csv_file(text), "split=width", "train=9").labels.tolist() == [[1, 0], [0, 1]]

    def test_numbers_for_names_are_told(self, csv_file):
        found = read(csv_file("path,labels,split\na.png,3;7,train\nb.png,7,test\n"))
        assert found.classes == ("3", "7")
        assert "all tags are numbers, such as '3': taken as names" in found.notes

    def test_tags_in_numbered_columns(self, csv_file):
        found = read(csv_file("path,label1,label2,split\na.png,cat,dog,train\nb.png,dog,,test\n"))
        assert tags_of(found) == [("cat", "dog"), ("dog",)]

    def test_roboflows_classes(self, csv_file):
        rows = "".join(f"{n}.jpg, {n % 2}, {1 - n % 2}\n" for n in range(30))
        found = read(csv_file(f"filename, cat, dog\n{rows}"))
        assert found.classes == ("cat", "dog")
        assert found.labels.tolist()[:2] == [[0, 1], [1, 0]]

    def test_a_text_column_of_an_unknown_name_is_suggested(self, csv_file):
        path = csv_file("path,animal,split\na.png,cat,train\nb.png,dog,test\n")
        with pytest.raises(DataError, match="found none among") as no:
            read(path)
        assert "labels=animal" in no.value.hint
        assert read(path, "labels=animal").classes == ("cat", "dog")
