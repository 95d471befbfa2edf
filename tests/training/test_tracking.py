"""Scalars reach a tracker, and nothing that a tracker does reaches the run."""

import importlib.util
import sys
import types

import pytest
from accelerate import PartialState

from boxless.errors import MissingExtraError
from boxless.training import tracking
from boxless.training.tracking import Tracker, available


class Backend:
    """In the place of a tracker of accelerate; keeps what it is told."""

    def __init__(self, *words, **options):
        self.words, self.options, self.told, self.settings = words, options, [], None

    def start(self):
        self.told.append("start")

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step=None):
        self.told.append((step, values))

    def finish(self):
        self.told.append("finish")


@pytest.fixture
def opened(monkeypatch):
    """Trackers that were opened, in order."""
    PartialState()
    made = []

    def make(*words, **options):
        made.append(Backend(*words, **options))
        return made[-1]

    for name in ("TensorBoardTracker", "MLflowTracker", "WandBTracker"):
        monkeypatch.setattr(tracking.tracking, name, make)
    return made


def test_scalars_carry_their_group_and_the_run_its_settings(opened, tmp_path):
    tracker = Tracker("tensorboard", tmp_path / "first", {"run.seed": 3, "methods": ("a", "b")})
    assert opened == []  # nothing is opened for a run that trains nothing
    tracker.log("regions seed 0", 10, {"loss": 0.5, "lr": 0.1})
    tracker.log("regions seed 0", 20, {"loss": 0.4})
    tracker.close()
    (backend,) = opened
    assert backend.words == ("logs", tmp_path / "first")
    assert backend.settings == {"run.seed": 3, "methods": "('a', 'b')"}
    first = {"regions seed 0/loss": 0.5, "regions seed 0/lr": 0.1}
    assert backend.told == ["start", (10, first), (20, {"regions seed 0/loss": 0.4}), "finish"]


def test_a_closed_tracker_opens_again(opened, tmp_path):
    tracker = Tracker("mlflow", tmp_path / "first")
    for step in (1, 2):
        tracker.log("plain", step, {"held_out_map": 0.5})
        tracker.close()
    assert [backend.options["run_name"] for backend in opened] == ["first", "first"]


def test_wandb_gets_the_update_as_a_value(opened, tmp_path):
    tracker = Tracker("wandb", tmp_path)
    tracker.log("plain", 500, {"loss": 1.0})
    tracker.log("regions", 0, {"loss": 2.0})  # a step that falls would be dropped
    assert opened[0].told[1:] == [
        (None, {"plain/loss": 1.0, "plain/update": 500}),
        (None, {"regions/loss": 2.0, "regions/update": 0}),
    ]


def test_a_tracker_that_fails_is_left_out_and_named(opened, tmp_path, monkeypatch, capsys):
    def refuse(self, values, step=None):
        raise OSError("no route to host")

    monkeypatch.setattr(Backend, "log", refuse)
    tracker = Tracker("mlflow", tmp_path)
    for step in range(3):
        tracker.log("plain", step, {"loss": 1.0})
    tracker.close()
    told = capsys.readouterr().err
    assert told.count("mlflow failed") == 1
    assert "no route to host" in told


def test_none_opens_nothing(opened, tmp_path):
    Tracker().log("plain", 0, {"loss": 1.0})
    assert opened == []
    assert list(tmp_path.iterdir()) == []


def test_which_tracker_is_taken(monkeypatch):
    installed = {"tensorboard"}
    monkeypatch.setattr(
        tracking, "find_spec", lambda name: types.SimpleNamespace() if name in installed else None
    )
    assert available("auto") == available("tensorboard") == "tensorboard"
    with pytest.raises(MissingExtraError, match=r"mlflow.*\n.*boxless\[track\]"):
        available("mlflow")
    installed.clear()
    assert available("auto") == available("none") == "none"
    with pytest.raises(MissingExtraError, match="tensorboard"):
        available("tensorboard")


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)
def test_tensorboard_reads_the_curves(tmp_path):
    PartialState()
    tracker = Tracker("tensorboard", tmp_path, {"run.seed": 0})
    for step in (0, 10):
        tracker.log("plain", step, {"loss": 1.0 - step / 20})
    tracker.close()
    assert "tensorboard" in sys.modules
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "logs")).Reload().Scalars("plain/loss")
    assert [(event.step, event.value) for event in found] == [(0, 1.0), (10, 0.5)]
