"""The profile of a training step: all time is charged once, to the innermost part."""

import json
import time

import pytest
import torch
from task_case import classifier_task, region_task
from training_case import REGIONS, settings, stream

from boxless.training.clock import PARTS, WARM, Clock, timed
from boxless.training.events import WEIGHTS
from boxless.training.loop import train
from boxless.training.runtime import Runtime

CPU = torch.device("cpu")


def updates(clock, count):
    """Updates that wait 4 ms for a batch and compute 6 ms, 5 of them in a loss."""
    for _ in range(count):
        with timed("loader"):
            time.sleep(0.004)
        with timed("forward"):
            time.sleep(0.001)
            with timed("region loss"):
                time.sleep(0.005)
        clock.end_update()


def test_inner_parts_are_taken_off_outer_ones():
    clock = Clock(CPU)
    with clock.running():
        began = time.perf_counter()
        updates(clock, WARM)
        warm = time.perf_counter() - began
        updates(clock, 5)
        whole = time.perf_counter() - began - warm
    found = clock.summary()
    assert found["updates"] == 5
    spent = found["milliseconds"]
    assert spent["loader"] >= 4
    assert spent["region loss"] >= 5
    assert 1 <= spent["forward"] < spent["region loss"] + spent["loader"]
    assert sum(spent.values()) == pytest.approx(1000 * whole / 5, rel=0.2)


def test_nothing_is_measured_without_a_clock_or_after_it():
    with timed("loader"):
        pass
    clock = Clock(CPU)
    with clock.running():
        updates(clock, WARM)
    with timed("loader"):
        time.sleep(0.001)
    assert clock.summary() == {"updates": 0, "milliseconds": {}}


def test_a_part_that_fails_is_closed():
    clock = Clock(CPU)
    with clock.running():
        updates(clock, WARM)
        with pytest.raises(ValueError, match="no"), timed("forward"):
            raise ValueError("no")
        updates(clock, 1)
    assert clock.summary()["milliseconds"]["loader"] >= 4


@pytest.mark.parametrize(
    ("build", "regions", "named"),
    [(classifier_task, 0, set()), (region_task, REGIONS, {"region loss", "teacher"})],
)
def test_a_profiled_step_trains_the_same_weights(tmp_path, build, regions, named):
    results = []
    for profile in (False, True):
        torch.manual_seed(77)
        folder = tmp_path / str(profile)
        progress = train(
            build(),
            stream(regions),
            settings(),
            folder=folder,
            runtime=Runtime(cpu=True, profile=profile),
            title="step",
        )
        results.append((folder / WEIGHTS).read_bytes())
    assert results[0] == results[1]
    found = json.loads(json.dumps(progress.facts))["profile"]
    assert found["updates"] == 4 - WARM
    assert set(found["milliseconds"]) <= set(PARTS)
    assert {"loader", "forward", "backward", "optimiser", *named} <= set(found["milliseconds"])
