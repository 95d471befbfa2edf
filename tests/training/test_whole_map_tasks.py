"""FitNets' hint and attention transfer as training tasks: aligned cells, what moves, what stays."""

import pytest
import torch
from boxless.training.whole_map_tasks import AttentionTask, HintTask, TeacherMaps
from task_case import LEVEL, student, teacher
from training_case import IMAGES, SIDE, dataset, settings, stream

from boxless.losses.attention import attention_loss
from boxless.losses.region_transfer import Adapter
from boxless.losses.tag_loss import tag_loss
from boxless.training.batches import whole_batches
from boxless.training.loop import train


def maps_of(backbone):
    @torch.no_grad()
    def online(batch, levels):
        return backbone(backbone.normalize(batch.pixels.float()), levels)

    return online


def hint_task(backbone, model, *, adapter="identity", flipped=False, spreads=None, maps=None):
    backbone.eval().requires_grad_(requires_grad=False)
    channels = model.backbone.channels(LEVEL), backbone.channels(LEVEL)
    found = TeacherMaps(maps or maps_of(backbone), backbone, SIDE, flipped)
    return HintTask(
        model.backbone,
        {LEVEL: Adapter(*channels, kind=adapter)},
        found,
        spreads=spreads or {},
        student_size=SIDE,
        train_norm_statistics=True,
    )


def attention_task(backbone, model, **options):
    backbone.eval().requires_grad_(requires_grad=False)
    found = TeacherMaps(maps_of(backbone), backbone, SIDE, flipped=False)
    given = {"levels": (LEVEL,), "beta": 3.0, "form": "released", **options}
    return AttentionTask(model, found, student_size=SIDE, train_norm_statistics=True, **given)


def batch_of(mirrored=False):
    (batch,) = whole_batches(dataset(), size=SIDE, batch_size=IMAGES, mirrored=mirrored)
    return batch


def value(task, batch):
    return float(task.losses(batch)["loss"].detach())


@pytest.mark.parametrize("crop", [0.0, 0.6])
def test_hint_is_zero_where_the_student_is_an_online_teacher(crop):
    backbone, model = teacher().backbone, student()
    model.backbone.load_state_dict(backbone.state_dict())
    task, other = hint_task(backbone, model), hint_task(backbone, student(seed=5))
    model.eval()
    other.backbone.eval()
    (batch,) = stream(crop=crop).batches(0, 1)
    assert value(task, batch) < 1e-8 * value(other, batch)


class TestAlignment:
    """Kept maps of the whole image, laid under the student's view by what their cells look at."""

    @staticmethod
    def ramp(backbone, cells=64):
        """A teacher map whose cells hold the x they look at, as a kept store would flip it."""
        shift = backbone.displacement(LEVEL) / SIDE
        centres = (torch.arange(cells) + 0.5) / cells + shift

        def kept(batch, levels):
            plain = centres.expand(len(batch.index), 1, cells, cells)
            flips = batch.mirrored[:, None, None, None]
            return {lv: torch.where(flips, plain.flip(-1), plain) for lv in levels}

        return kept

    def test_cells_look_at_the_same_place(self):
        """x of each student cell in the original image, from the view's own window."""
        backbone = teacher().backbone
        found = TeacherMaps(self.ramp(backbone), backbone, SIDE, flipped=True)
        (batch,) = stream(crop=0.6, batch_size=IMAGES).batches(0, 1)
        assert batch.mirrored.any()
        assert not batch.mirrored.all()
        size, cells = SIDE, 2
        student_maps = {LEVEL: torch.zeros(IMAGES, 1, cells, cells)}
        pooled = found.on_cells(batch, student_maps, backbone, size)[LEVEL]
        shift = backbone.displacement(LEVEL) / size
        assert shift != 0
        plan = stream(crop=0.6, batch_size=IMAGES).plan(0)
        for row, sample in enumerate(plan):
            x1, _, x2, _ = sample.view.window
            places = (torch.arange(cells) + 0.5) / cells + shift  # in the view
            if sample.view.mirrored:
                places = 1 - places
            expected = x1 + (x2 - x1) * places
            inside = (expected > 0.1) & (expected < 0.9)  # beyond, the border is repeated
            torch.testing.assert_close(
                pooled[row, 0, 0][inside], expected[inside], atol=0.03, rtol=0
            )

    def test_kept_maps_of_whole_views_equal_online_ones(self):
        backbone, model = teacher().backbone, student()
        kept, online = hint_task(backbone, model, flipped=True), hint_task(backbone, model)
        model.eval()
        batch = batch_of()
        assert value(kept, batch) == pytest.approx(value(online, batch), rel=1e-6)


def test_channel_scale_divides_both_maps():
    backbone, model = teacher().backbone, student()
    spread = torch.full((backbone.channels(LEVEL),), 4.0)
    plain = hint_task(backbone, model)
    scaled = hint_task(backbone, model, spreads={LEVEL: spread})
    model.eval()
    batch = batch_of()
    assert value(scaled, batch) == pytest.approx(value(plain, batch) / 16, rel=1e-5)


def test_the_regressor_starts_at_the_minimum_of_the_loss():
    """Over the cells of all batches; any step away from there loses."""
    backbone, model = teacher().backbone, student()
    task = hint_task(backbone, model, adapter="conv1x1")
    batches = list(whole_batches(dataset(), size=SIDE, batch_size=4))
    task.start_adapters(batches, ridge=1e-9)
    batch, conv = batch_of(), task.adapters[LEVEL].map
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
    backbone, model = teacher().backbone, student()
    task = attention_task(backbone, model)
    model.eval()
    batch = batch_of()
    with torch.no_grad():
        inputs = model.backbone.normalize(batch.pixels.float())
        ours = model.backbone(inputs, (LEVEL,))[LEVEL]
        theirs = backbone(backbone.normalize(batch.pixels.float()), (LEVEL,))[LEVEL]
        tags = tag_loss(model(batch.pixels.float()), batch.labels)
        parts = task.losses(batch)
        torch.testing.assert_close(parts["tags"], tags)
        torch.testing.assert_close(parts[LEVEL], attention_loss(ours, theirs, beta=3.0))
        torch.testing.assert_close(parts["loss"], parts["tags"] + parts[LEVEL])


def test_beta_0_trains_the_plain_students_weights(tmp_path, runtime):
    from task_case import classifier_task

    plain, other = student(), student()
    backbone = teacher().backbone
    for name, task in (
        ("plain", classifier_task(model=plain)),
        ("attention", attention_task(backbone, other, beta=0.0)),
    ):
        torch.manual_seed(0)
        train(task, stream(), settings(), folder=tmp_path / name, runtime=runtime, title="step")
    state = other.state_dict()
    for key, wanted in plain.state_dict().items():
        torch.testing.assert_close(state[key], wanted, msg=key)


@pytest.mark.parametrize("kind", ["hint", "attention"])
def test_the_student_moves_and_the_teacher_stays(tmp_path, runtime, kind):
    backbone, model = teacher().backbone, student()
    make = hint_task if kind == "hint" else attention_task
    task = make(backbone, model)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    start = model.backbone.net.conv_stem.weight.detach().clone()
    train(task, stream(), settings(), folder=tmp_path, runtime=runtime, title="step")
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())
    assert not torch.equal(model.backbone.net.conv_stem.weight, start)
    assert not any("teacher" in key for key in task.module.state_dict())


def test_new_layers():
    backbone, model = teacher().backbone, student()
    hint = hint_task(backbone, model, adapter="conv1x1")
    new = {n for n, _ in hint.module.named_parameters() if hint.is_new(n)}
    assert new == {f"adapters.{LEVEL}.map.weight", f"adapters.{LEVEL}.map.bias"}
    attention = attention_task(backbone, model)
    new = {n for n, _ in attention.module.named_parameters() if attention.is_new(n)}
    assert new == {"classifier.fc.weight", "classifier.fc.bias"}
