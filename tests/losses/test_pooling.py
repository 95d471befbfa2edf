"""Region pooling against Caffe's layer, transcribed, and against torchvision; its conventions."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.ops import roi_align

from boxless.losses.region_pooling import floor_boxes, pool_regions, score_weights

STRIDE = 16


def caffe_round(value):
    """C's ``round``: halves go away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def caffe_roi_pool(features, rois, bins):
    """ROIPooling forward, roi_pooling_layer.cu lines 17-77: inclusive corners in input pixels."""
    channels, height, width = features.shape[1:]
    out = np.zeros((len(rois), channels, bins, bins), np.float32)
    for r, (image, *corners) in enumerate(rois):
        x1, y1, x2, y2 = (caffe_round(c / STRIDE) for c in corners)
        bin_w = np.float32(max(x2 - x1 + 1, 1)) / np.float32(bins)
        bin_h = np.float32(max(y2 - y1 + 1, 1)) / np.float32(bins)
        for ph in range(bins):
            for pw in range(bins):
                top = min(max(math.floor(np.float32(ph) * bin_h) + y1, 0), height)
                left = min(max(math.floor(np.float32(pw) * bin_w) + x1, 0), width)
                bottom = min(max(math.ceil(np.float32(ph + 1) * bin_h) + y1, 0), height)
                right = min(max(math.ceil(np.float32(pw + 1) * bin_w) + x1, 0), width)
                if bottom > top and right > left:
                    cells = features[image, :, top:bottom, left:right]
                    out[r, :, ph, pw] = cells.max((1, 2))
    return out


def integer_boxes(rng, size, count):
    """Inclusive integer corners, of all sizes, some of them on the rounding's halves."""
    corners = rng.integers(0, size, (count, 2, 2))
    corners[: count // 2] = corners[: count // 2] // STRIDE * STRIDE + 8
    corners = np.sort(np.minimum(corners, size - 1), axis=1)
    return corners.reshape(count, 4)


def unit(inclusive, size):
    """Caffe's inclusive corners as unit boxes, in float32 as a data set would give them."""
    exclusive = inclusive + np.array([0, 0, 1, 1])
    return torch.from_numpy(exclusive.astype(np.float32) / np.float32(size))


@pytest.mark.parametrize("size", [224, 672])
@pytest.mark.parametrize("bins", [2, 7])
def test_max_is_bit_equal_to_caffe(size, bins):
    rng = np.random.default_rng(size + bins)
    cells = size // STRIDE
    features = rng.normal(size=(2, 3, cells, cells)).astype(np.float32)
    boxes = [integer_boxes(rng, size, 60) for _ in range(2)]
    rois = [(n, *box) for n in range(2) for box in boxes[n]]
    found = pool_regions(
        torch.from_numpy(features),
        torch.stack([unit(b, size) for b in boxes]),
        bins=bins,
        pooling="max",
        view_size=size,
    )
    np.testing.assert_array_equal(found.numpy(), caffe_roi_pool(features, rois, bins))


def mirrored_units(boxes):
    return boxes[:, [2, 1, 0, 3]] * np.float32([-1, 1, -1, 1]) + np.float32([1, 0, 1, 0])


def test_max_survives_the_rounding_of_mirrored_unit_boxes():
    """Mirroring happens in unit boxes; cells at exact halves must still round as Caffe's do."""
    rng = np.random.default_rng(4)
    size, cells = 672, 42
    features = rng.normal(size=(1, 2, cells, cells)).astype(np.float32)
    boxes = integer_boxes(rng, size, 80)
    mirrored = boxes.copy()
    mirrored[:, 0], mirrored[:, 2] = size - 1 - boxes[:, 2], size - 1 - boxes[:, 0]
    turned = torch.from_numpy(mirrored_units(unit(boxes, size).numpy()))[None]
    found = pool_regions(torch.from_numpy(features), turned, bins=7, pooling="max", view_size=size)
    expected = caffe_roi_pool(features, [(0, *box) for box in mirrored], 7)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_empty_bins_are_zero():
    """A box beyond the map covers no cell; every bin is 0 even where all features are negative."""
    features = torch.full((1, 1, 4, 4), -1.0)
    outside = torch.tensor([[[1.5, 1.5, 2.0, 2.0]]])
    pooled = pool_regions(features, outside, bins=2, pooling="max", view_size=64)
    assert (pooled == 0).all()
    inside = torch.tensor([[[0.0, 0.0, 0.5, 0.5]]])
    assert (pool_regions(features, inside, bins=2, pooling="max", view_size=64) == -1).all()


@pytest.mark.parametrize("shape", [(7, 9), (14, 14), (3, 5)])
def test_align_is_torchvisions(shape):
    generator = torch.Generator().manual_seed(1)
    h, w = shape
    features = torch.randn(2, 4, h, w, generator=generator)
    low = torch.rand(2, 30, 2, generator=generator) * 1.2 - 0.2
    boxes = torch.cat([low, low + torch.rand(2, 30, 2, generator=generator)], -1)
    found = pool_regions(features, boxes, bins=3, pooling="align", view_size=224)
    in_cells = [b * torch.tensor([w, h, w, h]) for b in boxes]
    expected = roi_align(features, in_cells, 3, 1.0, 2, aligned=True)
    torch.testing.assert_close(found, expected)


def test_convention_unit_boxes_mean_the_same_at_every_resolution():
    """Maps sample one ramp at cell centres: a region's mean is its place in the view."""
    boxes = torch.tensor([[[0.25, 0.25, 0.75, 0.5], [0.375, 0.5, 0.625, 0.875]]])
    for cells in (8, 24, 56):
        centres = (torch.arange(cells) + 0.5) / cells
        ramp = torch.stack([centres.expand(cells, cells), centres[:, None].expand(cells, cells)])
        pooled = pool_regions(ramp[None], boxes, bins=2, pooling="align", view_size=cells * 16)
        place = pooled.mean((2, 3))
        expected = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2
        torch.testing.assert_close(place, expected, atol=1e-6, rtol=0)


def test_convention_whole_map_box_equals_pool5():
    """Method 4.5: x2 = 208 rounds to cell 13 and gives pool5; 223 rounds to 14 and does not."""
    features = torch.randn(1, 6, 14, 14, generator=torch.Generator().manual_seed(0))
    pool5 = functional.max_pool2d(features, 2)

    def pooled(last):
        box = torch.tensor([[[0, 0, last + 1, last + 1]]]) / 224
        return pool_regions(features, box, bins=7, pooling="max", view_size=224)

    torch.testing.assert_close(pooled(208), pool5, rtol=0, atol=0)
    assert not torch.equal(pooled(223), pool5)


def test_convention_whole_view_align_averages_like_pooling():
    """Two samples a bin and axis on a map of twice the bins: each bin is the mean of its cells."""
    features = torch.randn(1, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    whole = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    pooled = pool_regions(features, whole, bins=7, pooling="align", view_size=224)
    torch.testing.assert_close(pooled, functional.avg_pool2d(features, 2))


def test_convention_672_to_224_is_caffes_floor_on_whole_pixels():
    """``floor(224 x / 672)`` (method 1.4) is our unit box wherever 3 px of 672 fill one of 224."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(1, 2, 14, 14)).astype(np.float32)
    at_672 = integer_boxes(rng, 672, 100) // 3 * 3 + np.array([0, 0, 2, 2])
    at_224 = at_672 * 224 // 672
    found = pool_regions(
        torch.from_numpy(features), unit(at_672, 672)[None], bins=7, pooling="max", view_size=224
    )
    expected = caffe_roi_pool(features, [(0, *box) for box in at_224], 7)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_mirrored_map_and_mirrored_boxes_pool_mirrored_regions():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(1, 2, 10, 12, generator=generator)
    low = torch.rand(1, 15, 2, generator=generator) * 0.6
    boxes = torch.cat([low, low + 0.1 + 0.3 * torch.rand(1, 15, 2, generator=generator)], -1)
    turned = torch.from_numpy(mirrored_units(boxes[0].numpy()))[None]
    plain = pool_regions(features, boxes, bins=3, pooling="align", view_size=160)
    other = pool_regions(features.flip(3), turned, bins=3, pooling="align", view_size=160)
    torch.testing.assert_close(other, plain.flip(3), atol=1e-5, rtol=1e-5)


def test_regions_of_an_image_see_that_image_alone():
    features = torch.stack([torch.full((1, 4, 4), float(n)) for n in range(3)])
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.2, 0.3, 0.7, 0.9]]).expand(3, 2, 4)
    for pooling in ("max", "align"):
        pooled = pool_regions(features, boxes, bins=2, pooling=pooling, view_size=64)
        assert pooled.shape == (6, 1, 2, 2)
        np.testing.assert_array_equal(pooled.amax((1, 2, 3)), [0, 0, 1, 1, 2, 2])


def test_gradient_of_max_goes_to_the_largest_cell():
    features = torch.arange(16.0).view(1, 1, 4, 4).requires_grad_()
    box = torch.tensor([[[0.0, 0.0, 0.5, 0.5]]])
    pool_regions(features, box, bins=1, pooling="max", view_size=64).sum().backward()
    expected = torch.zeros(4, 4)
    expected[2, 2] = 1  # 32 px: inclusive end 31 rounds to cell 2, as in Caffe
    torch.testing.assert_close(features.grad[0, 0], expected)


def test_score_weights_are_affine():
    scores = torch.tensor([[0.0, 0.1, 0.5]])
    torch.testing.assert_close(
        score_weights(scores, scale=10.0, bias=1.0), torch.tensor([[1.0, 2.0, 6.0]])
    )


def caffe_roi_pool_backward(features, rois, weights, bins, top):
    """roi_pooling_layer.cu lines 94-166: a bin gives its gradient to its first maximum."""
    height, width = features.shape[2:]
    found = np.zeros_like(features)
    for r, (image, *corners) in enumerate(rois):
        x1, y1, x2, y2 = (caffe_round(c / STRIDE) for c in corners)
        bin_w = np.float32(max(x2 - x1 + 1, 1)) / np.float32(bins)
        bin_h = np.float32(max(y2 - y1 + 1, 1)) / np.float32(bins)
        for channel, ph, pw in np.ndindex(features.shape[1], bins, bins):
            top_row = min(max(math.floor(np.float32(ph) * bin_h) + y1, 0), height)
            left = min(max(math.floor(np.float32(pw) * bin_w) + x1, 0), width)
            bottom = min(max(math.ceil(np.float32(ph + 1) * bin_h) + y1, 0), height)
            right = min(max(math.ceil(np.float32(pw + 1) * bin_w) + x1, 0), width)
            part = features[image, channel, top_row:bottom, left:right]
            if part.size:
                row, column = np.unravel_index(part.argmax(), part.shape)
                given = top[r, channel, ph, pw] * weights[r]
                found[image, channel, top_row + row, left + column] += given
    return found


@pytest.mark.parametrize(("scale", "bias"), [(10.0, 1.0), (1.0, 0.0)])
def test_weighted_max_and_its_gradient_are_caffes_bit_for_bit(scale, bias):
    """score_scale * score + score_bias times the pooled value; scores and gradients of few bits,
    so that sums in any order are exact."""
    rng = np.random.default_rng(6)
    features = rng.permutation(2 * 3 * 14 * 14).reshape(2, 3, 14, 14).astype(np.float32) - 500
    boxes = [integer_boxes(rng, 224, 20) for _ in range(2)]
    rois = [(image, *box) for image in range(2) for box in boxes[image]]
    scores = rng.integers(0, 64, (2, 20)).astype(np.float32) / 64
    top = rng.integers(-8, 9, (40, 3, 7, 7)).astype(np.float32)
    weights = (scale * scores + bias).ravel().astype(np.float32)
    maps = torch.from_numpy(features).requires_grad_()
    units = torch.stack([unit(b, 224) for b in boxes])
    pooled = pool_regions(maps, units, bins=7, pooling="max", view_size=224)
    factors = score_weights(torch.from_numpy(scores), scale=scale, bias=bias)
    weighted = pooled * factors.view(-1, 1, 1, 1)
    expected = caffe_roi_pool(features, rois, 7) * weights.reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(weighted.detach().numpy(), expected)
    weighted.backward(torch.from_numpy(top))
    by_hand = caffe_roi_pool_backward(features, rois, weights, 7, top)
    np.testing.assert_array_equal(maps.grad.numpy(), by_hand)


def test_convention_floored_boxes_are_those_of_the_single_scale_layer():
    """wsd_roigen_single_scale_layer.cpp: floor(224 x / 672) of inclusive corners."""
    rng = np.random.default_rng(7)
    at_672 = integer_boxes(rng, 672, 300)
    found = floor_boxes(unit(at_672, 672)[None], view_size=672, size=224)[0]
    inclusive = found.numpy() * 224 - np.array([0, 0, 1, 1])
    np.testing.assert_allclose(inclusive, at_672 * 224 // 672, atol=1e-4, rtol=0)
    again = floor_boxes(found[None], view_size=224, size=224)[0]
    torch.testing.assert_close(again, found)
