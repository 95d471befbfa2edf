"""Progress over images: what earlier runs did counts as done, but not for the rate."""

from boxless.files import progress
from boxless.files.progress import ImageProgress


def test_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with ImageProgress("proposing boxes") as shown:
        for done in (40, 41, 60):
            shown(done, 100)
    assert shown.new_images == 20
    assert shown.rate > 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "proposing boxes: 41 of 100",
        "proposing boxes: 60 of 100",
    ]


def test_images_counted_one_by_one(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with ImageProgress("reading boxes", 3) as shown:
        for _ in range(3):
            shown.advance()
    assert shown.new_images == 3
    assert "reading boxes: 3 of 3" in capsys.readouterr().err


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ImageProgress("decoding", 2) as shown:
        shown.advance()
    assert "decoding" in capsys.readouterr().err


def test_silence_on_request(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with ImageProgress("decoding", 2, show=False) as shown:
        shown.advance()
    assert shown.new_images == 1
    assert capsys.readouterr().err == ""
