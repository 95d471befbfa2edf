"""Recovered shares: by hand, paired, and nothing where nothing was lost."""

from types import SimpleNamespace

import numpy as np
import pytest

from boxless.experiments import outcome as room
from boxless.experiments.outcome import recovered
from boxless.experiments.tables import PaperTable

PAPER = {"low": 85.9, "high": 89.4, "some": 87.8}


def table(*, ends=True):
    rows = [
        {"name": name, "method": "plain", "run": name, "paper": {"VOC": {"map": number}}}
        for name, number in PAPER.items()
    ]
    rows.append({"name": "ours alone", "method": "plain", "run": "some"})
    rows.append({"name": "theirs alone", "paper": {"VOC": {"map": 80.0}}})
    return PaperTable(
        name="t", title="t", source="s", rows=rows, runs={name: {} for name in PAPER},
        ends={"low": "low", "high": "high"} if ends else None,
    )  # fmt: skip


@pytest.fixture
def drawn(monkeypatch):
    """mAP of each run: observed and 400 draws, all of which move together."""
    noise = np.concatenate([[0.0], np.random.default_rng(0).normal(0, 0.05, 400)])
    values = {"low": 0.5 + noise, "some": 0.53 + noise, "high": 0.6 + noise}
    monkeypatch.setattr(room, "resampled", lambda runs, _: values[runs[0].name])
    return values


RUNS = {name: SimpleNamespace(name=name) for name in PAPER}


def test_a_share_is_set_between_the_ends(drawn):
    found = recovered(table(), RUNS)
    assert set(found) == {"some", "ours alone"}
    assert found["some"].paper == {"VOC": pytest.approx(1.9 / 3.5, abs=1e-4)}
    assert found["ours alone"].paper == {}
    ours = found["some"].ours
    assert ours.value == pytest.approx(0.3)
    # what moves all of them alike does not widen the interval
    assert ours.low == pytest.approx(0.3)
    assert ours.high == pytest.approx(0.3)


def test_no_share_of_a_loss_that_is_not_clear(drawn):
    drawn["high"] = drawn["low"] + np.linspace(-0.01, 0.1, 401)
    assert recovered(table(), RUNS)["some"].ours is None


def test_other_tables_have_none(drawn):
    assert recovered(table(ends=False), RUNS) == {}
