"""Fixtures of the training tests; the data set they train on is in ``training_case``."""

import os

import pytest
import torch

from boxless.training.runtime import Runtime


@pytest.fixture(scope="session")
def runtime():
    """The CPU."""
    return Runtime(cpu=True)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """Checkpoints after every update would spend most of the time in ``fsync``."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
