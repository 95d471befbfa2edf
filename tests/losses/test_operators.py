"""The exact region form against explicit RoIAlign: value, gradient, symmetry, laws."""

import pytest
import torch

from boxless.losses.region_operators import (
    axis_matrices,
    build_region_form,
    compared,
    region_form_value,
    region_means,
)
from boxless.losses.region_pooling import pool_regions
from boxless.losses.region_transfer import form_loss, region_loss


def draw(generator, *, regions, images=2, outside=0.0, dtype=torch.float64):
    """Boxes of at least a twentieth of the view; with `outside` they may leave it."""
    low = torch.rand(images, regions, 2, generator=generator, dtype=dtype)
    low = low * (0.9 + 2 * outside) - outside
    sides = 0.05 + 0.6 * torch.rand(images, regions, 2, generator=generator, dtype=dtype)
    boxes = torch.cat([low, low + sides], -1)
    return boxes if outside else boxes.clamp(0, 1)


def explicit(student, teacher, student_boxes, teacher_boxes, weights, bins):
    """``sum_r w_r || . ||^2`` per image, region by region through torchvision."""
    pooled = [
        pool_regions(maps, boxes, bins=bins, pooling="align", view_size=224)
        for maps, boxes in ((student, student_boxes), (teacher, teacher_boxes))
    ]
    distance = (pooled[0] - pooled[1]).square().flatten(1).sum(1).view_as(weights)
    return (weights * distance).sum(1)


def case(seed, *, student, teacher, regions, outside, dtype):
    generator = torch.Generator().manual_seed(seed)
    maps_s = torch.randn(2, 5, *student, generator=generator, dtype=dtype).requires_grad_()
    maps_t = torch.randn(2, 5, *teacher, generator=generator, dtype=dtype)
    boxes_t = draw(generator, regions=regions, outside=outside, dtype=dtype)
    boxes_s = draw(generator, regions=regions, outside=outside, dtype=dtype)
    weights = torch.rand(2, regions, generator=generator, dtype=dtype) ** 2
    return maps_s, maps_t, boxes_s, boxes_t, weights


@pytest.mark.parametrize(
    ("student", "teacher", "regions", "bins", "outside"),
    [
        ((14, 14), (42, 42), 40, 7, 0.0),
        ((14, 14), (14, 14), 300, 7, 0.0),
        ((4, 6), (9, 5), 25, 3, 0.0),
        ((7, 7), (20, 20), 30, 2, 0.4),
        ((1, 1), (3, 3), 10, 2, 0.0),
        ((10, 10), (5, 5), 1, 1, 0.2),
    ],
)
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_equals_explicit_roi_align(student, teacher, regions, bins, outside, dtype, close):
    maps_s, maps_t, boxes_s, boxes_t, weights = case(
        11, student=student, teacher=teacher, regions=regions, outside=outside, dtype=dtype
    )
    form = build_region_form(maps_t, student, boxes_s, boxes_t, weights, bins=bins)
    value = region_form_value(maps_s, form)
    (gradient,) = torch.autograd.grad(value.sum(), maps_s)
    wanted = explicit(maps_s, maps_t, boxes_s, boxes_t, weights, bins)
    (wanted_gradient,) = torch.autograd.grad(wanted.sum(), maps_s)
    torch.testing.assert_close(value, wanted, rtol=close, atol=0)
    scale = float(wanted_gradient.abs().max())
    torch.testing.assert_close(gradient, wanted_gradient, rtol=close, atol=close * scale)


@pytest.mark.parametrize("mirrored", [False, True])
def test_cropped_view_equals_explicit(mirrored):
    """A crop or mirror of the student changes its boxes alone; the teacher's map stays."""
    generator = torch.Generator().manual_seed(5)
    teacher_boxes = draw(generator, regions=30)
    student_boxes = (teacher_boxes - 0.2) / 0.6
    if mirrored:
        x1, y1, x2, y2 = student_boxes.unbind(-1)
        student_boxes = torch.stack([1 - x2, y1, 1 - x1, y2], -1)
    student = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    teacher = torch.randn(2, 3, 12, 12, generator=generator, dtype=torch.float64)
    weights = torch.rand(2, 30, generator=generator, dtype=torch.float64)
    form = build_region_form(teacher, (8, 8), student_boxes, teacher_boxes, weights, bins=3)
    torch.testing.assert_close(
        region_form_value(student, form),
        explicit(student, teacher, student_boxes, teacher_boxes, weights, 3),
        rtol=1e-9,
        atol=0,
    )


def test_gradcheck():
    maps_s, maps_t, boxes_s, boxes_t, weights = case(
        2, student=(3, 4), teacher=(5, 5), regions=6, outside=0.1, dtype=torch.float64
    )
    form = build_region_form(maps_t, (3, 4), boxes_s, boxes_t, weights, bins=2)
    assert torch.autograd.gradcheck(lambda maps: region_form_value(maps, form), maps_s)


def test_gradcheck_of_the_loss_with_padding():
    maps_s, maps_t, boxes_s, boxes_t, weights = case(
        3, student=(3, 3), teacher=(4, 4), regions=5, outside=0.0, dtype=torch.float64
    )
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False

    def loss(maps):
        return region_loss(maps, maps_t, boxes_s, boxes_t, weights.sqrt(), mask, bins=2)

    assert torch.autograd.gradcheck(loss, maps_s)


def test_gram_is_symmetric_and_positive_semidefinite():
    _, maps_t, boxes_s, boxes_t, weights = case(
        4, student=(5, 6), teacher=(7, 7), regions=40, outside=0.2, dtype=torch.float64
    )
    form = build_region_form(maps_t, (5, 6), boxes_s, boxes_t, weights, bins=3)
    assert form.gram.shape == (2, 30, 30)
    assert form.target.shape == (2, 30, 5)
    assert form.constant.shape == (2,)
    torch.testing.assert_close(form.gram, form.gram.transpose(1, 2))
    assert torch.linalg.eigvalsh(form.gram).min() > -1e-10


def test_zero_at_the_teachers_own_map():
    maps_s, _, boxes_s, _, weights = case(
        6, student=(9, 9), teacher=(9, 9), regions=50, outside=0.2, dtype=torch.float64
    )
    form = build_region_form(maps_s.detach(), (9, 9), boxes_s, boxes_s, weights, bins=4)
    value = region_form_value(maps_s, form)
    assert float((value / form.constant).abs().max().detach()) < 1e-12
    (gradient,) = torch.autograd.grad(value.sum(), maps_s)
    assert float(gradient.abs().max()) < 1e-11 * float(form.target.abs().max())


def test_built_once_equals_built_in_the_loss():
    maps_s, maps_t, boxes_s, boxes_t, weights = case(
        7, student=(6, 6), teacher=(8, 8), regions=20, outside=0.0, dtype=torch.float64
    )
    mask = torch.arange(20)[None] < torch.tensor([[20], [13]])
    form = build_region_form(
        maps_t, (6, 6), boxes_s, boxes_t, weights.masked_fill(~mask, 0), bins=3
    )
    direct = region_loss(maps_s, maps_t, boxes_s, boxes_t, weights.sqrt(), mask, bins=3)
    torch.testing.assert_close(form_loss(maps_s, form, mask), direct, rtol=1e-12, atol=0)


def test_axis_rows_sum_to_one_inside_and_vanish_outside():
    low, high = torch.tensor([[0.0, 0.3, 2.0]]), torch.tensor([[1.0, 0.4, 3.0]])
    matrices = axis_matrices(low, high, size=10, bins=4)
    assert matrices.shape == (1, 3, 4, 10)
    torch.testing.assert_close(matrices[0, :2].sum(-1), torch.ones(2, 4))
    assert (matrices[0, 2] == 0).all()
    assert (matrices >= 0).all()


def test_region_means_are_roi_align_averaged_over_bins():
    generator = torch.Generator().manual_seed(9)
    maps = torch.randn(2, 4, 7, 9, generator=generator, dtype=torch.float64).requires_grad_()
    boxes = draw(generator, regions=20, outside=0.3)
    pooled = pool_regions(maps, boxes, bins=3, pooling="align", view_size=224)
    expected = pooled.mean((2, 3)).view(2, 20, 4)
    found = region_means(maps, boxes, bins=3)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    weights = torch.randn(2, 20, 4, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((v * weights).sum(), maps)[0] for v in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("directions", [None, 3])
def test_compared_channels_are_those_of_a_changed_teacher(directions):
    """Factors of the channels, or some directions of them: as if the teacher's map were changed."""
    maps_s, maps_t, boxes_s, boxes_t, weights = case(
        3, student=(4, 6), teacher=(9, 5), regions=25, outside=0.2, dtype=torch.float64
    )
    channels = torch.rand(5, dtype=torch.float64)
    changed, student = maps_t * channels[:, None, None], maps_s
    if directions:
        channels = torch.rand(5, directions, dtype=torch.float64)
        changed, student = torch.einsum("nchw,cd->ndhw", maps_t, channels), maps_s[:, :directions]
    form = build_region_form(maps_t, (4, 6), boxes_s, boxes_t, weights, bins=3, channels=channels)
    expected = explicit(student, changed, boxes_s, boxes_t, weights, 3)
    torch.testing.assert_close(region_form_value(student, form), expected)
    torch.testing.assert_close(compared(maps_t, channels), changed)


def test_a_known_constant_is_taken():
    maps_s, maps_t, boxes_s, boxes_t, weights = case(
        4, student=(4, 4), teacher=(9, 9), regions=9, outside=0.0, dtype=torch.float64
    )
    size, boxes = (4, 4), (boxes_s, boxes_t, weights)
    own = build_region_form(maps_t, size, *boxes, bins=2)
    given = build_region_form(maps_t, size, *boxes, bins=2, constant=own.constant + 1)
    values = [region_form_value(maps_s, form) for form in (own, given)]
    torch.testing.assert_close(values[1] - values[0], torch.ones(2, dtype=torch.float64))
    mirrored = torch.stack(
        [1 - boxes_t[..., 2], boxes_t[..., 1], 1 - boxes_t[..., 0], boxes_t[..., 3]], -1
    )
    other = build_region_form(maps_t.flip(-1), size, boxes_s.flip(1), mirrored, weights, bins=2)
    torch.testing.assert_close(other.constant, own.constant)  # in every view of an image
