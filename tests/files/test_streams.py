"""What is no plain file is written to as it is: a renamed file must never take its place."""

import os
import stat

import pytest

from boxless.errors import RunError
from boxless.files.atomic import replacing, write_atomically


def test_a_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    try:
        write_atomically(pipe, b"words")
        assert os.read(reader, 100) == b"words"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_to_a_device_stays_one(tmp_path):
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    write_atomically(link, b"words")
    assert link.is_symlink()
    assert stat.S_ISCHR(link.stat().st_mode)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match="cannot write"), replacing(tmp_path) as file:
        file.write(b"words")
