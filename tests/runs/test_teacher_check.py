"""Doubts about a teacher: each sign of death is seen, and a living one raises none."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from boxless.runs.teacher_check import compare, doubts_about, suspicious_loss
from boxless.training.runtime import Runtime

LABELS = np.array([[1, 0], [0, 1], [1, -1], [0, 0], [1, 1], [0, 0]], np.int8)
WEIGHTS = np.full((6, 4), 0.3, np.float32)


def knowing():
    return np.where(LABELS == 1, 0.9, 0.2).astype(np.float32)


def test_a_living_teacher():
    assert doubts_about(knowing(), WEIGHTS, LABELS) == []


@pytest.mark.parametrize(
    ("probabilities", "weights", "sign"),
    [
        (np.full((6, 2), 0.4, np.float32), WEIGHTS, "the same answer"),
        (knowing(), np.zeros((6, 4), np.float32), "the weight 0"),
        (1 - knowing(), WEIGHTS, "learned nothing"),
    ],
)
def test_signs_of_death(probabilities, weights, sign):
    (doubt,) = doubts_about(probabilities, weights, LABELS)
    assert sign in doubt


def test_worse_than_the_student():
    assert compare(0.7, 0.6) == []
    assert compare(0.6, 0.6) == []
    (doubt,) = compare(0.5, 0.6)
    assert "teacher's mAP is 50.0 and the plain student's 60.0" in doubt


class Execution:
    runtime = Runtime(cpu=True)


def test_loss_of_stage_1():
    from task_case import LEVEL, region_task, teacher
    from training_case import REGIONS, SIDE, dataset

    class Maps:
        def __init__(self, made):
            self.made = made

        def batch(self, batch, levels):
            return {level: self.made(batch) for level in levels}

    def doubts(task):
        before = torch.get_rng_state()
        found = suspicious_loss(task, dataset(REGIONS), SIDE, Execution)
        assert torch.equal(torch.get_rng_state(), before)
        return found

    assert doubts(region_task()) == []
    detector = teacher()
    dead = Maps(lambda batch: 0 * detector.maps(batch.pixels.float(), (LEVEL,))[LEVEL])
    (doubt,) = doubts(region_task(detector=detector, maps=dead))
    assert "maps are dead" in doubt

    def students_own(batch):
        own = copied.student.maps(batch.pixels.float(), (LEVEL,))[LEVEL]
        return copied.adapters["regions"][LEVEL].map(own)

    copied = region_task(detector=detector, maps=Maps(students_own))

    (doubt,) = doubts(copied)
    assert "may be dead, or carry the student's own weights" in doubt
