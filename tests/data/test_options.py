import pytest

from boxless.data.options import split_options
from boxless.errors import DataError


def test_path_and_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, options = split_options("x", "a/../b,seed=3,root=/c=d/e", ("seed", "root"))
    assert path == tmp_path / "b"
    assert (options.number("seed", 0), options.text("root")) == (3, "/c=d/e")
    assert options.text("else") is None
    assert options.one_of("else", "first", "second") == "first"


def test_a_path_with_commas_that_exists_has_no_options(tmp_path):
    folder = tmp_path / "a,seed=3"
    folder.mkdir()
    path, options = split_options("x", str(folder), ("seed",))
    assert (path, dict(options.values)) == (folder, {})
    (folder / "b").touch()
    path, options = split_options("x", f"{folder}/b,seed=4", ("seed",))
    assert (path, options.number("seed", 0)) == (folder / "b", 4)


def test_an_option_without_a_value(tmp_path):
    with pytest.raises(DataError, match=r"options like 'seed=…' behind the path, found 'keep'"):
        split_options("x", f"{tmp_path},keep", ("seed",))


@pytest.mark.parametrize("text", ["-1", "", "1.5", "many"])
def test_numbers_out_of_range(text):
    _, options = split_options("x", f"a,seed={text}", ("seed",))
    with pytest.raises(DataError, match=f"x: seed as a whole number from 0, found '{text}'"):
        options.number("seed", 0)
