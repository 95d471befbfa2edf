"""A remote path does what a path does, and says what goes wrong."""

from pathlib import Path

import pytest

from boxless.errors import ConfigError, MissingExtraError, RunError, StoreError
from boxless.files.atomic import replacing, write_atomically
from boxless.files.copies import cache_folder, fetched, kept_copy
from boxless.files.lock import held
from boxless.files.paths import (
    RemotePath,
    file_size,
    is_url,
    look_ahead,
    place,
    read_file,
    require_local,
)

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def test_parts_are_those_of_a_path():
    path = place("s3://bucket/photos/one.tar.gz")
    same = Path("/bucket/photos/one.tar.gz")
    for part in ("name", "stem", "suffix"):
        assert getattr(path, part) == getattr(same, part)
    assert str(path.parent) == "s3://bucket/photos"
    assert str(path.parent / "x") == str(path.with_name("x")) == "s3://bucket/photos/x"
    assert str(path.parent.joined("../other/x.png")) == "s3://bucket/other/x.png"
    assert place(path) is path
    assert place("photos/s3:") == Path("photos/s3:")


@pytest.mark.parametrize("text", ["C:\\photos", "C:/photos", "photos/x.png", "scenes:train=4", ""])
def test_paths_and_scenes_are_no_urls(text):
    assert not is_url(text)


def test_objects_are_written_in_one_step(memory):
    path = RemotePath(f"{memory}/deep/file.txt")
    assert not path.exists()
    write_atomically(path, b"one")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half" * (1 // 0))
    assert path.read_bytes() == b"one"
    assert path.parent.children() == {"file.txt": 3}
    assert path.parent.is_dir()
    assert path.is_file()
    path.unlink()
    path.unlink(missing_ok=True)
    assert file_size(str(path)) is None
    with pytest.raises(FileNotFoundError):
        read_file(str(path))


def test_copies_are_checked_and_kept(memory, tmp_path, monkeypatch):
    monkeypatch.setenv("BOXLESS_CACHE", str(tmp_path / "cache"))
    path = RemotePath(f"{memory}/file.bin")
    write_atomically(path, b"hello")
    copy = kept_copy(path, HELLO)
    assert copy.read_bytes() == b"hello"
    assert copy.is_relative_to(cache_folder())
    copy.write_bytes(b"hellp")  # rotten in the cache: fetched again
    assert kept_copy(path, HELLO).read_bytes() == b"hello"
    path.unlink()
    assert kept_copy(path, HELLO) == copy
    write_atomically(path, b"hellp")
    copy.unlink()
    with pytest.raises(StoreError, match="is damaged: expected sha256 2cf24"):
        kept_copy(path, HELLO)
    with pytest.raises(StoreError, match=r"expected a SHA-256, found '\.\./x'"):
        kept_copy(path, "../x")
    with fetched(path) as local:
        assert local.read_bytes() == b"hellp"
    assert not local.exists()
    with fetched(tmp_path) as local:
        assert local is tmp_path


def test_addresses_do_not_become_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    squeezed = Path("s3://bucket/run")
    for use in (lambda: write_atomically(squeezed, b""), lambda: require_local(squeezed)):
        with pytest.raises(ConfigError, match="folder of this machine, found an address"):
            use()
    with pytest.raises(ConfigError), held(squeezed):
        pass
    with held(RemotePath("s3://bucket/run")):
        assert not list(tmp_path.iterdir())


def test_unknown_stores_and_missing_packages_are_named(monkeypatch):
    pytest.importorskip("fsspec")
    with pytest.raises(ConfigError, match="nonsense"):
        RemotePath("nonsense://bucket/x").exists()
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match="fsspec"):
        RemotePath("s3://bucket/x").exists()


def test_s3_sizes_come_from_one_listing(s3, put, monkeypatch):
    import s3fs

    names = [f"{s3}/photos/{number}.bin" for number in range(5)]
    for number, name in enumerate(names):
        put(name, b"x" * number)
    look_ahead(names)
    calls = []
    real = s3fs.S3FileSystem._call_s3
    monkeypatch.setattr(
        s3fs.S3FileSystem, "_call_s3", lambda *a, **k: calls.append(a[1]) or real(*a, **k)
    )
    assert [file_size(name) for name in names] == [0, 1, 2, 3, 4]
    assert calls == []
    assert file_size(f"{s3}/photos/none.bin") is None


def test_s3_faults_are_told(s3, put, monkeypatch):
    import s3fs

    with pytest.raises(RunError, match="no such bucket"):
        put("s3://no-such-bucket-here/x", b"1")
    with pytest.raises(RunError, match="no such bucket or folder"):
        RemotePath("s3://no-such-bucket-here/x").files_below()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(RunError, match=r"(?s)redentials.*AWS_ACCESS_KEY_ID"):
        RemotePath(f"{s3}/x").read_bytes()
