"""Resizing inside the network, as the released code's layer does it."""

import pytest
import torch
from torch.nn import functional

from boxless.models.pixels import resize_aligned


class TestResize:
    def test_convention_corners_are_aligned(self):
        """Method 1.3: ratio (672 - 1) / (224 - 1); the corner pixels stay what they are."""
        pixels = torch.arange(672.0).expand(1, 3, 672, 672)
        small = resize_aligned(pixels, 224)
        expected = torch.arange(224.0) * (671 / 223)
        torch.testing.assert_close(small[0, 0, 0], expected, atol=1e-3, rtol=0)
        assert small[0, 0, 0, 0] == 0
        assert small[0, 0, 0, -1] == 671

    def test_nothing_happens_at_the_wanted_size(self):
        pixels = torch.rand(1, 3, 8, 8)
        assert resize_aligned(pixels, 8) is pixels

    def test_is_caffes_interp(self):
        pixels = torch.rand(1, 1, 10, 10, dtype=torch.float64)
        found = resize_aligned(pixels, 4)
        ratio = 9 / 3
        for i in range(4):
            for j in range(4):
                assert found[0, 0, i, j] == pytest.approx(
                    float(pixels[0, 0, round(i * ratio), round(j * ratio)])
                )
        assert not torch.allclose(found, functional.interpolate(pixels, 4, mode="bilinear"))
