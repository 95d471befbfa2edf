"""Stage 1's loss: transcription of Eq. 3, agreement of its three forms, and its laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.losses.region_pooling import pool_regions
from boxless.losses.region_transfer import (
    Adapter,
    inverse_scale,
    region_loss,
    vector_loss,
)

FORMS = ("exact", "align", "max")
SIZES = {"student_size": 96, "teacher_size": 160}


def draw(seed, regions=12):
    """Student 6 x 6, teacher 10 x 10, three images with 12, 7 and 1 regions."""
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(3, 4, 6, 6, generator=generator, dtype=torch.float64)
    teacher = torch.randn(3, 4, 10, 10, generator=generator, dtype=torch.float64)
    low = torch.rand(3, regions, 2, generator=generator, dtype=torch.float64) * 0.7
    sides = 0.1 + 0.2 * torch.rand(3, regions, 2, generator=generator, dtype=torch.float64)
    boxes = torch.cat([low, low + sides], -1)
    weights = torch.rand(3, regions, generator=generator, dtype=torch.float64)
    mask = torch.arange(regions)[None] < torch.tensor([[regions], [7], [1]])
    return student, teacher, boxes, weights, mask


def loss_of(form, student, teacher, boxes, weights, mask, bins=3):
    return region_loss(student, teacher, boxes, boxes, weights, mask, bins=bins, form=form, **SIZES)


@pytest.mark.parametrize("form", FORMS)
def test_is_the_posters_formula(form):
    """1/(2N) sum_n 1/|R_n| || F^T - F^S ||^2, F = s'_R * RoIPool, written out region by region."""
    student, teacher, boxes, weights, mask = draw(0)
    pooling = "max" if form == "max" else "align"
    total = 0.0
    for n in range(3):
        count = int(mask[n].sum())
        distance = 0.0
        for r in range(count):
            one = boxes[n, r].view(1, 1, 4)
            pooled_t = pool_regions(teacher[n, None], one, bins=3, pooling=pooling, view_size=160)
            pooled_s = pool_regions(student[n, None], one, bins=3, pooling=pooling, view_size=96)
            distance += float((weights[n, r] * pooled_t - weights[n, r] * pooled_s).norm() ** 2)
        total += distance / count
    found = loss_of(form, student, teacher, boxes, weights, mask)
    assert float(found) == pytest.approx(total / (2 * 3), rel=1e-9)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_exact_equals_align(seed):
    case = draw(seed)
    student = case[0].requires_grad_()
    values = [loss_of(form, student, *case[1:]) for form in ("exact", "align")]
    gradients = [torch.autograd.grad(v, student)[0] for v in values]
    torch.testing.assert_close(values[0], values[1], rtol=1e-9, atol=0)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-8, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from(FORMS))
def test_duplicating_all_boxes_leaves_the_loss(seed, form):
    student, teacher, boxes, weights, mask = draw(seed)
    plain = loss_of(form, student, teacher, boxes, weights, mask)
    twice = loss_of(form, student, teacher, *(torch.cat([x, x], 1) for x in (boxes, weights, mask)))
    torch.testing.assert_close(twice, plain, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from(FORMS))
def test_permuting_boxes_leaves_the_loss(seed, form):
    student, teacher, boxes, weights, mask = draw(seed)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    plain = loss_of(form, student, teacher, boxes, weights, mask)
    moved = loss_of(form, student, teacher, boxes[:, order], weights[:, order], mask[:, order])
    torch.testing.assert_close(moved, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_padding_has_no_influence(form):
    student, teacher, boxes, weights, mask = draw(1)
    student.requires_grad_()
    plain = loss_of(form, student, teacher, boxes, weights, mask)
    junk_boxes = torch.where(mask[..., None], boxes, torch.tensor([0.1, 0.2, 0.9, 0.8]).double())
    junk_weights = torch.where(mask, weights, 7.0)
    other = loss_of(form, student, teacher, junk_boxes, junk_weights, mask)
    torch.testing.assert_close(other, plain, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(v, student)[0] for v in (plain, other)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("form", FORMS)
def test_zero_where_teacher_equals_student(form):
    student, _, boxes, weights, mask = draw(2)
    value = region_loss(
        student,
        student,
        boxes,
        boxes,
        weights,
        mask,
        bins=3,
        form=form,
        student_size=96,
        teacher_size=96,
    )
    assert float(value) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_objectness_enters_squared(form):
    student, teacher, boxes, weights, mask = draw(3)
    plain = loss_of(form, student, teacher, boxes, weights, mask)
    torch.testing.assert_close(
        loss_of(form, student, teacher, boxes, weights * 3, mask), plain * 9, rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("form", FORMS)
def test_an_image_without_regions_adds_nothing(form):
    student, teacher, boxes, weights, mask = draw(4)
    mask = mask.clone()
    mask[2] = False
    value = loss_of(form, student, teacher, boxes, weights, mask)
    two = loss_of(form, student[:2], teacher[:2], boxes[:2], weights[:2], mask[:2])
    torch.testing.assert_close(value, two * 2 / 3, rtol=1e-9, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_points_at_the_teacher(form):
    """A few plain descent steps on the student's map lower the loss."""
    student, teacher, boxes, weights, mask = draw(5)
    student = student.requires_grad_()
    values = []
    for _ in range(5):
        value = loss_of(form, student, teacher, boxes, weights, mask)
        values.append(float(value.detach()))
        (gradient,) = torch.autograd.grad(value, student)
        student = (student - 0.5 * gradient).detach().requires_grad_()
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


def test_vector_loss_is_caffes_euclidean_loss():
    """euclidean_loss_layer.cpp: 1/(2 rows) || a - b ||^2 where all images have R regions."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 3, 5, 8, generator=generator).unbind(0)
    full = torch.ones(3, 5, dtype=torch.bool)
    expected = (a - b).square().sum() / (2 * 3 * 5)
    torch.testing.assert_close(vector_loss(a, b, full), expected)
    mask = full.clone()
    mask[0, 3:] = False
    short = vector_loss(a[:1, :3], b[:1, :3], full[:1, :3])
    rest = vector_loss(a[1:], b[1:], full[1:])
    torch.testing.assert_close(vector_loss(a, b, mask), (short + 2 * rest) / 3)


def test_adapters():
    maps = torch.randn(2, 4, 3, 3)
    assert torch.equal(Adapter(4, 4, kind="auto")(maps), maps)
    assert list(Adapter(4, 4, kind="auto").parameters()) == []
    assert Adapter(4, 6, kind="auto")(maps).shape == (2, 6, 3, 3)
    assert len(list(Adapter(4, 4, kind="conv1x1").parameters())) == 2


def test_an_adapter_is_a_1x1_convolution():
    maps, psi = torch.randn(2, 4, 3, 5), Adapter(4, 6, kind="conv1x1")
    torch.testing.assert_close(psi(maps), psi.map(maps))


def test_inverse_scale_divides_channels():
    spread = torch.tensor([2.0, 0.5, 4.0])
    maps = torch.ones(1, 3, 2, 2)
    torch.testing.assert_close(
        (maps * inverse_scale(spread, maps))[0, :, 0, 0], torch.tensor([0.5, 2.0, 0.25])
    )
    assert torch.equal(maps * inverse_scale(None, maps), maps)
