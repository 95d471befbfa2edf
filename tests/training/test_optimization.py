"""Schedules, optimiser groups, plateau, averaged weights."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from torch import nn
from training_case import settings

from boxless.training.optimization import (
    AveragedWeights,
    Plateau,
    build_optimizer,
    rate,
    set_rate,
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.old = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.new = nn.Linear(4, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(requires_grad=False)


def grouped(optimizer, net):
    """Parameter name -> (weight decay, factor)."""
    names = {id(p): n for n, p in net.named_parameters()}
    return {
        names[id(p)]: (group["weight_decay"], group["factor"])
        for group in optimizer.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_groups_of_method_2_3(kind):
    """Weights x1 x1, biases x2 x0, new weights x10 x10, new biases x20 x0."""
    net = Net()
    chosen = settings(
        optimizer=kind,
        head_lr_factor=10.0,
        bias_lr_factor=2.0,
        head_decay_factor=10.0,
        weight_decay=5e-4,
    )
    optimizer = build_optimizer(net, chosen, lambda name: name.startswith("new"))
    assert grouped(optimizer, net) == {
        "old.0.weight": (5e-4, 1.0),
        "old.0.bias": (0.0, 2.0),
        "old.1.weight": (0.0, 2.0),
        "old.1.bias": (0.0, 2.0),
        "new.weight": (5e-3, 10.0),
        "new.bias": (0.0, 20.0),
    }
    set_rate(optimizer, 0.1)
    rates = {g["factor"]: g["lr"] for g in optimizer.param_groups}
    assert rates == pytest.approx({1.0: 0.1, 2.0: 0.2, 10.0: 1.0, 20.0: 2.0})
    assert isinstance(optimizer, torch.optim.SGD if kind == "sgd" else torch.optim.AdamW)


def test_learned_temperatures_have_the_rate_of_weights_and_no_decay():
    """kd/train_stage2.prototxt, layer fc8_mscoco_soft: lr_mult 10, decay_mult 0."""
    net = nn.Module()
    net.scale = nn.Parameter(torch.ones(3))
    module = nn.ModuleDict({"soft": net})
    chosen = settings(head_lr_factor=10.0, bias_lr_factor=2.0, weight_decay=5e-4)
    optimizer = build_optimizer(module, chosen, lambda name: name.startswith("soft"))
    assert grouped(optimizer, module) == {"soft.scale": (0.0, 10.0)}


def test_cosine_warms_up_and_ends_near_zero():
    chosen = settings(schedule="cosine", warmup=0.1, lr=2.0)
    rates = [rate(chosen, u, 100) for u in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (u + 1) for u in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01


@limits(deadline=None, max_examples=100)
@given(
    st.sampled_from(["cosine", "constant", "plateau"]),
    st.floats(0, 0.99),
    st.integers(1, 200),
    st.data(),
)
def test_rates_are_positive_and_never_above_the_base(schedule, warmup, total, data):
    update = data.draw(st.integers(0, total - 1))
    chosen = settings(schedule=schedule, warmup=warmup, lr=0.3)
    assert 0 < rate(chosen, update, total) <= 0.3 * (1 + 1e-9)


def test_constant_and_plateau():
    assert rate(settings(schedule="constant", warmup=0.0, lr=0.5), 77, 100) == 0.5
    chosen = settings(schedule="plateau", warmup=0.0, lr=0.5)
    assert [rate(chosen, 5, 10, drops) for drops in range(3)] == pytest.approx([0.5, 0.05, 0.005])


def test_plateau_waits_for_its_patience():
    plateau = Plateau(patience=1)
    drops = []
    for loss in (5.0, 4.0, 4.0, 3.9, 3.95, 3.99, 3.9, 3.9, 1.0):
        plateau.see(loss)
        drops.append(plateau.drops)
    assert drops == [0, 0, 0, 0, 0, 1, 1, 2, 2]
    assert plateau.best == 1.0


def test_plateau_ignores_improvements_of_nothing():
    plateau = Plateau(patience=0, best=1.0)
    plateau.see(1.0 - 1e-6)
    assert plateau.drops == 1
    assert plateau.best == 1.0


def test_averaged_weights_by_hand():
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(0.0)
    average = AveragedWeights(net, 0.9)
    expected = 0.0
    for update in range(200):
        net.weight.data.fill_(math.sin(update))
        average.update(net, update)
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * math.sin(update)
    assert float(average.state["weight"]) == pytest.approx(expected, abs=1e-5)


def test_averaged_weights_follow_buffers_and_copy_counters():
    net = nn.BatchNorm1d(2)
    average = AveragedWeights(net, 0.5)
    net(torch.randn(8, 2) + 10)
    average.update(net, 100)
    assert average.state["num_batches_tracked"] == 1
    torch.testing.assert_close(average.state["running_mean"], net.running_mean / 2)
    assert net.weight.data_ptr() != average.state["weight"].data_ptr()
