"""The network in a process of its own: same answers, and no end with it."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import active_children

import numpy as np
import pytest

from boxless.errors import ShapeError, StoreError
from boxless.inference.predictor import Predictor
from boxless.serving.computing import Apart
from boxless.serving.faults import RequestError


@pytest.fixture
def predictor(student_file):
    return Predictor.load(student_file, threads=1)


@pytest.fixture
def apart(predictor):
    apart = Apart(predictor)
    yield apart
    apart.close()


def batch(predictor, images, seed=0):
    S = predictor.metadata.input_size
    return np.random.default_rng(seed).integers(0, 256, (images, S, S, 3), dtype=np.uint8)


def test_answers_are_those_of_this_process_also_of_several_threads(predictor, apart):
    batches = [batch(predictor, 1 + seed % 4, seed) for seed in range(12)]
    with ThreadPoolExecutor(3) as pool:
        for pixels, found in zip(batches, pool.map(apart, batches), strict=True):
            own = predictor.run(pixels)
            np.testing.assert_array_equal(found.probabilities, own.probabilities)
            np.testing.assert_array_equal(found.maps, own.maps)


def test_a_fault_is_told_and_nothing_ends_with_it(predictor, apart):
    with pytest.raises(ShapeError, match="expected images"):
        apart(np.zeros((1, 3, 3, 3), np.uint8))
    assert len(apart(batch(predictor, 2)).probabilities) == 2


def test_a_process_that_was_killed_starts_anew(predictor, apart):
    apart(batch(predictor, 1))
    (process,) = active_children()
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    with pytest.raises(RequestError, match="has died") as raised:
        apart(batch(predictor, 1))
    assert raised.value.status == 503
    assert raised.value.retry_after
    assert len(apart(batch(predictor, 3)).probabilities) == 3


def test_another_students_file_in_its_place_is_refused(student_file, predictor, tmp_path):
    place = tmp_path / "student.onnx"
    shutil.copy(student_file, place)
    moved = Predictor.load(place)
    apart = Apart(moved)
    place.write_bytes(b"no student")
    try:
        with pytest.raises(StoreError, match=r"damaged|no ONNX"):
            apart(batch(predictor, 1))
    finally:
        apart.close()


def test_closing_ends_the_process(predictor):
    apart = Apart(predictor)
    apart(batch(predictor, 1))
    assert active_children()
    apart.close()
    assert not active_children()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not tell")
def test_threads_of_the_server_leave_the_cores_that_compute(predictor):
    cores = os.sched_getaffinity(0)
    with ThreadPoolExecutor(1) as pool:  # affinity is a thread's
        pool.submit(Apart(predictor).leave_cores).result()
        left = pool.submit(os.sched_getaffinity, 0).result()
    assert left == (cores - {min(cores)} or cores)
    assert os.sched_getaffinity(0) == cores
