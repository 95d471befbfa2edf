import pytest
from small_images import save_image

from boxless.data.find_images import find_images, match_images
from boxless.data.images import load_image
from boxless.errors import DataError


def test_a_folder_to_the_bottom_and_what_was_skipped(tmp_path):
    for name in ("b/2.jpg", "a.png", "b/c/3.jpg", ".ipynb_checkpoints/a.jpg", "b/.hidden.jpg"):
        save_image(tmp_path / "in" / name)
    save_image(tmp_path / "elsewhere" / "4.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    for name in ("a.HEIC", "notes.txt", "x.jfif", "y.mpo", "z.jp2"):
        (tmp_path / "in" / name).touch()
    notes = []
    found = find_images(tmp_path / "in", on_note=notes.append)
    assert [path.relative_to(tmp_path / "in").as_posix() for path in found] == [
        "a.png", "b/2.jpg", "b/c/3.jpg", "linked/4.png", "x.jfif", "y.mpo", "z.jp2",
    ]  # fmt: skip
    assert notes == [
        f"{tmp_path}/in: 1 images in .ipynb_checkpoints are left out",
        f"{tmp_path}/in: 1 images in hidden files are left out",
        f"{tmp_path}/in: 1 HEIC files are left out: convert them to JPEG, "
        "the package pillow-heif reads HEIC files",
        f"{tmp_path}/in: 1 other files are left out: .txt (1)",
    ]


def test_a_folder_of_photographs_that_none_can_read_says_why(tmp_path):
    (tmp_path / "a.heic").touch()
    with pytest.raises(DataError, match="no image in this folder") as no:
        find_images(tmp_path)
    assert "pillow-heif" in no.value.hint


def test_a_pattern(tmp_path):
    save_image(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.txt").touch()
    assert match_images(f"{tmp_path}/**/*") == [tmp_path / "a" / "1.png"]
    with pytest.raises(DataError, match="no image matches"):
        match_images(f"{tmp_path}/*.png")


@pytest.mark.parametrize("name", ["a.HEIC", "a.jpg"])
def test_a_photograph_that_none_can_read_says_what_would(tmp_path, name):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(DataError, match=r"unknown format: a HEIC file.*the package pillow-heif"):
        load_image(str(tmp_path / name))
