"""Averaging a map over the cells of another one's view."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from boxless.losses.map_loss import pool_view

WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


def grid(height, width, channels=2, images=1):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(images, channels, height, width, generator=generator, dtype=torch.float64)


def brute_force(features, view, size, fine=24):
    """Average of many samples of the piecewise constant map, borders repeated."""
    _, height, width = features.shape
    x1, y1, x2, y2 = view
    result = np.zeros((len(features), *size))
    for i in range(size[0]):
        for j in range(size[1]):
            at = (np.arange(fine) + 0.5) / fine
            y = np.floor((y1 + (y2 - y1) * (i + at) / size[0]) * height).clip(0, height - 1)
            x = np.floor((x1 + (x2 - x1) * (j + at) / size[1]) * width).clip(0, width - 1)
            cells = features[:, y.astype(int)][:, :, x.astype(int)]
            result[:, i, j] = cells.mean((1, 2))
    return result


def test_three_cells_a_side_are_3x3_average_pooling():
    """Method 7: the teacher's 42 x 42 map on the student's 14 x 14 cells."""
    features = grid(42, 42)
    expected = torch.nn.functional.avg_pool2d(features, 3)
    torch.testing.assert_close(pool_view(features, WHOLE, (14, 14)), expected)


def test_equal_cells_change_nothing():
    features = grid(5, 7)
    torch.testing.assert_close(pool_view(features, WHOLE, (5, 7)), features)


@pytest.mark.parametrize(
    ("view", "size"),
    [
        ((0.0, 0.0, 1.0, 1.0), (4, 4)),  # 10 cells on 4: cells are shared
        ((0.25, 0.5, 0.75, 1.0), (2, 3)),  # a crop
        ((0.125, -0.0625, 1.125, 0.9375), (4, 4)),  # displaced: beyond the border
        ((-0.5, -0.5, -0.25, -0.25), (2, 2)),  # wholly outside: the corner
        ((0.5, 0.5, 0.75, 0.625), (8, 8)),  # finer than the map
    ],
)
def test_is_the_average_of_samples(view, size):
    features = grid(8, 16)
    found = pool_view(features, torch.tensor([view]), size)[0].numpy()
    np.testing.assert_allclose(found, brute_force(features[0].numpy(), view, size), atol=0.02)


@given(st.floats(-0.3, 0.6), st.floats(0.1, 0.9), st.integers(1, 6))
def test_constant_maps_stay_and_mirroring_commutes(low, extent, bins):
    view = torch.tensor([[low, 0.1, low + extent, 0.7]], dtype=torch.float64)
    mirrored = view[:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1]) + torch.tensor([1, 0, 1, 0])
    features = grid(6, 9)
    ones = pool_view(torch.ones_like(features), view, (bins, bins))
    torch.testing.assert_close(ones, torch.ones_like(ones))
    one = pool_view(features, view, (bins, bins)).flip(-1)
    torch.testing.assert_close(one, pool_view(features.flip(-1), mirrored, (bins, bins)))
