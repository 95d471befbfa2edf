"""Kept maps that are made when they are asked for, and tasks of whole maps."""

import torch
from task_case import task as a_task

from boxless.methods.attention import Attention
from boxless.methods.hint import Hint
from boxless.methods.tags import Tags


class Maps:
    """Kept maps of whole images, made when they are asked for."""

    def __init__(self, detector, spread=1.0):
        self.detector, self.scale = detector, spread

    @torch.no_grad()
    def batch(self, batch, levels):
        return self.detector.maps(batch.pixels.float(), levels)

    def spread(self, level):
        return torch.full((self.detector.channels(level),), self.scale)

    def directions(self, level, count, spread):
        axes = torch.eye(self.detector.channels(level))[:, :count]
        return axes if spread is None else axes / spread[:, None]


def hint_task(detector, model, *, adapter="identity", maps=None, stage1=None):
    return a_task(
        Hint, detector=detector, model=model, maps=maps, hint={"adapter": adapter},
        stage1=stage1 or {},
    )  # fmt: skip


def attention_task(detector, model, **config):
    return a_task(Tags, Attention, detector=detector, model=model, attention=config)


def value(task, batch):
    return float(task.losses(batch)["loss"].detach())
