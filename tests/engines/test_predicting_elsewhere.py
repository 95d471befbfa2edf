"""Batches of images as units of work; Ray itself is in `test_ray.py`."""

import sys
from pathlib import Path

import pytest
from engine_work import write_images

from boxless.errors import ConfigError, DataError, RunError
from boxless.files.engine import LocalEngine
from boxless.inference.elsewhere import stream_elsewhere
from boxless.inference.predictor import Predictor

sys.path.append(str(Path(__file__).resolve().parents[1] / "inference"))


@pytest.fixture
def predictor(tmp_path, monkeypatch):
    from tiny_student import write_student

    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos", 9)
    return Predictor.load(write_student(tmp_path / "student.onnx"), threads=1).with_threshold(0.4)


@pytest.fixture
def paths(predictor):
    return [f"photos/{number:03d}.png" for number in range(9)]


def test_answers_are_those_of_a_stream(predictor, paths):
    failed = []
    words = [*paths[:3], "photos/none.png", *paths[3:]]
    found = list(
        stream_elsewhere(
            LocalEngine(),
            predictor,
            words,
            boxes=True,
            batch_size=2,
            on_error=lambda *told: failed.append(told),
        )
    )
    wanted = predictor.stream(words, boxes=True, batch_size=2, on_error=lambda *_: None)
    assert [one.to_dict() for one in found] == [one.to_dict() for one in wanted]
    assert [one.source for one in found] == paths
    ((path, error),) = failed
    assert path == "photos/none.png"
    assert isinstance(error, DataError)
    assert "photos/none.png: image file is missing" in error.message


def test_images_out_of_a_workers_sight_stop_the_command(predictor, paths):
    class Blind(LocalEngine):
        def map(self, function, units):
            for unit in units:
                yield [[DataError("image file is missing") for _ in batch] for batch in unit]

    stream = stream_elsewhere(Blind(), predictor, paths, on_error=lambda *_: None)
    with pytest.raises(RunError, match="which this machine can"):
        list(stream)


def test_batches_hold_images(predictor, paths):
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        list(stream_elsewhere(LocalEngine(), predictor, paths, batch_size=0, on_error=print))
