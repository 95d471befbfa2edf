"""The server's log in files that do not grow without bound."""

import json

import pytest
from hostile import encoded, picture
from served import Served

from boxless.errors import ConfigError, RunError
from boxless.serving.journal import LogSettings

SIZE, KEPT, REQUESTS = 2000, 2, 60


def test_full_files_are_put_aside_and_the_oldest_deleted(student_file, tmp_path):
    log = tmp_path / "logs" / "server.log"
    log.parent.mkdir()
    words = ("--log-file", log, "--log-mb", SIZE / 1e6, "--log-files", KEPT)
    server = Served.start(student_file, *map(str, words), log=tmp_path / "stderr")
    image = encoded(picture(), "PNG")
    for number in range(REQUESTS):
        assert server.post(image, "image/png", **{"X-Request-ID": f"n-{number}"}).status == 200
    assert server.stop() in (0, -15, 143)
    files = {path.name: path.read_text("utf-8") for path in log.parent.iterdir()}
    assert sorted(files) == ["server.log", "server.log.1", "server.log.2"]
    assert max(map(len, files.values())) <= SIZE
    newest_last = [files[name] for name in ("server.log.2", "server.log.1", "server.log")]
    lines = [json.loads(line) for line in "".join(newest_last).splitlines()]
    numbers = [line["id"] for line in lines if str(line.get("id", "")).startswith("n-")]
    assert numbers == [f"n-{n}" for n in range(REQUESTS - len(numbers), REQUESTS)]
    assert len(numbers) > 5
    assert lines[-1]["event"] == "stopped"
    assert (tmp_path / "stderr").read_text("utf-8") == ""


@pytest.mark.parametrize("wrong", [{"size": 0}, {"kept": 0}])
def test_wrong_settings(wrong):
    with pytest.raises(ConfigError, match="must be at least 1, found 0"):
        LogSettings(**wrong)


def test_a_log_that_cannot_be_written_is_told_before_serving(tmp_path):
    with pytest.raises(RunError, match="cannot write the log"):
        LogSettings(file=tmp_path / "gone" / "server.log").require_writable()
