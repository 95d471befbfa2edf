"""Losses for missing tags: equal to their formulas, one number at a time, and hard to misuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from boxless.errors import ConfigError, DataError, NumericsError, ShapeError
from boxless.losses import (
    AsymmetricLoss,
    BoostLU,
    EntropyMaximizationLoss,
    LargeLoss,
    TagLoss,
    balanced_weights,
    trusted_weights,
)

N, K = 6, 5


def draw(seed, low=-1):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(low, 2, (N, K), generator=generator).to(torch.int8)
    logits = 2 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    weights = torch.rand(N, K, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), labels, weights


def by_hand(logits, labels, weights, term):
    """Sum over known tags of weight times term, divided by the images."""
    total = 0.0
    for n in range(N):
        for k in range(K):
            if labels[n, k] >= 0:
                total = total + weights[n, k] * term(logits[n, k].sigmoid(), labels[n, k], n, k)
    return total / N


def agree(found, expected, logits):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    slopes = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-7, atol=1e-10)


seeds = given(st.integers(0, 10_000))
few = settings(deadline=None, max_examples=15)


@few
@seeds
def test_asymmetric_loss_is_its_formula(seed):
    logits, labels, weights = draw(seed)
    loss = AsymmetricLoss(focus_present=1.0, focus_absent=3.0, margin=0.1)

    def term(p, label, *_):
        q = max(p - 0.1, 0 * p)
        return -(1 - p) * p.log() if label == 1 else -(q**3) * (1 - q).log()

    agree(loss(logits, labels, weights), by_hand(logits, labels, weights, term), logits)


@few
@seeds
def test_without_focus_and_margin_it_is_the_tag_loss(seed):
    logits, labels, weights = draw(seed)
    found = AsymmetricLoss(focus_present=0, focus_absent=0, margin=0)(logits, labels, weights)
    agree(found, TagLoss()(logits, labels, weights), logits)


def test_a_sure_student_gets_finite_values_and_no_slope_for_easy_absent_tags():
    logits = torch.tensor([[-90.0, 90.0, 90.0, -90.0]], requires_grad=True)
    value = AsymmetricLoss()(logits, torch.tensor([[0, 0, 1, 1]]))
    value.backward()
    assert torch.isfinite(value)
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 3] == pytest.approx(-1)
    assert torch.isfinite(logits.grad).all()


@few
@seeds
def test_large_loss_is_its_definition(seed):
    """Sorted losses of absent tags; the first ceil(rate * known) of them are given up."""
    logits, labels, weights = draw(seed)
    known = int((labels >= 0).sum())
    rate = 0.2
    losses = sorted(
        ((float(torch.log1p(logits[n, k].detach().exp())), n, k)
         for n in range(N) for k in range(K) if labels[n, k] == 0),
        reverse=True,
    )  # fmt: skip
    large = {(n, k) for _, n, k in losses[: math.ceil(rate * known)]}

    def rejected(p, label, n, k):
        return 0 * p if (n, k) in large else -(p if label == 1 else 1 - p).log()

    def corrected(p, label, n, k):
        return -(p if label == 1 or (n, k) in large else 1 - p).log()

    for kind, term in (("reject", rejected), ("correct", corrected)):
        found = LargeLoss(kind)(logits, labels, weights, rate=rate)
        agree(found, by_hand(logits, labels, weights, term), logits)


@pytest.mark.parametrize("kind", ["reject", "correct"])
def test_nothing_is_given_up_at_rate_0_and_no_present_tag_ever(kind):
    logits, labels, _ = draw(3, low=0)
    assert LargeLoss(kind)(logits, labels, rate=0) == TagLoss()(logits, labels)
    present = torch.ones(2, 3, dtype=torch.int8)
    scores = torch.tensor([[-9.0, 0, 1], [2, -3, 0]])
    assert LargeLoss(kind)(scores, present, rate=1) == TagLoss()(scores, present)


def test_a_rate_of_1_rejects_every_absent_tag():
    logits, labels, _ = draw(4)
    slopes = torch.autograd.grad(LargeLoss()(logits, labels, rate=1), logits)[0]
    assert (slopes[labels == 0] == 0).all()
    assert (slopes[labels == 1] < 0).all()


@few
@seeds
def test_entropy_maximization_is_its_formula(seed):
    logits, labels, weights = draw(seed)
    generator = torch.Generator().manual_seed(seed)
    pseudo = torch.rand(N, K, generator=generator, dtype=torch.float64)
    pseudo[torch.rand(N, K, generator=generator) < 0.5] = -1

    def term(p, label, n, k):
        if label == 1:
            return -p.log()
        q = pseudo[n, k]
        if q >= 0:
            return -0.4 * (q * p.log() + (1 - q) * (1 - p).log())
        return 0.3 * (p * p.log() + (1 - p) * (1 - p).log())

    loss = EntropyMaximizationLoss(0.3, 0.4)
    found = loss(logits, labels, weights, pseudo=pseudo)
    agree(found, by_hand(logits, labels, weights, term), logits)
    without = loss(logits, labels, pseudo=torch.full_like(pseudo, -1))
    assert without == loss(logits, labels)


def test_boosted_maps_and_their_slope():
    maps = torch.tensor([-2.0, 0.0, 0.5], requires_grad=True)
    boosted = BoostLU(4)(maps)
    boosted.sum().backward()
    assert boosted.tolist() == [-2, 0, 2]
    assert maps.grad.tolist() == [1, 1, 4]
    assert torch.equal(BoostLU(1)(maps), maps)


@few
@seeds
def test_balanced_weights_are_scikit_learns(seed):
    labels = draw(seed)[1]
    found = balanced_weights(labels)
    for k in range(K):
        column = labels[:, k][labels[:, k] >= 0].numpy()
        for value, weights in ((1, found[0]), (0, found[1])):
            if value not in column:
                assert weights[k] == 0
            elif len(set(column.tolist())) == 2:
                expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=column)
                assert weights[k].item() == pytest.approx(expected[value])


def test_trust_doubts_absent_tags_alone():
    labels = torch.tensor([[1, 0, -1, 0]])
    seen = torch.tensor([[0.9, 0.8, 0.7, 0.0]])
    assert trusted_weights(labels, seen, 0.5)[0].tolist() == pytest.approx([1, 0.6, 1, 1])
    assert trusted_weights(labels, seen, 0.0).tolist() == [[1, 1, 1, 1]]


LOSSES = {
    "tags": TagLoss(),
    "asl": AsymmetricLoss(),
    "reject": lambda *given: LargeLoss()(*given, rate=0.2),
    "correct": lambda *given: LargeLoss("correct")(*given, rate=0.2),
    "em": EntropyMaximizationLoss(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_unknown_tags_say_nothing(name):
    logits, labels, _ = draw(1)
    loss = LOSSES[name]
    value = loss(logits, labels)
    slopes = torch.autograd.grad(value, logits)[0]
    assert (labels == -1).any()
    assert (slopes[labels == -1] == 0).all()
    other = torch.where(labels == -1, logits.detach() + 7, logits.detach())
    assert loss(other, labels).item() == pytest.approx(value.item())
    assert loss(logits, torch.full_like(labels, -1)) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_weights_count_and_misuse_is_an_error(name):
    logits, labels, weights = draw(2)
    loss = LOSSES[name]
    doubled = loss(logits, labels, 2 * torch.ones_like(weights))
    torch.testing.assert_close(doubled, 2 * loss(logits, labels))
    with pytest.raises(DataError, match="weights must be >= 0, found -1"):
        loss(logits, labels, -torch.ones_like(weights))
    with pytest.raises(ShapeError, match="weights must have one shape"):
        loss(logits, labels, weights[:, :2])
    with pytest.raises(DataError, match=r"labels must be 1, 0 or -1, found 0\.5"):
        loss(logits, torch.full((N, K), 0.5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AsymmetricLoss(focus_absent=0.5), "focus_absent must be 0 or at least 1"),
        (lambda: AsymmetricLoss(margin=1.0), r"margin must be in \[0, 1\), found 1"),
        (lambda: LargeLoss("rejct"), "Did you mean 'reject'"),
        (lambda: LOSSES["tags"] and LargeLoss()(*draw(0)[:2], rate=1.5), "rate must be in"),
        (lambda: BoostLU(0.5), "alpha must be at least 1, found 0.5"),
        (lambda: EntropyMaximizationLoss(-1.0), "alpha must be at least 0, found -1"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_pseudo_labels_that_are_none():
    logits, labels, _ = draw(0)
    loss = EntropyMaximizationLoss()
    with pytest.raises(NumericsError, match="pseudo must be probabilities"):
        loss(logits, labels, pseudo=torch.full((N, K), 3.0))
    with pytest.raises(ShapeError, match=r"pseudo must be \(6, 5\)"):
        loss(logits, labels, pseudo=torch.zeros(K))
