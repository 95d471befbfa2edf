"""Small networks and data of the training tests."""

import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from boxless.training.runtime import Runtime


@pytest.fixture(scope="session")
def runtime():
    """The CPU."""
    return Runtime(cpu=True)


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(os, "fsync", lambda _: None)
