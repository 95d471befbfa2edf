"""Fixtures of the training tests; the data set they train on is in ``training_case``."""

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
