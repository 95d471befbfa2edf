"""Ctrl-C held back: it comes after the block, whichever thread it reached."""

import os
import signal
import threading
import time

import pytest

from boxless.files.interrupts import interrupts_wait

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX")


@pytest.fixture(autouse=True)
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def other_thread():
    """One that lets SIGINT through, as those of torch do."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


def interrupted_block(done: list[str]) -> None:
    with interrupts_wait():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        done.append("block")
    done.append("after")


@pytest.mark.parametrize("threads", [0, 1])
def test_it_comes_after_the_block(request, threads):
    if threads:
        request.getfixturevalue("other_thread")
    done = []
    with pytest.raises(KeyboardInterrupt):
        interrupted_block(done)
    assert done == ["block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_without_one_nothing_happens():
    with interrupts_wait():
        held = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert held


def test_ignored_interrupts_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done = []
    interrupted_block(done)
    assert done == ["block", "after"]


def test_off_the_main_thread():
    failed = []

    def work() -> None:
        try:
            with interrupts_wait():
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []
