"""Psi in closed form against a least-squares solver that sees every pooled region."""

import pytest
import torch
from torch import nn

from boxless.errors import NumericsError
from boxless.losses.region_pooling import pool_regions
from boxless.losses.ridge_start import RidgeStart, set_adapter

BINS = 2


def draw(seed=0, images=5, regions=9):
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(images, 4, 6, 6, generator=generator, dtype=torch.float64) + 2
    teacher = torch.randn(images, 3, 10, 10, generator=generator, dtype=torch.float64) - 1
    low = torch.rand(images, regions, 2, generator=generator, dtype=torch.float64) * 0.6
    boxes = torch.cat([low, low + 0.3], -1)
    weights = torch.rand(images, regions, generator=generator, dtype=torch.float64)
    weights[0, 3:] = 0  # padding
    return student, teacher, boxes, weights


def rows(student, teacher, boxes, weights):
    """Every bin of every region as one row, and its weight."""
    pooled = [
        pool_regions(maps, boxes, bins=BINS, pooling="align", view_size=32)
        .flatten(2)
        .transpose(1, 2)
        for maps in (student, teacher)
    ]
    weight = weights.flatten().repeat_interleave(BINS * BINS)
    return pooled[0].reshape(-1, 4), pooled[1].reshape(-1, 3), weight


def gathered(case, parts=(2, 3)):
    start = RidgeStart(4, 3)
    student, teacher, boxes, weights = case
    at = 0
    for count in parts:
        piece = slice(at, at + count)
        start.add(
            student[piece], teacher[piece], boxes[piece], boxes[piece], weights[piece], bins=BINS
        )
        at += count
    return start


def test_without_ridge_it_is_weighted_least_squares():
    case = draw()
    inputs, outputs, weight = rows(*case)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
    root = weight.sqrt()[:, None]
    wanted = torch.linalg.lstsq(inputs * root, outputs * root).solution
    found, bias = gathered(case).solve(0.0)
    assert torch.allclose(found.T, wanted[:-1], atol=1e-9)
    assert torch.allclose(bias, wanted[-1], atol=1e-9)


def test_ridge_shrinks_the_weights_but_keeps_the_mean():
    case = draw(1)
    inputs, outputs, weight = rows(*case)
    found, bias = gathered(case).solve(1e9)
    assert float(found.abs().max()) < 1e-6
    mean = (weight[:, None] * outputs).sum(0) / weight.sum()
    assert torch.allclose(bias, mean, atol=1e-6)
    middle, shift = gathered(case).solve(0.3)
    average = (weight[:, None] * (inputs @ middle.T + shift)).sum(0) / weight.sum()
    assert torch.allclose(average, mean, atol=1e-9)


def test_whole_maps_are_least_squares_over_cells():
    student, _, _, _ = draw(4)
    teacher = torch.randn(5, 3, 6, 6, dtype=torch.float64)
    start = RidgeStart(4, 3)
    for piece in (slice(0, 2), slice(2, 5)):
        start.add_cells(student[piece], teacher[piece])
    inputs = student.permute(0, 2, 3, 1).reshape(-1, 4)
    outputs = teacher.permute(0, 2, 3, 1).reshape(-1, 3)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
    wanted = torch.linalg.lstsq(inputs, outputs).solution
    found, bias = start.solve(0.0)
    assert torch.allclose(found.T, wanted[:-1], atol=1e-9)
    assert torch.allclose(bias, wanted[-1], atol=1e-9)


def test_a_convolution_takes_it():
    weight, bias = gathered(draw(2)).solve(0.1)
    conv = nn.Conv2d(4, 3, 1).double()
    set_adapter(conv, weight, bias)
    maps = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    wanted = torch.einsum("oc,nchw->nohw", weight, maps) + bias[:, None, None]
    assert torch.allclose(conv(maps), wanted)


def test_nothing_to_fit_is_said():
    case = list(draw(3))
    case[3] = torch.zeros_like(case[3])
    with pytest.raises(NumericsError, match="no region has weight"):
        gathered(case).solve(0.1)
