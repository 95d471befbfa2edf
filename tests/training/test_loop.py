"""The loop: interrupted anywhere and started again, it ends with the same bits."""

import pytest
import torch
from safetensors.torch import load_file
from task_case import FOLDS, classifier_task, region_task, teacher_task
from training_case import REGIONS, settings, stream

from boxless.errors import NumericsError, StoreError
from boxless.training.checkpoint import NAME
from boxless.training.events import WEIGHTS, read_events
from boxless.training.loop import train


class KilledError(Exception):
    """Stands for the plug being pulled."""


class Interrupted:
    """A task that dies in its n-th update."""

    def __init__(self, task, at):
        self.task, self.left = task, at
        self.module, self.is_new, self.train_mode = task.module, task.is_new, task.train_mode

    def losses(self, batch):
        self.left -= 1
        if self.left < 0:
            raise KilledError
        return self.task.losses(batch)


def made_up_loss():
    """Held-out losses for the plateau: a good one, then ever worse ones."""
    seen = iter((1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
    return lambda: next(seen)


CASES = {
    "teacher, adamw": (teacher_task, {}),
    "teacher's heads, folds, sgd": (
        lambda: teacher_task(heads=3, frozen=True, folds=FOLDS),
        {"optimizer": "sgd", "clip_norm": 0.5},
    ),
    "baseline, ema, sgd": (classifier_task, {"optimizer": "sgd", "ema": 0.9}),
    "stage 2, learned temperature, ema": (
        lambda: classifier_task(soft="bce", learn=True),
        {"ema": 0.5, "schedule": "constant"},
    ),
    "stage 1": (region_task, {"head_lr_factor": 5.0}),
}


def run(task, folder, runtime, chosen, checkpoint_seconds=-1.0, **options):
    """Train, with a checkpoint after every update."""
    torch.manual_seed(77)
    regions = 0 if getattr(task, "logits", False) else REGIONS
    return train(
        task,
        stream(regions),
        chosen,
        folder=folder,
        runtime=runtime,
        title="step",
        checkpoint_seconds=checkpoint_seconds,
        **options,
    )


def assert_same(first, second):
    one, two = load_file(first / WEIGHTS), load_file(second / WEIGHTS)
    assert set(one) == set(two)
    for key, value in one.items():
        assert torch.equal(value, two[key]), key


@pytest.mark.parametrize("case", list(CASES))
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, runtime, case):
    build, options = CASES[case]
    chosen = settings(**options)
    run(build(), tmp_path / "whole", runtime, chosen)
    with pytest.raises(KilledError):
        run(Interrupted(build(), at=2), tmp_path / "killed", runtime, chosen)
    assert not (tmp_path / "killed" / WEIGHTS).exists()
    task = build()
    progress = run(task, tmp_path / "killed", runtime, chosen)
    assert progress.update == 4
    assert_same(tmp_path / "whole", tmp_path / "killed")
    for key, value in load_file(tmp_path / "killed" / WEIGHTS).items():
        assert torch.equal(task.module.state_dict()[key], value)
    whole, killed = read_events(tmp_path / "whole"), read_events(tmp_path / "killed")
    assert whole == killed


def test_resumed_in_the_middle_of_a_plateau(tmp_path, runtime):
    """Four passes; the rate falls after the second; killed after the third check."""
    chosen = settings(schedule="plateau", epochs=4, warmup=0.0, optimizer="sgd")
    losses = {2: 1.0, 4: 2.0, 6: 1.5, 8: 0.5, 10: 3.0}

    def validation(task):
        done = {"count": 0}

        def measure():
            done["count"] += 2
            return losses[done["count"]]

        return measure, done

    whole = classifier_task()
    measure, _ = validation(whole)
    run(whole, tmp_path / "whole", runtime, chosen, validate=measure)
    rates = [e["lr"] for e in read_events(tmp_path / "whole")]
    assert rates[-1] < rates[0] / 5

    killed = Interrupted(classifier_task(), at=7)
    measure, done = validation(killed)
    with pytest.raises(KilledError):
        run(killed, tmp_path / "killed", runtime, chosen, validate=measure)
    assert done["count"] == 6
    again = classifier_task()
    run(again, tmp_path / "killed", runtime, chosen, validate=measure)
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_killed_twice_and_between_checkpoints(tmp_path, runtime):
    """Without a fresh checkpoint the lost updates are simply made again."""
    chosen = settings(epochs=2.4)
    run(classifier_task(), tmp_path / "whole", runtime, chosen)
    for at in (2, 3):
        task = Interrupted(classifier_task(), at=at)
        torch.manual_seed(77)
        with pytest.raises(KilledError):
            train(
                task,
                stream(),
                chosen,
                runtime=runtime,
                folder=tmp_path / "killed",
                title="step",
                checkpoint_seconds=-1.0 if at == 2 else 1e9,
            )
    run(classifier_task(), tmp_path / "killed", runtime, chosen)
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_damaged_checkpoint_is_named(tmp_path, runtime):
    with pytest.raises(KilledError):
        run(Interrupted(classifier_task(), at=2), tmp_path, runtime, settings())
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(StoreError, match=NAME):
        run(classifier_task(), tmp_path, runtime, settings())


def test_kept_weights_are_the_averaged_ones(tmp_path, runtime):
    plain, averaged = classifier_task(), classifier_task()
    run(plain, tmp_path / "plain", runtime, settings())
    run(averaged, tmp_path / "averaged", runtime, settings(ema=0.9))
    key = "student.fc.weight"
    one, two = (load_file(tmp_path / n / WEIGHTS)[key] for n in ("plain", "averaged"))
    assert not torch.equal(one, two)
    assert torch.equal(averaged.module.state_dict()[key], two)


def test_loss_that_is_not_a_number(tmp_path, runtime):
    task = classifier_task()
    with torch.no_grad():
        task.module["student"].fc.bias.fill_(torch.nan)
    with pytest.raises(NumericsError, match="the loss became nan") as caught:
        run(task, tmp_path, runtime, settings())
    assert "clip_norm" in caught.value.hint
    assert "no checkpoint yet" in caught.value.hint
    assert "the weight 'student.fc.bias' is not finite already" in caught.value.message
    assert not (tmp_path / WEIGHTS).exists()


class Spoiled(Interrupted):
    """A task whose n-th update goes wrong."""

    def __init__(self, task, at, spoil):
        super().__init__(task, at)
        self.spoil = spoil

    def losses(self, batch):
        self.left -= 1
        return (
            self.spoil(self, self.task.losses(batch))
            if self.left < 0
            else (self.task.losses(batch))
        )


def zero_gradient_root(self, losses):
    """Finite itself, but the root has no slope at zero."""
    fc = self.module["student"].fc.weight
    return losses | {"loss": losses["loss"].detach() + (fc - fc.detach()).sum().sqrt()}


def test_gradient_that_is_not_a_number(tmp_path, runtime):
    task = Spoiled(classifier_task(), 2, zero_gradient_root)
    with pytest.raises(NumericsError, match="the norm of the gradient became") as caught:
        run(task, tmp_path, runtime, settings())
    assert "in update 3, images " in caught.value.message
    assert "first in the gradient of 'student.fc.weight'" in caught.value.message
    assert f"last good checkpoint is of update 2: {tmp_path / NAME}" in caught.value.hint


def test_the_layer_is_named(tmp_path, runtime):
    task = classifier_task()
    layer = next(n for n, m in task.module.named_modules() if n.endswith("conv_stem"))
    part = task.module.get_submodule(layer)
    calls = []

    def overflow(module, inputs, output):
        calls.append(1)
        return output * (torch.inf if len(calls) > 2 else 1)

    part.register_forward_hook(overflow)
    with pytest.raises(NumericsError, match=r"in update 3, images '\d'.*") as caught:
        run(task, tmp_path, runtime, settings())
    assert f"the layer {layer!r} gave the first such output" in caught.value.message


def test_finite_gradients_are_clipped_as_torch_clips_them(tmp_path, runtime):
    from torch import nn

    one, two = nn.Linear(3, 2), nn.Linear(3, 2)
    two.load_state_dict(one.state_dict())
    pixels = torch.randn(4, 3)
    for net in (one, two):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        loss = net(pixels).square().sum()
        if net is one:
            runtime.step({"loss": loss}, net, optimizer, 0.5)
        else:
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
    assert torch.equal(one.weight, two.weight)


def test_number_of_updates_can_be_given(tmp_path, runtime):
    assert run(classifier_task(), tmp_path, runtime, settings(updates=3)).update == 3


def test_training_lowers_the_loss(tmp_path, runtime):
    chosen = settings(epochs=40, lr=3e-3, warmup=0.0)  # at 1e-2 the last losses are up to rounding
    run(classifier_task(), tmp_path, runtime, chosen, checkpoint_seconds=1e9)
    losses = [e["loss"] for e in read_events(tmp_path)]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_a_tracker_gets_what_is_logged_and_the_pace(tmp_path, runtime, monkeypatch):
    told = []

    class Told:
        def log(self, group, step, values):
            told.append((group, step, values))

    monkeypatch.setattr(runtime, "tracker", Told())
    run(classifier_task(), tmp_path, runtime, settings())
    events = read_events(tmp_path)
    assert [(group, step) for group, step, _ in told] == [("step", e["update"]) for e in events]
    for (_, _, values), event in zip(told, events, strict=True):
        assert values["loss"] == event["loss"]
        assert values["lr"] == event["lr"]
    assert told[-1][2]["images_per_second"] > 0
    assert not any("images_per_second" in event for event in events)  # the log repeats bit for bit
