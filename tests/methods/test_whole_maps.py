"""Transfers of whole maps: the hint and attention."""

import pytest
import torch
from map_case import Maps, attention_task, hint_task, value
from task_case import (
    LEVEL,
    batch_of,
    changed,
    classifier_task,
    state_of,
    student,
    teacher,
    train_on,
)
from training_case import IMAGES, SIDE, dataset, stream

from boxless.losses.attention import attention_loss
from boxless.losses.tag_loss import TagLoss
from boxless.training.batches import whole_batches


@pytest.mark.parametrize("crop", [0.0, 0.6])
def test_hint_is_zero_where_the_student_is_an_online_teacher(crop):
    detector, model = teacher(), student()
    model.backbone.load_state_dict(detector.backbone.state_dict())
    task, other = hint_task(detector, model), hint_task(detector, student(seed=5))
    model.eval()
    other.student.eval()
    (batch,) = stream(crop=crop).batches(0, 1)
    assert value(task, batch) < 1e-8 * value(other, batch)


class TestAlignment:
    """Kept maps of the whole image, laid under the student's view by what their cells look at."""

    class Ramp:
        """A teacher map whose cells hold the x they look at, as a kept store would flip it."""

        def __init__(self, cells=64):
            self.cells, self.centres = cells, (torch.arange(cells) + 0.5) / cells

        def batch(self, batch, levels):
            plain = self.centres.expand(len(batch.index), 1, self.cells, self.cells)
            flips = batch.mirrored[:, None, None, None]
            return {lv: torch.where(flips, plain.flip(-1), plain) for lv in levels}

    def test_cells_look_at_the_same_place(self):
        """x of each student cell in the original image, from the view's own window."""
        found = hint_task(teacher(), student(), maps=self.Ramp()).lessons
        (batch,) = stream(crop=0.6, batch_size=IMAGES).batches(0, 1)
        assert batch.mirrored.any()
        assert not batch.mirrored.all()
        cells = 2
        student_maps = {LEVEL: torch.zeros(IMAGES, 1, cells, cells)}
        pooled = found.on_cells(batch, student_maps)[LEVEL]
        plan = stream(crop=0.6, batch_size=IMAGES).plan(0)
        for row, sample in enumerate(plan):
            x1, _, x2, _ = sample.view.window
            places = (torch.arange(cells) + 0.5) / cells  # in the view
            if sample.view.mirrored:
                places = 1 - places
            expected = x1 + (x2 - x1) * places
            inside = (expected > 0.1) & (expected < 0.9)  # beyond, the border is repeated
            torch.testing.assert_close(
                pooled[row, 0, 0][inside], expected[inside], atol=0.03, rtol=0
            )

    def test_kept_maps_of_whole_views_equal_online_ones(self):
        detector, model = teacher(), student()
        kept = hint_task(detector, model, maps=Maps(detector))
        online = hint_task(detector, model)
        model.eval()
        batch = batch_of()
        assert value(kept, batch) == pytest.approx(value(online, batch), rel=1e-6)


def test_channel_scale_of_the_hint_divides_both_maps():
    detector, model = teacher(), student()
    maps = Maps(detector, spread=4.0)
    plain = hint_task(detector, model, maps=maps)
    scaled = hint_task(detector, model, maps=maps, stage1={"channel_scale": "std"})
    model.eval()
    batch = batch_of()
    assert value(scaled, batch) == pytest.approx(value(plain, batch) / 16, rel=1e-5)


def test_the_regressor_starts_at_the_minimum_of_the_loss():
    """Over the cells of all batches; any step away from there loses."""
    ridge = {"adapter_start": "ridge", "adapter_ridge": 1e-9}
    task = hint_task(teacher(), student(), adapter="conv1x1", stage1=ridge)
    batches = list(whole_batches(dataset(), size=SIDE, batch_size=4))
    task.start_adapters(batches)
    batch, conv = batch_of(), task.adapters["hint"][LEVEL].map
    best = value(task, batch)
    for parameter in (conv.weight, conv.bias):
        for seed in (0, 1):
            generator = torch.Generator().manual_seed(seed)
            step = 1e-2 * torch.randn(parameter.shape, generator=generator)
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.add_(step, alpha=sign)
                assert value(task, batch) > best
                with torch.no_grad():
                    parameter.sub_(step, alpha=sign)


def test_attention_adds_to_the_tags():
    detector, model = teacher(), student()
    task = attention_task(detector, model, beta=3.0)
    model.eval()
    batch = batch_of()
    with torch.no_grad():
        pixels = batch.pixels.float()
        ours, theirs = (one.maps(pixels, (LEVEL,))[LEVEL] for one in (model, detector))
        tags = TagLoss()(model(pixels), batch.labels)
        parts = task.losses(batch)
        torch.testing.assert_close(parts["tags"], tags)
        torch.testing.assert_close(parts[LEVEL], attention_loss(ours, theirs, beta=3.0))
        torch.testing.assert_close(parts["loss"], parts["tags"] + parts[LEVEL])


def test_beta_0_trains_the_plain_students_weights(tmp_path, runtime):
    plain, other = student(), student()
    for name, task in (
        ("plain", classifier_task(model=plain)),
        ("attention", attention_task(teacher(), other, beta=0.0)),
    ):
        torch.manual_seed(0)
        train_on(task, tmp_path / name, runtime, regions=0)
    state = other.state_dict()
    for key, wanted in plain.state_dict().items():
        torch.testing.assert_close(state[key], wanted, msg=key)


@pytest.mark.parametrize("kind", ["hint", "attention"])
def test_the_student_moves_and_the_teacher_stays(tmp_path, runtime, kind):
    detector, model = teacher(), student()
    task = (hint_task if kind == "hint" else attention_task)(detector, model)
    before = state_of(detector)
    start = model.backbone.net.conv_stem.weight.detach().clone()
    train_on(task, tmp_path, runtime, regions=0)
    assert changed(detector, before) == set()
    assert not torch.equal(model.backbone.net.conv_stem.weight, start)
    assert all(key.startswith(("student.", "terms.")) for key in task.module.state_dict())
