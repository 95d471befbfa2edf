"""What each transfer makes of a loss, what it trains, and what it must leave alone."""

import pytest
import torch
from map_case import Maps
from task_case import (
    LEVEL,
    Kept,
    batch_of,
    changed,
    classifier_task,
    knowledge_of,
    region_task,
    state_of,
    student,
    teacher,
    train_on,
)
from task_case import task as a_task
from torch import nn
from training_case import CLASSES, IMAGES, REGIONS, SIDE, stream

from boxless.losses.hinton import SigmoidDistillationLoss
from boxless.losses.region_transfer import region_loss
from boxless.losses.tag_loss import TagLoss
from boxless.methods.attention import Attention
from boxless.methods.class_aware import ClassAware
from boxless.methods.hint import Hint
from boxless.methods.hinton import Hinton
from boxless.methods.regions import Regions, RegionsByNms
from boxless.methods.tags import Tags


class TestClassifier:
    def test_plain_is_the_tag_loss(self):
        task = classifier_task()
        task.student.eval()
        batch = batch_of(regions=0)
        expected = TagLoss()(task.student(batch.pixels.float()), batch.labels)
        torch.testing.assert_close(task.losses(batch)["loss"], expected)

    @pytest.mark.parametrize("soft", ["l2", "bce"])
    def test_lambda_0_equals_the_baseline(self, tmp_path, runtime, soft):
        """Method 5.3; not only the loss but the trained weights."""
        model, plain = student(), student()
        for name, task in (
            ("soft", classifier_task(soft=soft, weight=0.0, model=model)),
            ("plain", classifier_task(model=plain)),
        ):
            torch.manual_seed(0)
            train_on(task, tmp_path / name, runtime, regions=0)
        for key, value in plain.state_dict().items():
            assert torch.equal(model.state_dict()[key], value), key

    def test_stage_2_adds_lambda_times_the_soft_loss(self):
        task = classifier_task(soft="l2", weight=3.0)
        task.student.eval()
        batch = batch_of([4, 1], regions=0)
        parts = task.losses(batch)
        student_p = task.student(batch.pixels.float()).sigmoid()
        expected = (Kept.targets[[4, 1]] - student_p).square().sum() / 4
        torch.testing.assert_close(parts["soft"], expected)
        torch.testing.assert_close(parts["loss"], parts["tags"] + 3 * parts["soft"])

    def test_frozen_statistics_stay_while_weights_move(self, tmp_path, runtime):
        task = classifier_task(statistics=False)
        before = state_of(task.module)
        train_on(task, tmp_path, runtime, regions=0)
        moved = changed(task.module, before)
        assert any(key.endswith("conv_stem.weight") for key in moved)
        assert not any("running" in key or "num_batches" in key for key in moved)

    def test_new_layers(self):
        task = classifier_task(soft="bce", learn=True)
        new = {n for n, _ in task.module.named_parameters() if task.is_new(n)}
        assert new == {"student.fc.weight", "student.fc.bias", "terms.class-aware.scale"}


class TestRegions:
    def test_only_the_backbone_and_psi_move_and_the_teacher_stays(self, tmp_path, runtime):
        """Bit-identical, BatchNorm's running statistics included."""
        detector, model = teacher(), student()
        task = region_task(detector=detector, model=model)
        psi = task.adapters["regions"]
        teacher_before, head_before = state_of(detector), state_of(model.fc)
        backbone_before, psi_before = state_of(model.backbone), state_of(psi)
        train_on(task, tmp_path, runtime)
        assert changed(detector, teacher_before) == set()
        assert changed(model.fc, head_before) == set()
        assert any(k.endswith("weight") for k in changed(model.backbone, backbone_before))
        assert len(changed(psi, psi_before)) == 2
        assert all(p.grad is None for p in detector.parameters())

    @pytest.mark.parametrize("form", ["exact", "align", "max"])
    def test_zero_where_the_student_is_the_teacher(self, form):
        detector, model = teacher(), student()
        model.backbone.load_state_dict(detector.backbone.state_dict())
        task = region_task(detector=detector, model=model, adapter="identity", form=form)
        model.eval()
        loss = float(task.losses(batch_of())["loss"].detach())
        other = region_task(detector=detector, adapter="identity", form=form)
        other.student.eval()
        assert loss < 1e-5 * float(other.losses(batch_of())["loss"].detach())

    def test_adapter_starts_at_the_minimum_of_the_loss(self):
        """With next to no ridge hardly any loss is left, nor any slope in Psi."""
        task, batch = region_task(adapter_start="ridge", adapter_ridge=1e-9), batch_of()
        adapter = task.adapters["regions"][LEVEL].map

        def loss_and_slope():
            task.student.eval()
            loss = task.losses(batch)["loss"]
            slopes = torch.autograd.grad(loss, [adapter.weight, adapter.bias])
            return float(loss.detach()), max(float(s.abs().max()) for s in slopes)

        random = loss_and_slope()
        task.start_adapters([batch])
        fitted = loss_and_slope()
        assert fitted[0] < 1e-3 * random[0]
        assert fitted[1] < 1e-2 * random[1]

    def test_components_compare_some_directions_of_the_teacher(self):
        """Directions that are axes: as if both maps had but their first channels."""
        detector = teacher()
        task = region_task(detector=detector, maps=Maps(detector), components=3)
        (psi,) = task.adapters["regions"].values()
        assert psi.map.out_channels == 3
        assert "directions" in psi.state_dict()  # a checkpoint's Psi means nothing without them
        task.student.eval()
        batch = batch_of()
        pixels = batch.pixels.float()
        with torch.no_grad():
            expected = region_loss(
                psi(task.student.maps(pixels, (LEVEL,))[LEVEL]),
                detector.maps(pixels, (LEVEL,))[LEVEL][:, :3],
                batch.boxes,
                batch.whole_boxes,
                Kept.objectness[:, : batch.boxes.shape[1]],
                batch.mask,
                bins=2,
            )
        torch.testing.assert_close(task.losses(batch)["loss"], expected)

    @pytest.mark.parametrize("scale", ["none", "std"])
    def test_loss_of_an_image_seen_before_is_the_same(self, scale):
        """Part of it is remembered from the first view."""
        detector = teacher()
        task = region_task(detector=detector, maps=Maps(detector, 2.0), channel_scale=scale)
        task.student.eval()
        first, again = (task.losses(batch_of())["loss"] for _ in range(2))
        torch.testing.assert_close(again, first)
        few, fresh = (
            batch_of([3, 1]),
            region_task(detector=detector, maps=Maps(detector, 2.0), channel_scale=scale),
        )
        fresh.student.eval()
        torch.testing.assert_close(task.losses(few)["loss"], fresh.losses(few)["loss"])

    def test_loss_is_the_region_loss_of_the_batchs_boxes(self):
        detector = teacher()
        task = region_task(detector=detector, form="align", adapter="identity")
        task.student.eval()
        batch = batch_of()
        with torch.no_grad():
            pixels = batch.pixels.float()
            ours, theirs = (one.maps(pixels, (LEVEL,)) for one in (task.student, detector))
            expected = region_loss(
                ours[LEVEL],
                theirs[LEVEL],
                batch.boxes,
                batch.boxes,
                Kept.objectness[:, : batch.boxes.shape[1]],
                batch.mask,
                bins=2,
                form="align",
            )
            torch.testing.assert_close(task.losses(batch)["loss"], expected)

    def test_the_teacher_weighs_images_that_nothing_is_kept_of(self):
        """The held-out loss of a plateau: s' comes from the teacher, not from the cache."""
        detector = teacher()
        task = region_task(detector=detector)
        task.student.eval()
        batch = batch_of([3, 0, 7])
        with torch.no_grad():
            scores = detector.answer(batch).region_scores()
            found = task.held_out_loss(batch)
            own = Kept.objectness.clone()
            Kept.objectness[[3, 0, 7], : batch.boxes.shape[1]] = knowledge_of(scores, batch)
            try:
                expected = task.losses(batch)["loss"]
            finally:
                Kept.objectness = own
        torch.testing.assert_close(found, expected)
        assert float(found) != pytest.approx(float(task.losses(batch)["loss"].detach()))

    def test_channel_scale_divides_both_maps(self):
        detector, batch = teacher(), batch_of()
        maps = Maps(detector, spread=4.0)
        found = []
        for scale in ("none", "std"):
            task = region_task(
                detector=detector, maps=maps, adapter="identity", channel_scale=scale
            )
            task.student.eval()
            found.append(float(task.losses(batch)["loss"].detach()))
        assert found[1] == pytest.approx(found[0] / 16, rel=1e-4)

    def test_nms_selects_once_from_what_is_kept(self):
        """Weights are 1 for regions that NMS on s' keeps, whatever the view."""
        task = a_task(RegionsByNms, stage1={"nms_keep": 2, "teacher_maps": "online"})
        task.student.eval()
        (batch,) = stream(REGIONS, crop=0.6, batch_size=IMAGES).batches(0, 1)
        whole = batch_of()
        kept = [task.losses(one)["weight"] * one.mask.sum() for one in (whole, batch)]
        assert float(kept[0].detach()) == pytest.approx(float(kept[1].detach()))
        assert IMAGES <= round(float(kept[0].detach())) <= 2 * IMAGES

    def test_an_online_teacher_sees_the_view_and_uses_its_boxes(self):
        """With crops: the same view for both, so equal networks have nothing to learn."""
        detector, model = teacher(), student()
        model.backbone.load_state_dict(detector.backbone.state_dict())
        task = region_task(detector=detector, model=model, adapter="identity")
        model.eval()
        (batch,) = stream(REGIONS, crop=0.6).batches(0, 1)
        assert not torch.equal(batch.boxes, batch.whole_boxes)
        scale = region_task(detector=detector, adapter="identity")
        scale.student.eval()
        loss = float(task.losses(batch)["loss"].detach())
        assert loss < 1e-5 * float(scale.losses(batch)["loss"].detach())

    def test_new_layers(self):
        task = region_task()
        new = {n for n, _ in task.module.named_parameters() if task.is_new(n)}
        assert new == {
            "student.fc.weight",
            "student.fc.bias",
            f"terms.regions.{LEVEL}.map.weight",
            f"terms.regions.{LEVEL}.map.bias",
        }


class TestVectors:
    @staticmethod
    def pair(dropout=False):
        """A teacher and a student whose fc6 and fc7 are one and the same."""
        from boxless.models.detector import Detector, DetectorHead

        backbone = teacher().backbone
        channels = backbone.channels(LEVEL)
        head = DetectorHead(channels, 3, kind="fc6_fc7", bins=2, hidden=8, dropout=0.5)
        detector = Detector(
            backbone,
            level=LEVEL,
            heads=[head],
            bins=2,
            pooling="max",
            score_scale=10.0,
            score_bias=1.0,
        )
        model = student()
        model.backbone.load_state_dict(backbone.state_dict())
        model.neck = torch.nn.Sequential(
            torch.nn.Flatten(), head.fc6, torch.nn.ReLU(), head.fc7, torch.nn.ReLU()
        )
        model.head_kind, model.fc = "fc6_fc7", torch.nn.Linear(8, 3)
        task = a_task(
            Regions, detector=detector, model=model, statistics=False, stage1={"target": "fc7"},
            teaching={"dropout": dropout},
        )  # fmt: skip
        model.eval()
        return task, model, detector

    def test_zero_where_the_student_is_the_teacher(self):
        """Method 4.2: the region weight stands on both sides."""
        task, _, _ = self.pair()
        loss = float(task.losses(batch_of())["loss"].detach())
        assert loss == pytest.approx(0, abs=1e-8)

    def test_the_teachers_dropout_is_off_unless_asked_for(self):
        for wanted in (False, True):
            task, _, detector = self.pair(dropout=wanted)
            one, two = (float(task.losses(batch_of())["loss"].detach()) for _ in range(2))
            assert (one == two) is not wanted
            assert detector.heads[0].dropout.training == wanted
            assert not detector.backbone.training

    def test_gradient_reaches_the_student_alone(self):
        task, model, detector = self.pair()
        with torch.no_grad():
            model.backbone.net.conv_stem.weight.mul_(1.3)
        model.train()
        task.losses(batch_of())["loss"].backward()
        assert (model.backbone.net.conv_stem.weight.grad != 0).any()
        assert all(p.grad is None for p in detector.backbone.parameters())


def test_hinton_softens_the_kept_probabilities():
    task = a_task(Tags, Hinton, hinton={"temperature": 3.0, "weight": 2.0})
    task.student.eval()
    batch = batch_of([4, 1], regions=0)
    with torch.no_grad():
        parts = task.losses(batch)
        logits = task.student(batch.pixels.float())
        expected = SigmoidDistillationLoss(3.0)(logits, Kept.probabilities[[4, 1]])
    torch.testing.assert_close(parts["soft"], expected)
    torch.testing.assert_close(parts["loss"], parts["tags"] + 2 * parts["soft"])


def test_a_student_of_ones_own_needs_logits_maps_and_its_size_alone(tmp_path, runtime):
    """The task knows the protocol: any module that answers it is trained."""

    class Own(nn.Module):
        classes, input_size = CLASSES, SIDE

        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 5, 8, stride=8), nn.Linear(5, CLASSES)

        def channels(self, level):
            return 5

        def maps(self, pixels, levels):
            return dict.fromkeys(levels, self.conv(pixels / 255))

        def classify(self, maps):
            return self.fc(maps.mean((2, 3)))

        def forward(self, pixels):
            return self.classify(self.maps(pixels, ("final",))["final"])

    for place, kinds in enumerate(((Hint,), (Tags, ClassAware, Attention))):
        model = Own()
        before = state_of(model)
        train_on(a_task(*kinds, model=model), tmp_path / str(place), runtime, regions=0)
        assert "conv.weight" in changed(model, before)
