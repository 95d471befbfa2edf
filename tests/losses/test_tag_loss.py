"""Losses on tags: values by transcription, gradients by hand, unknown labels."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from boxless.losses.tag_loss import CLAMP, TagLoss, clamped_log, detector_loss


def caffe_cross_entropy(probabilities, labels):
    """cross_entropy_loss_layer.cpp lines 33-54, one number at a time."""
    total = 0.0
    for row, tags in zip(probabilities.tolist(), labels.tolist(), strict=True):
        for p, y in zip(row, tags, strict=True):
            if y == 1:
                total -= math.log(max(p, CLAMP))
            elif y == 0:
                total -= math.log(max(1 - p, CLAMP))
    return total / len(labels)


def draw(seed, images=5, classes=7, unknown=False):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1 if unknown else 0, 2, (images, classes), generator=generator)
    return torch.randn(images, classes, generator=generator), labels.to(torch.int8)


def test_a_hopeless_positive_still_gets_a_gradient():
    """Method 2.2: the gradient of p = 1e-6 is 1 / 1e-4, where autograd through clamp gives 0."""
    probability = torch.tensor([[1e-6]], requires_grad=True)
    detector_loss(probability, torch.ones(1, 1, dtype=torch.int8)).backward()
    assert probability.grad.item() == pytest.approx(-1 / 1e-4)
    naive = torch.tensor([[1e-6]], requires_grad=True)
    (-naive.clamp(min=1e-4).log()).sum().backward()
    assert naive.grad.item() == 0


def test_a_wrongly_certain_negative_still_gets_a_gradient():
    probability = torch.tensor([[1 - 1e-6]], requires_grad=True)
    detector_loss(probability, torch.zeros(1, 1, dtype=torch.int8)).backward()
    assert probability.grad.item() == pytest.approx(1 / 1e-4)


def test_clamped_log_is_log_above_the_clamp():
    values = torch.tensor([1e-4, 0.1, 1.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(clamped_log(values), values.log())
    assert torch.autograd.gradcheck(clamped_log, values[1:].detach().requires_grad_())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.booleans())
def test_detector_loss_is_caffes(seed, unknown):
    logits, labels = draw(seed, unknown=unknown)
    probabilities = (logits * 6).sigmoid()
    found = detector_loss(probabilities, labels)
    assert found.item() == pytest.approx(caffe_cross_entropy(probabilities, labels), rel=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_tag_loss_is_torchs(seed):
    logits, labels = draw(seed)
    expected = functional.binary_cross_entropy_with_logits(logits, labels.float()) * 7
    torch.testing.assert_close(TagLoss()(logits, labels), expected)


def test_tag_loss_sums_over_classes_and_averages_over_images():
    logits, labels = torch.zeros(4, 3), torch.zeros(4, 3, dtype=torch.int8)
    assert TagLoss()(logits, labels).item() == pytest.approx(3 * math.log(2))


@pytest.mark.parametrize("loss", [TagLoss(), lambda z, y: detector_loss(z.sigmoid(), y)])
def test_unknown_labels_give_no_gradient_and_no_loss(loss):
    logits, labels = draw(1, unknown=True)
    assert (labels == -1).any()
    logits.requires_grad_()
    value = loss(logits, labels)
    value.backward()
    assert (logits.grad[labels == -1] == 0).all()
    assert (logits.grad[labels != -1] != 0).all()
    other = torch.where(labels == -1, logits.detach() + 5, logits.detach())
    assert loss(other, labels).item() == value.item()


@pytest.mark.parametrize("loss", [TagLoss(), lambda z, y: detector_loss(z.sigmoid(), y)])
def test_all_unknown_is_zero(loss):
    logits = torch.randn(2, 3, requires_grad=True)
    value = loss(logits, torch.full((2, 3), -1, dtype=torch.int8))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


def test_left_out_images_count_neither_in_the_sum_nor_in_the_mean():
    logits, labels = draw(3)
    probabilities = logits.sigmoid().requires_grad_()
    include = torch.tensor([True, False, True, False, True])
    value = detector_loss(probabilities, labels, include)
    torch.testing.assert_close(value, detector_loss(probabilities[include], labels[include]))
    value.backward()
    assert (probabilities.grad[~include] == 0).all()
    nobody = detector_loss(probabilities, labels, torch.zeros(5, dtype=torch.bool))
    assert nobody.item() == 0
