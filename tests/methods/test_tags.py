"""The tags' loss where only some images have tags."""

from dataclasses import replace

import torch
from task_case import SIDE, knowledge_of, student
from training_case import CLASSES, IMAGES, dataset

from boxless.losses.tag_loss import TagLoss
from boxless.methods.lessons import Lessons
from boxless.methods.tags import Tags, TagSettings, TrueTags
from boxless.methods.transfer import View
from boxless.training.batches import whole_batches
from boxless.training.teacher_cache import Knowledge
from boxless.types import UNKNOWN

TAGGED = 3


def loss_of(batch, logits, *, tagged, kind=Tags):
    lessons = Lessons(SIDE, Knowledge(1, 1, knowledge_of), tagged=tagged)
    term = kind(TagSettings()).build(student(), lessons)
    return term.loss(View(batch, logits, {}, lessons))[0]


def mixed():
    """All images as one batch, those from `TAGGED` on without tags."""
    (batch,) = whole_batches(dataset(), size=SIDE, batch_size=IMAGES)
    labels = batch.labels.clone()
    labels[TAGGED:] = UNKNOWN
    return replace(batch, labels=labels), torch.randn(IMAGES, CLASSES)


def test_the_mean_is_over_images_with_tags():
    batch, logits = mixed()
    wanted = TagLoss()(logits[:TAGGED], batch.labels[:TAGGED])
    torch.testing.assert_close(loss_of(batch, logits, tagged=TAGGED), wanted)
    assert loss_of(batch, logits, tagged=None) < wanted


def test_a_batch_without_tags_has_no_loss():
    batch, logits = mixed()
    rest = replace(
        batch, labels=batch.labels[TAGGED:], index=batch.index[TAGGED:],
        everyone=batch.everyone[TAGGED:],
    )  # fmt: skip
    logits = logits[TAGGED:].requires_grad_()
    loss = loss_of(rest, logits, tagged=TAGGED)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_processes_add_up_to_the_whole_batch():
    """However unevenly the tagged images fall on them."""
    batch, logits = mixed()
    total = torch.zeros(())
    for part in (slice(0, 7), slice(7, IMAGES)):
        own = replace(batch, labels=batch.labels[part], index=batch.index[part])
        total = total + own.share * loss_of(own, logits[part], tagged=TAGGED)
    torch.testing.assert_close(total, loss_of(batch, logits, tagged=TAGGED))


def test_only_the_oracle_asks_for_true_tags():
    assert Tags(TagSettings()).needs.tags
    assert not Tags(TagSettings()).needs.truth
    assert TrueTags(TagSettings()).needs.truth
    assert not TrueTags(TagSettings()).needs.teacher
