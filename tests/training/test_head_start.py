"""The last layer starts as the teacher, as far as the student's features can say it."""

import torch
from training_case import CLASSES, IMAGES, SIDE, dataset

from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.training.batches import whole_batches
from boxless.training.head_start import LEAST, start_head


def batches():
    return whole_batches(dataset(), size=SIDE, batch_size=4)


def student():
    torch.manual_seed(0)
    return Classifier(Backbone("test_efficientnet"), CLASSES, dropout=0.5)


@torch.no_grad()
def said(model):
    rows = [model.eval()(batch.pixels.float()) for batch in batches()]
    return torch.cat(rows).sigmoid()


def test_the_student_says_what_the_teacher_says():
    teacher = torch.rand(IMAGES, CLASSES, generator=torch.Generator().manual_seed(1))
    model = student()
    before = (said(model) - teacher).square().mean()
    features = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("fc.")}
    start_head(model, batches(), teacher)
    after = said(model)
    assert float((after - teacher).square().mean()) < 0.5 * float(before)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in features.items())
    start_head(model, batches(), teacher)
    assert torch.equal(said(model), after)


def test_a_constant_teacher_becomes_the_bias():
    teacher = torch.tensor([0.0, 0.25, 1.0]).expand(IMAGES, CLASSES)
    model = student()
    start_head(model, batches(), teacher)
    expected = teacher.clamp(LEAST, 1 - LEAST)
    torch.testing.assert_close(said(model), expected, atol=1e-4, rtol=0)
