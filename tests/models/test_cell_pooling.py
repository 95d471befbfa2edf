"""Evidence of single cells: a smooth maximum, fitted so that few cells can speak for a class."""

import math

import torch
from torch.nn import functional

from boxless.models.cell_pooling import cell_logits, fit_cells, pool_cells

M, C, P = 80, 6, 25


def scattered(seed):
    """Images whose class is one cell in 25; each other feature is noise."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randn(M, C, P, generator=generator)
    labels = (torch.arange(M)[:, None] % 2).to(torch.int8)
    cells[labels[:, 0] == 1, 0, 3] += 5.0
    return cells, labels


def loss_of(cells, labels, weight):
    logits = cell_logits(cells, weight)
    return float(functional.binary_cross_entropy_with_logits(logits, labels.float()))


def test_pooling_lies_between_mean_and_maximum():
    evidence = torch.randn(3, 2, P, generator=torch.Generator().manual_seed(0))
    pooled = pool_cells(evidence)
    assert (evidence.mean(-1) < pooled).all()
    assert (pooled < evidence.amax(-1)).all()
    torch.testing.assert_close(pool_cells(evidence + 2), pooled + 2)
    torch.testing.assert_close(pool_cells(torch.full((1, 4), 0.7)), torch.tensor([0.7]))


def test_one_cell_speaks_for_an_image():
    cells, labels = scattered(0)
    unseen, truth = scattered(1)
    weight = fit_cells(cells, labels, ridge=0.1)
    assert int(weight[:-1, 0].abs().argmax()) == 0
    assert loss_of(unseen, truth, weight) < 0.3 < math.log(2)


def test_the_same_tags_give_the_same_bits_and_unknown_ones_count_nothing():
    cells, labels = scattered(0)
    first = fit_cells(cells, labels, ridge=0.1)
    assert torch.equal(first, fit_cells(cells, labels, ridge=0.1))
    hidden = labels.clone()
    hidden[:20] = -1
    garbled = cells.clone()
    garbled[:20] = 0
    torch.testing.assert_close(
        fit_cells(cells, hidden, ridge=0.1), fit_cells(garbled, hidden, ridge=0.1)
    )
    assert not torch.allclose(fit_cells(cells, hidden, ridge=0.1), first, atol=1e-3)


def test_a_larger_penalty_keeps_weights_smaller():
    cells, labels = scattered(0)
    sizes = [float(fit_cells(cells, labels, ridge=r)[:-1].norm()) for r in (0.01, 1.0, 100.0)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_class_without_examples_stays_finite():
    cells, labels = scattered(0)
    weight = fit_cells(cells, torch.zeros_like(labels), ridge=0.1)
    assert torch.isfinite(weight).all()
    assert (cell_logits(cells, weight) < -2).all()
