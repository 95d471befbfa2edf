"""s': formulas, ranges, padding, permutation, and the hard selection."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms

from boxless.losses.objectness import objectness, select_by_nms

AGGREGATES = ("sum_topk", "sum_all", "max", "edge_boxes", "uniform")
NORMS = ("max", "sum", "l2", "none")


def draw(seed, images=3, regions=9, classes=12):
    """Region scores of a made-up teacher: zero for padding, columns that sum below 1."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, regions + 1, (images,), generator=generator)
    mask = torch.arange(regions)[None] < counts[:, None]
    by_class = torch.randn(images, regions, classes, generator=generator).softmax(-1)
    by_region = torch.randn(images, regions, classes, generator=generator)
    by_region = by_region.masked_fill(~mask[..., None], -torch.inf).softmax(1)
    proposals = torch.rand(images, regions, generator=generator)
    return by_class * by_region, proposals, mask


def test_default_by_hand():
    scores = torch.tensor([[[0.4, 0.1, 0.0], [0.2, 0.0, 0.3], [0.1, 0.05, 0.1]]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    found = objectness(scores, torch.ones(1, 3), mask, top_classes=2)
    # p = (0.7, 0.15, 0.4): the two best classes are 0 and 2.
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.5, 0.2]]) / 0.5)


def test_fewer_classes_than_top_classes_is_sum_all():
    scores, proposals, mask = draw(0, classes=4)
    torch.testing.assert_close(
        objectness(scores, proposals, mask, aggregate="sum_topk", top_classes=10),
        objectness(scores, proposals, mask, aggregate="sum_all"),
    )


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_raw_values(aggregate):
    scores, proposals, mask = draw(1)
    found = objectness(
        scores, proposals, mask, aggregate=aggregate, top_classes=3, normalize="none"
    )
    top = [s.sum(0).argsort(descending=True)[:3] for s in scores]
    expected = {
        "sum_topk": torch.stack([s[:, t].sum(-1) for s, t in zip(scores, top, strict=True)]),
        "sum_all": scores.sum(-1),
        "max": scores.max(-1).values,
        "edge_boxes": proposals,
        "uniform": torch.ones_like(proposals),
    }[aggregate]
    torch.testing.assert_close(found, expected * mask)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_ranges(seed):
    scores, proposals, mask = draw(seed)
    for aggregate, normalize in itertools.product(AGGREGATES, NORMS):
        found = objectness(scores, proposals, mask, aggregate=aggregate, normalize=normalize)
        assert (found >= 0).all()
        assert (found[~mask] == 0).all()
        total = {
            "max": found.amax(1),
            "sum": found.sum(1),
            "l2": found.norm(dim=1),
            "none": None,
        }[normalize]
        if total is not None:
            torch.testing.assert_close(total, torch.ones(3), rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(AGGREGATES), st.sampled_from(NORMS))
def test_permuting_regions_permutes_objectness(seed, aggregate, normalize):
    scores, proposals, mask = draw(seed)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    plain = objectness(scores, proposals, mask, aggregate=aggregate, normalize=normalize)
    moved = objectness(
        scores[:, order],
        proposals[:, order],
        mask[:, order],
        aggregate=aggregate,
        normalize=normalize,
    )
    torch.testing.assert_close(moved, plain[:, order])


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_more_padding_changes_nothing(aggregate):
    scores, proposals, mask = draw(7)
    junk = torch.full((3, 4, 12), 9.0)
    padded = (
        objectness(
            torch.cat([scores, junk], 1),
            torch.cat([proposals, torch.full((3, 4), 9.0)], 1),
            torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], 1),
            aggregate=aggregate,
        )
        if aggregate != "sum_topk"
        else objectness(
            torch.cat([scores, torch.zeros_like(junk)], 1),  # the detector gives padding exactly 0
            torch.cat([proposals, torch.full((3, 4), 9.0)], 1),
            torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], 1),
            aggregate=aggregate,
        )
    )
    plain = objectness(scores, proposals, mask, aggregate=aggregate)
    torch.testing.assert_close(padded, torch.cat([plain, torch.zeros(3, 4)], 1))


def test_an_image_without_regions_is_all_zero():
    scores, proposals, mask = draw(2)
    mask[1] = False
    for normalize in NORMS:
        found = objectness(scores * mask[..., None], proposals, mask, normalize=normalize)
        assert torch.isfinite(found).all()
        assert (found[1] == 0).all()


def test_selection_is_nms_of_the_valid_boxes():
    generator = torch.Generator().manual_seed(3)
    low = torch.rand(2, 30, 2, generator=generator) * 0.5
    boxes = torch.cat([low, low + 0.3], -1)
    scores = torch.rand(2, 30, generator=generator)
    mask = torch.arange(30)[None] < torch.tensor([[30], [20]])
    scores[1, 20:] = 5  # padding must not win
    found = select_by_nms(boxes, scores, mask, iou=0.4, keep=50)
    for row, count in enumerate((30, 20)):
        kept = nms(boxes[row, :count], scores[row, :count], 0.4)
        expected = torch.zeros(30)
        expected[kept] = 1
        torch.testing.assert_close(found[row], expected)


def test_selection_keeps_the_best_few():
    boxes = torch.tensor([[[0, 0, 0.1, 0.1], [0.3, 0, 0.4, 0.1], [0.6, 0, 0.7, 0.1]]])
    scores, mask = torch.tensor([[0.2, 0.9, 0.5]]), torch.ones(1, 3, dtype=torch.bool)
    found = select_by_nms(boxes, scores, mask, iou=0.4, keep=2)
    torch.testing.assert_close(found, torch.tensor([[0.0, 1.0, 1.0]]))
