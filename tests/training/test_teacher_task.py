"""What the teacher's step trains, and what it must leave alone."""

import torch
from task_case import FOLDS, batch_of, changed, state_of, teacher, teacher_task, train_on
from training_case import IMAGES, REGIONS, SIDE, dataset, settings, stream

from boxless.losses.tag_loss import detector_loss
from boxless.training.loop import train


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
