"""Laws of the exact region form over random maps, boxes, grids, precisions and ways to compute."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from boxless.losses import region_operators as energy
from boxless.losses.region_operators import (
    axis_matrices,
    build_region_form,
    region_form_value,
    region_means,
)
from boxless.losses.region_pooling import pool_regions
from boxless.losses.region_transfer import form_loss, region_loss, region_weights

SIDES = st.integers(1, 9)
DRAWN = settings(deadline=None, max_examples=40)


@st.composite
def cases(draw, dtype=torch.float64):
    """Maps of any grid; boxes inside, outside and across the border, some of them empty."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    images, regions = draw(st.integers(1, 3)), draw(st.integers(0, 12))
    channels, bins = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    outside = draw(st.sampled_from([0.0, 0.3, 1.5]))

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=dtype)

    def boxes():
        low = rand(images, regions, 2) * (1 + 2 * outside) - outside
        sides = rand(images, regions, 2) * rand(images, regions, 1).round()  # about half are empty
        return torch.cat([low, low + sides], -1)

    student = rand(images, channels, draw(SIDES), draw(SIDES)) - 0.5
    teacher = rand(images, channels, draw(SIDES), draw(SIDES)) - 0.5
    objectness = rand(images, regions)
    mask = rand(images, regions) < 0.8
    return student, teacher, boxes(), boxes(), objectness, mask, bins


def explicit(student, teacher, student_boxes, teacher_boxes, objectness, mask, bins):
    return region_loss(
        student, teacher, student_boxes, teacher_boxes, objectness, mask, bins=bins, form="align"
    )


def exact(student, teacher, student_boxes, teacher_boxes, objectness, mask, bins):
    return region_loss(student, teacher, student_boxes, teacher_boxes, objectness, mask, bins=bins)


def value_and_gradient(loss, case):
    student = case[0].detach().requires_grad_()
    value = loss(student, *case[1:])
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


@DRAWN
@given(cases())
def test_equals_explicit_roi_align(case):
    expected, slope = value_and_gradient(explicit, case)
    found, gradient = value_and_gradient(exact, case)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-12)


@DRAWN
@given(cases(torch.float32))
def test_equals_explicit_roi_align_in_single_precision(case):
    expected, slope = value_and_gradient(explicit, case)
    found, gradient = value_and_gradient(exact, case)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, slope, rtol=1e-3, atol=1e-5)


@DRAWN
@given(cases())
def test_mixed_precision_leaves_the_form_alone(case):
    single = tuple(x.float() if torch.is_tensor(x) and x.is_floating_point() else x for x in case)
    expected = value_and_gradient(exact, single)
    with torch.autocast("cpu", torch.bfloat16):
        found = value_and_gradient(exact, single)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_half_precision_maps_are_taken_in_single_precision():
    torch.manual_seed(0)
    student, teacher = torch.randn(1, 4, 5, 5).bfloat16(), torch.randn(1, 4, 7, 7).half()
    boxes = torch.tensor([[[0.1, 0.2, 0.7, 0.9]]])
    ones, mask = torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)
    found = exact(student, teacher, boxes, boxes, ones, mask, 3)
    expected = exact(student.float(), teacher.float(), boxes, boxes, ones, mask, 3)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@DRAWN
@given(cases())
def test_both_ways_to_the_constant_agree_with_pooling(case):
    _, teacher, _, boxes, objectness, mask, bins = case
    weights = region_weights(objectness, mask)
    pooled = pool_regions(teacher, boxes, bins=bins, pooling="align", view_size=224)
    norms = pooled.square().flatten(1).sum(1).view_as(weights)
    expected = (weights * norms).sum(1)
    size = (int(teacher.shape[-2]), int(teacher.shape[-1]))
    found = build_region_form(teacher, size, boxes, boxes, weights, bins=bins).constant
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("grid", "bins"), [((12, 9), 5), ((6, 20), 3), ((4, 4), 1)])
def test_each_way_to_the_constant(grid, bins):
    """Whichever is cheaper; regions up to twice the map, so that bands are wide."""
    generator = torch.Generator().manual_seed(3)
    teacher = torch.randn(2, 6, *grid, generator=generator, dtype=torch.float64)
    low = torch.rand(2, 30, 2, generator=generator, dtype=torch.float64) * 1.4 - 0.4
    sides = torch.rand(2, 30, 2, generator=generator, dtype=torch.float64) * 2
    boxes = torch.cat([low, low + sides], -1)
    weights = torch.rand(2, 30, generator=generator, dtype=torch.float64)
    rows, columns = (
        axis_matrices(boxes[..., axis], boxes[..., axis + 2], size=grid[1 - axis], bins=bins)
        for axis in (1, 0)
    )
    down, across = (energy.reach(2.0, size=side, bins=bins) for side in grid)
    pooled = pool_regions(teacher, boxes, bins=bins, pooling="align", view_size=224)
    norms = pooled.square().flatten(1).sum(1).view_as(weights)
    for found in (
        energy._by_pooling(teacher, rows, columns, weights),
        energy._by_bands(teacher, rows, columns, weights, down, across),
    ):
        torch.testing.assert_close(found, (weights * norms).sum(1), rtol=1e-9, atol=0)


def test_the_reach_of_a_bin_is_wide_enough_and_not_a_cell_wider():
    """Cells that the same bin samples are never further apart; for some region they are as far."""
    low = torch.linspace(0, 0.4, 401, dtype=torch.float64)[None]
    for extent, size, bins in ((0.6, 20, 3), (0.5, 42, 7), (0.2, 9, 2)):
        matrices = axis_matrices(low, low + extent, size=size, bins=bins)[0].flatten(0, 1)
        cells = torch.arange(size)
        seen = matrices > 1e-9
        last = torch.where(seen, cells, -1).amax(1)
        first = torch.where(seen, cells, size).amin(1)
        assert int((last - first).max()) == energy.reach(extent, size=size, bins=bins)


@DRAWN
@given(cases())
def test_a_batch_is_its_images_one_by_one(case):
    student, *rest, bins = case
    alone = [
        value_and_gradient(exact, (student[n, None], *(x[n, None] for x in rest), bins))
        for n in range(len(student))
    ]
    value, gradient = value_and_gradient(exact, case)
    torch.testing.assert_close(value, torch.stack([v for v, _ in alone]).mean())
    slopes = torch.cat([g for _, g in alone]) / len(student)
    torch.testing.assert_close(gradient, slopes)


@DRAWN
@given(cases(), cases())
def test_levels_add_up(first, second):
    """Two levels with grids of their own share boxes; the gradient of each is its own."""
    _, _, student_boxes, teacher_boxes, objectness, mask, bins = first
    images = min(len(first[0]), len(second[0]))
    rest = [x[:images] for x in (student_boxes, teacher_boxes, objectness, mask)]
    levels = [(case[0][:images], case[1][:images]) for case in (first, second)]
    found, wanted = (
        [value_and_gradient(loss, (*maps, *rest, bins)) for maps in levels]
        for loss in (exact, explicit)
    )
    total, expected = (sum(value for value, _ in each) for each in (found, wanted))
    torch.testing.assert_close(total, expected, rtol=1e-9, atol=1e-12)
    for (_, gradient), (_, slope) in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-12)


def test_no_regions_at_all():
    student = torch.randn(2, 3, 4, 4, requires_grad=True)
    teacher, none = torch.randn(2, 3, 6, 6), torch.zeros(2, 0, 4)
    empty = torch.zeros(2, 0)
    loss = region_loss(student, teacher, none, none, empty, empty.bool(), bins=3)
    loss.backward()
    assert float(loss.detach()) == 0
    assert (student.grad == 0).all()


def test_evaluating_a_form_costs_the_same_whatever_the_number_of_regions():
    """Building it does not: floating-point operations of products, counted by torch."""
    teacher, student = torch.randn(1, 3, 6, 6), torch.randn(1, 3, 4, 4, requires_grad=True)
    boxes = torch.rand(1, 400, 2).repeat(1, 1, 2).sort(-1).values
    building, evaluating, pooling = {}, {}, {}
    for count in (10, 400):
        some, weights = boxes[:, :count], torch.ones(1, count)
        mask = weights.bool()
        with FlopCounterMode(display=False) as counter:
            form = build_region_form(teacher, (4, 4), some, some, weights, bins=2)
        building[count] = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            form_loss(student, form, mask).backward()
        evaluating[count] = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            pooled = region_means(student, some, bins=2)  # what visits every region
            pooled.sum().backward()
        pooling[count] = counter.get_total_flops()
    assert evaluating[10] == evaluating[400] > 0
    assert building[400] > 10 * building[10]
    assert pooling[400] > 10 * pooling[10]
    assert form_loss(student, form, mask) == region_form_value(student, form) / 800
