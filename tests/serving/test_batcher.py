"""Micro-batches: who is computed with whom, and what happens when there is no room."""

import asyncio
import threading

import numpy as np
import pytest

from boxless.serving.batcher import Batcher
from boxless.serving.faults import RequestError


def image(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


class Network:
    """Answers with the first value of each image; can be held up."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, pixels: np.ndarray) -> list[int]:
        self.sizes.append(len(pixels))
        assert self.go.wait(20)
        if (pixels == 13).all(axis=(1, 2, 3)).any():
            raise ValueError("thirteen")
        return [int(each[0, 0, 0]) for each in pixels]


def run(test, **changes):
    """Run a coroutine function with a network and a started batcher."""
    told: list[tuple[int, float, float]] = []
    options = {"batch_size": 4, "max_delay": 0.05, "queue_size": 8} | changes

    async def body():
        network = Network()
        batcher = Batcher(network, on_batch=lambda *facts: told.append(facts), **options)
        batcher.start()
        try:
            await test(network, batcher)
        finally:
            network.go.set()
            await batcher.close()
        assert [size for size, _, _ in told] == network.sizes
        assert all(seconds >= 0 and waited >= 0 for _, seconds, waited in told)

    asyncio.run(body())


def test_each_image_gets_its_own_row():
    async def test(network, batcher):
        found = await asyncio.gather(*(batcher.submit(image(value)) for value in range(7)))
        assert [result[row] for result, row in found] == list(range(7))
        assert network.sizes == [4, 3]

    run(test)


def test_a_full_batch_does_not_wait_and_an_incomplete_one_waits_the_maximum_delay():
    async def test(network, batcher):
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.gather(*(batcher.submit(image(value)) for value in range(4)))
        assert loop.time() - start < 1.5
        alone = loop.time()
        await batcher.submit(image(1))
        assert 1.5 < loop.time() - alone < 10

    run(test, max_delay=2)


def test_what_arrives_while_computing_becomes_the_next_batch():
    async def test(network, batcher):
        network.go.clear()
        first = batcher.submit(image(1))
        while not network.sizes:
            await asyncio.sleep(0.001)
        rest = [batcher.submit(image(value)) for value in (2, 3, 4)]
        network.go.set()
        await asyncio.gather(first, *rest)
        assert network.sizes == [1, 3]

    run(test, max_delay=0)


def test_no_room_is_503_with_a_time_and_places_come_back():
    async def test(network, batcher):
        with batcher.places(5), batcher.places(3):
            with pytest.raises(RequestError) as caught, batcher.places(1):
                pass
            assert (caught.value.status, caught.value.code) == (503, "overloaded")
            assert 1 <= caught.value.retry_after <= 30
            assert batcher.taken == 8
        assert batcher.taken == 0
        with pytest.raises(RequestError), batcher.places(9):
            pass
        with batcher.places(8):
            assert batcher.taken == 8

    run(test)


def test_a_cancelled_image_is_not_computed():
    async def test(network, batcher):
        network.go.clear()
        first = batcher.submit(image(1))
        while not network.sizes:
            await asyncio.sleep(0.001)
        gone, kept = batcher.submit(image(2)), batcher.submit(image(3))
        gone.cancel()
        network.go.set()
        await first
        assert (await kept)[0] == [3]
        assert network.sizes == [1, 1]

    run(test)


def test_a_fault_reaches_its_whole_batch_and_the_thread_lives():
    async def test(network, batcher):
        found = await asyncio.gather(
            *(batcher.submit(image(value)) for value in (12, 13)), return_exceptions=True
        )
        assert [str(error) for error in found] == ["thirteen", "thirteen"]
        assert (await batcher.submit(image(14)))[0] == [14]
        assert batcher.alive

    run(test)


def test_closing_answers_what_waits_and_takes_nothing_new():
    async def body():
        network = Network()
        batcher = Batcher(network, batch_size=2, max_delay=1, queue_size=8, on_batch=print)
        batcher.start()
        waiting = [batcher.submit(image(value)) for value in range(5)]
        await batcher.close()
        assert [result[row] for result, row in await asyncio.gather(*waiting)] == list(range(5))
        assert not batcher.alive
        with pytest.raises(RequestError) as caught:
            batcher.submit(image(0))
        assert caught.value.status == 503

    asyncio.run(body())
