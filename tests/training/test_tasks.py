"""What each step trains, and what it must leave alone."""

import pytest
import torch
from boxless.training.tasks import VectorTask
from task_case import (
    FOLDS,
    LEVEL,
    classifier_task,
    region_task,
    student,
    teacher,
    teacher_task,
)
from torch.nn import functional
from training_case import IMAGES, REGIONS, SIDE, dataset, settings, stream

from boxless.losses.region_transfer import region_loss
from boxless.losses.tag_loss import detector_loss, tag_loss
from boxless.models.pixels import resize_aligned
from boxless.training.batches import whole_batches
from boxless.training.loop import train


def batch_of(rows=None, regions=REGIONS, size=SIDE, mirrored=False):
    (batch,) = whole_batches(
        dataset(regions), size=size, batch_size=IMAGES, rows=rows, mirrored=mirrored
    )
    return batch


def state_of(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def changed(module, before):
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


def train_on(task, folder, runtime, regions=REGIONS, **options):
    chosen = settings(**options)
    train(task, stream(regions), chosen, folder=folder, runtime=runtime, title="step")


class TestTeacher:
    def test_loss_is_that_of_its_probabilities(self):
        task = teacher_task(detector=teacher(region_temperature=2.0))
        task.detector.eval()
        batch = batch_of()
        (output,) = task.detector(batch.pixels.float(), batch.boxes, batch.scores, batch.mask)
        expected = detector_loss(output.image_probabilities(), batch.labels)
        torch.testing.assert_close(task.losses(batch)["loss"], expected)

    def test_a_folds_head_learns_nothing_from_its_fold(self):
        """Images of fold 0 alone: head 1 has no loss, head 2 has."""
        task = teacher_task(heads=3, frozen=True, folds=FOLDS)
        task.train_mode()
        rows = [n for n in range(IMAGES) if FOLDS[n] == 0]
        task.losses(batch_of(rows))["loss"].backward()
        heads = task.detector.heads
        assert all((p.grad == 0).all() for p in heads[1].parameters() if p.grad is not None)
        for head in (heads[0], heads[2]):
            assert (head.class_scores.weight.grad != 0).any()

    def test_changing_images_of_a_fold_leaves_its_head(self, tmp_path, runtime):
        """The whole training of head 1 is the same whatever fold 0 is tagged with."""
        results = []
        for flip in (False, True):
            source = dataset(REGIONS)
            if flip:
                source.records = [
                    r
                    if FOLDS[n]
                    else r.__class__(
                        r.image_id, r.path, r.split, tuple(1 - abs(v) for v in r.labels)
                    )
                    for n, r in enumerate(source.records)
                ]
            detector = teacher(heads=3, dropout=0.0)
            task = teacher_task(frozen=True, folds=FOLDS, detector=detector)
            batches = stream(REGIONS).__class__(source, batch_size=4, seed=3, sizes=(SIDE,))
            train(
                task,
                batches,
                settings(),
                folder=tmp_path / str(flip),
                runtime=runtime,
                title="teacher",
            )
            results.append([state_of(h) for h in detector.heads])
        plain, other = results
        same = [all(torch.equal(plain[h][k], other[h][k]) for k in plain[h]) for h in range(3)]
        assert same == [False, True, False]

    def test_frozen_backbone_stays_with_its_statistics(self, tmp_path, runtime):
        task = teacher_task(frozen=True)
        before = state_of(task.detector)
        train_on(task, tmp_path, runtime)
        moved = changed(task.detector, before)
        assert moved
        assert all(key.startswith("heads.") for key in moved)

    def test_new_layers(self):
        whole, heads = teacher_task(), teacher_task(frozen=True)
        new = {n for n, _ in whole.module.named_parameters() if whole.is_new(n)}
        assert new == {n for n, _ in whole.module.named_parameters() if n.startswith("heads.")}
        assert all(heads.is_new(n) for n, _ in heads.module.named_parameters())


class TestClassifier:
    def test_baseline_is_the_tag_loss(self):
        task = classifier_task()
        task.classifier.eval()
        batch = batch_of(regions=0)
        expected = tag_loss(task.classifier(batch.pixels.float()), batch.labels)
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
        task.classifier.eval()
        batch = batch_of([4, 1], regions=0)
        parts = task.losses(batch)
        student_p = task.classifier(batch.pixels.float()).sigmoid()
        expected = (task.targets[[4, 1]] - student_p).square().sum() / 4
        torch.testing.assert_close(parts["soft"], expected)
        torch.testing.assert_close(parts["loss"], parts["tags"] + 3 * parts["soft"])

    def test_frozen_statistics_stay_while_weights_move(self, tmp_path, runtime):
        task = classifier_task()
        task.train_statistics = False
        before = state_of(task.module)
        train_on(task, tmp_path, runtime, regions=0)
        moved = changed(task.module, before)
        assert any(key.endswith("conv_stem.weight") for key in moved)
        assert not any("running" in key or "num_batches" in key for key in moved)

    def test_new_layers(self):
        task = classifier_task(soft="bce", learn=True)
        new = {n for n, _ in task.module.named_parameters() if task.is_new(n)}
        assert new == {"classifier.fc.weight", "classifier.fc.bias", "soft.scale"}


class TestRegions:
    def test_only_the_backbone_and_psi_move_and_the_teacher_stays(self, tmp_path, runtime):
        """Bit-identical, BatchNorm's running statistics included."""
        detector, model = teacher(), student()
        task = region_task(detector=detector, model=model)
        teacher_before, head_before = state_of(detector), state_of(model.fc)
        backbone_before, psi_before = state_of(model.backbone), state_of(task.adapters)
        train_on(task, tmp_path, runtime)
        assert changed(detector, teacher_before) == set()
        assert changed(model.fc, head_before) == set()
        assert any(k.endswith("weight") for k in changed(model.backbone, backbone_before))
        assert len(changed(task.adapters, psi_before)) == 2
        assert all(p.grad is None for p in detector.parameters())

    def test_stage_2_leaves_the_teachers_predictions(self, tmp_path, runtime):
        task = classifier_task(soft="l2")
        before = task.targets.clone()
        train_on(task, tmp_path, runtime, regions=0)
        assert torch.equal(task.targets, before)
        assert not any("targets" in key for key in task.module.state_dict())

    @pytest.mark.parametrize("form", ["exact", "align", "max"])
    def test_zero_where_the_student_is_the_teacher(self, form):
        detector, model = teacher(), student()
        model.backbone.load_state_dict(detector.backbone.state_dict())
        task = region_task(detector=detector, model=model, adapter="identity", form=form)
        model.eval()
        loss = float(task.losses(batch_of())["loss"].detach())
        other = region_task(detector=detector, adapter="identity", form=form)
        other.backbone.eval()
        assert loss < 1e-5 * float(other.losses(batch_of())["loss"].detach())

    def test_adapter_starts_at_the_minimum_of_the_loss(self):
        """With next to no ridge hardly any loss is left, nor any slope in Psi."""
        task, batch = region_task(), batch_of()
        adapter = task.adapters[LEVEL].map

        def loss_and_slope():
            task.backbone.eval()
            loss = task.losses(batch)["loss"]
            slopes = torch.autograd.grad(loss, [adapter.weight, adapter.bias])
            return float(loss.detach()), max(float(s.abs().max()) for s in slopes)

        random = loss_and_slope()
        task.start_adapters([batch], ridge=1e-9)
        fitted = loss_and_slope()
        assert fitted[0] < 1e-3 * random[0]
        assert fitted[1] < 1e-2 * random[1]

    def test_loss_is_the_region_loss_of_displaced_boxes(self):
        task = region_task(form="align", adapter="identity")
        task.backbone.eval()
        batch = batch_of()
        with torch.no_grad():
            inputs = task.backbone.normalize(batch.pixels.float())
            ours, theirs = task.backbone(inputs, (LEVEL,)), task.maps_of(batch, (LEVEL,))
            shift = task.backbone.displacement(LEVEL) / SIDE
            assert shift != 0
            expected = region_loss(
                ours[LEVEL],
                theirs[LEVEL],
                batch.boxes - shift,
                batch.boxes - shift,
                task.objectness[:, : batch.boxes.shape[1]],
                batch.mask,
                bins=2,
                form="align",
            )
            torch.testing.assert_close(task.losses(batch)["loss"], expected)

    def test_any_images_can_be_weighed_from_outside(self):
        """What the held-out loss of a plateau needs: s' that is not of the training images."""
        task = region_task()
        task.backbone.eval()
        batch = batch_of([3, 0, 7])
        count = batch.boxes.shape[1]
        own = task.losses(batch)
        same = task.weighted_losses(batch, task.objectness[[3, 0, 7], :count])
        assert torch.equal(own["loss"], same["loss"])
        double = task.weighted_losses(batch, 2 * task.objectness[[3, 0, 7], :count])
        torch.testing.assert_close(double["loss"], 4 * own["loss"])

    def test_channel_scale_divides_both_maps(self):
        plain, scaled = region_task(adapter="identity"), region_task(adapter="identity")
        spread = torch.full((plain.backbone.channels(LEVEL),), 4.0)
        scaled.spreads = {LEVEL: spread}
        for task in (plain, scaled):
            task.backbone.eval()
        batch = batch_of()
        one, two = (float(t.losses(batch)["loss"].detach()) for t in (plain, scaled))
        assert two == pytest.approx(one / 16, rel=1e-4)

    def test_an_online_teacher_sees_the_view_and_uses_its_boxes(self):
        """With crops: the same view for both, so equal networks have nothing to learn."""
        detector, model = teacher(), student()
        model.backbone.load_state_dict(detector.backbone.state_dict())
        task = region_task(detector=detector, model=model, adapter="identity")
        model.eval()
        (batch,) = stream(REGIONS, crop=0.6).batches(0, 1)
        assert not torch.equal(batch.boxes, batch.whole_boxes)
        scale = region_task(detector=detector, adapter="identity")
        scale.backbone.eval()
        loss = float(task.losses(batch)["loss"].detach())
        assert loss < 1e-5 * float(scale.losses(batch)["loss"].detach())

    def test_new_layers(self):
        task = region_task()
        new = {n for n, _ in task.module.named_parameters() if task.is_new(n)}
        assert new == {f"adapters.{LEVEL}.map.weight", f"adapters.{LEVEL}.map.bias"}


class TestVectors:
    @staticmethod
    def pair():
        """A teacher and a student whose fc6 and fc7 are one and the same."""
        from boxless.models.detector import Detector, DetectorHead

        backbone = teacher().backbone
        channels = backbone.channels(LEVEL)
        head = DetectorHead(channels, 3, kind="fc6_fc7", bins=2, hidden=8, dropout=0.0)
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
        task = VectorTask(model, detector, student_size=SIDE, train_norm_statistics=False)
        detector.eval()
        model.eval()
        return task, model

    def test_zero_where_the_student_is_the_teacher(self):
        """Method 4.2: the region weight stands on both sides."""
        task, _ = self.pair()
        loss = float(task.losses(batch_of())["loss"].detach())
        assert loss == pytest.approx(0, abs=1e-8)

    def test_the_teachers_dropout_is_off_unless_asked_for(self):
        task, _ = self.pair()
        for wanted in (False, True):
            task.teacher_dropout = wanted
            task.train_mode()
            assert task.detector.heads[0].dropout.training == wanted
            assert not task.detector.backbone.training

    def test_gradient_reaches_the_student_alone(self):
        task, model = self.pair()
        with torch.no_grad():
            model.backbone.net.conv_stem.weight.mul_(1.3)
        task.losses(batch_of())["loss"].backward()
        assert (model.backbone.net.conv_stem.weight.grad != 0).any()
        assert all(p.grad is None for p in task.detector.backbone.parameters())


class TestResize:
    def test_convention_corners_are_aligned(self):
        """Method 1.3: ratio (672 - 1) / (224 - 1); the corner pixels stay what they are."""
        pixels = torch.arange(672.0).expand(1, 3, 672, 672)
        small = resize_aligned(pixels, 224)
        expected = torch.arange(224.0) * (671 / 223)
        torch.testing.assert_close(small[0, 0, 0], expected, atol=1e-3, rtol=0)
        assert small[0, 0, 0, 0] == 0
        assert small[0, 0, 0, -1] == 671

    def test_nothing_happens_at_the_wanted_size(self):
        pixels = torch.rand(1, 3, 8, 8)
        assert resize_aligned(pixels, 8) is pixels

    def test_is_caffes_interp(self):
        pixels = torch.rand(1, 1, 10, 10, dtype=torch.float64)
        found = resize_aligned(pixels, 4)
        ratio = 9 / 3
        for i in range(4):
            for j in range(4):
                assert found[0, 0, i, j] == pytest.approx(
                    float(pixels[0, 0, round(i * ratio), round(j * ratio)])
                )
        assert not torch.allclose(found, functional.interpolate(pixels, 4, mode="bilinear"))
