"""Checkpoints: what goes in comes out, and damage is named."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from training_case import settings

from boxless.errors import StoreError
from boxless.training.checkpoint import NAME, Progress, load_checkpoint, save_checkpoint
from boxless.training.optimization import AveragedWeights, build_optimizer


def build(kind="adamw", width=4):
    net = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.5))
    optimizer = build_optimizer(net, settings(optimizer=kind), lambda name: name == "0.weight")
    return net, optimizer, AveragedWeights(net, 0.9)


def update(net, optimizer, average, number):
    optimizer.zero_grad()
    net(torch.randn(6, 3)).square().sum().backward()
    optimizer.step()
    average.update(net, number)


def trained(kind="adamw"):
    parts = build(kind)
    for number in range(3):
        update(*parts, number)
    return parts


PROGRESS = Progress(3, 12.5, {"best": float("inf"), "waited": 1, "drops": 2}, {"x": 1})


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_round_trip_goes_on_bit_for_bit(tmp_path, kind):
    net, optimizer, average = trained(kind)
    save_checkpoint(tmp_path, net, optimizer, average, PROGRESS)
    for number in range(3, 6):
        update(net, optimizer, average, number)  # also draws dropout masks and inputs
    after = torch.rand(3)

    other, other_optimizer, other_average = build(kind)
    torch.manual_seed(999)
    assert load_checkpoint(tmp_path, other, other_optimizer, other_average) == PROGRESS
    for number in range(3, 6):
        update(other, other_optimizer, other_average, number)
    assert torch.equal(torch.rand(3), after)
    for key, value in net.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
        assert torch.equal(other_average.state[key], average.state[key]), key
    mine, theirs = optimizer.state_dict(), other_optimizer.state_dict()
    assert mine["param_groups"] == theirs["param_groups"]
    for index, slots in mine["state"].items():
        for slot, value in slots.items():
            assert torch.equal(theirs["state"][index][slot], value), (index, slot)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_channels_last_weights_go_on_bit_for_bit(tmp_path, kind):
    """Files hold no layout of memory, but updates depend on it."""

    def conv():
        torch.manual_seed(0)
        net = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
        return net, build_optimizer(net, settings(optimizer=kind), lambda _: False)

    def step(net, optimizer, seed):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        net(torch.randn(2, 3, 8, 8)).square().sum().backward()
        optimizer.step()

    net, optimizer = conv()
    step(net, optimizer, 1)
    save_checkpoint(tmp_path, net, optimizer, None, Progress(1))
    step(net, optimizer, 2)
    other, other_optimizer = conv()
    load_checkpoint(tmp_path, other, other_optimizer, None)
    step(other, other_optimizer, 2)
    assert torch.equal(other.weight, net.weight)


def test_no_checkpoint_is_the_beginning(tmp_path):
    assert load_checkpoint(tmp_path, *build()) == Progress()


def test_before_the_first_update(tmp_path):
    """Optimisers without state yet."""
    save_checkpoint(tmp_path, *build(), Progress())
    assert load_checkpoint(tmp_path, *build()).update == 0


def test_only_one_file_is_left(tmp_path):
    save_checkpoint(tmp_path, *trained(), PROGRESS)
    save_checkpoint(tmp_path, *trained(), PROGRESS)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("kept", [0, 4, 100, 900, -1])
def test_truncated(tmp_path, kept):
    save_checkpoint(tmp_path, *trained(), PROGRESS)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StoreError, match="cannot be used") as caught:
        load_checkpoint(tmp_path, *build())
    assert str(path) in caught.value.message
    assert str(path) in caught.value.hint


def test_of_another_model(tmp_path):
    save_checkpoint(tmp_path, *trained(), PROGRESS)
    with pytest.raises(StoreError, match="cannot be used"):
        load_checkpoint(tmp_path, *build(width=5))


def test_some_other_safetensors_file(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / NAME)
    with pytest.raises(StoreError, match="cannot be used"):
        load_checkpoint(tmp_path, *build())


def test_without_random_state(tmp_path):
    save_checkpoint(tmp_path, *trained(), PROGRESS)
    from safetensors import safe_open

    with safe_open(tmp_path / NAME, "pt") as file:
        kept = {k: file.get_tensor(k) for k in file.keys() if k != "rng.cpu"}  # noqa: SIM118
        metadata = {"progress": file.metadata()["progress"]}
    save_file(kept, tmp_path / NAME, metadata)
    with pytest.raises(StoreError, match=r"rng\.cpu"):
        load_checkpoint(tmp_path, *build())
