"""Small teachers and students, built the same way every time."""

from types import SimpleNamespace

import torch
from training_case import CLASSES, IMAGES, REGIONS, SIDE, dataset, settings, stream

from boxless.losses.objectness import objectness
from boxless.methods.attention import AttentionSettings
from boxless.methods.class_aware import ClassAware, ClassAwareSettings
from boxless.methods.hint import HintSettings
from boxless.methods.hinton import HintonSettings
from boxless.methods.lessons import Lessons
from boxless.methods.regions import Regions, RegionSettings
from boxless.methods.student_task import StudentTask
from boxless.methods.tags import Tags, TagSettings
from boxless.methods.teaching import Teaching
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector, DetectorHead
from boxless.training.batches import whole_batches
from boxless.training.loop import train
from boxless.training.teacher_cache import Knowledge
from boxless.training.teacher_task import TeacherTask

LEVEL = "stride16"
FOLDS = torch.tensor([n % 2 for n in range(IMAGES)])


def teacher(heads=1, dropout=0.3, seed=1, region_temperature=1.0):
    torch.manual_seed(seed)
    backbone = Backbone("test_efficientnet")
    made = [
        DetectorHead(
            backbone.channels(LEVEL),
            CLASSES,
            kind="pooled_linear",
            bins=2,
            hidden=8,
            dropout=dropout,
        )
        for _ in range(heads)
    ]
    return Detector(
        backbone,
        level=LEVEL,
        heads=made,
        bins=2,
        pooling="align",
        score_scale=10.0,
        score_bias=1.0,
        region_temperature=region_temperature,
    )


def student(dropout=0.3, seed=2):
    torch.manual_seed(seed)
    backbone = Backbone("test_efficientnet")
    return Classifier(backbone, CLASSES, head="gap", dropout=dropout, input_size=SIDE)


def teacher_task(*, heads=1, frozen=False, folds=None, detector=None):
    return TeacherTask(
        detector or teacher(heads),
        frozen_backbone=frozen,
        folds=folds,
        train_norm_statistics=True,
    )


def knowledge_of(scores, batch):
    return objectness(scores, batch.scores, batch.mask)


class Kept:
    """Made-up predictions and region weights of the training images."""

    targets = torch.rand(IMAGES, CLASSES, generator=torch.Generator().manual_seed(5))
    probabilities = torch.rand(IMAGES, CLASSES, generator=torch.Generator().manual_seed(7))
    objectness = torch.rand(IMAGES, REGIONS, generator=torch.Generator().manual_seed(6))


SECTIONS = {
    "tags": TagSettings(),
    "teaching": Teaching(),
    "stage1": RegionSettings(levels=(LEVEL,), bins=2, regions=REGIONS, adapter="conv1x1"),
    "stage2": ClassAwareSettings(),
    "hinton": HintonSettings(),
    "hint": HintSettings(),
    "attention": AttentionSettings(),
}


def task(*kinds, detector=None, model=None, maps=None, statistics=True, **changes):
    """A phase of some transfers; changed settings are given section by section."""
    given = {k: v.model_copy(update=changes.get(k, {})) for k, v in SECTIONS.items()}
    recipe = SimpleNamespace(**given)
    model, found = model or student(), [kind.of(recipe) for kind in kinds]
    if any(one.needs.levels or one.needs.along for one in found):
        detector = (detector or teacher()).eval().requires_grad_(requires_grad=False)
    lessons = Lessons(
        SIDE,
        Knowledge(0.5, 0.5, knowledge_of),
        teacher=detector,
        kept=Kept,
        maps=maps,
        images=dataset(REGIONS),
        along=recipe.teaching.along,
        dropout=recipe.teaching.dropout,
        labels=torch.tensor([record.labels for record in dataset(0).records]),
    )
    torch.manual_seed(3)
    terms = {one.name: one.build(model, lessons) for one in found}
    return StudentTask(model, terms, lessons, train_norm_statistics=statistics)


def classifier_task(*, soft=None, weight=1.0, model=None, learn=False, **options):
    """The plain student, or class-aware distillation with made-up targets."""
    if soft is None:
        return task(Tags, model=model, **options)
    config = {"soft_loss": soft, "soft_weight": weight, "learn_temperature": learn}
    return task(Tags, ClassAware, model=model, stage2=config, **options)


def region_task(*, detector=None, model=None, maps=None, statistics=True, **config):
    """Regions, with the teacher running along unless there are maps."""
    return task(
        Regions, detector=detector, model=model, maps=maps, statistics=statistics, stage1=config
    )


def batch_of(rows=None, regions=REGIONS, size=SIDE):
    (batch,) = whole_batches(dataset(regions), size=size, batch_size=IMAGES, rows=rows)
    return batch


def state_of(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def changed(module, before):
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


def train_on(task, folder, runtime, regions=REGIONS, **options):
    chosen = settings(**options)
    train(task, stream(regions), chosen, folder=folder, runtime=runtime, title="step")
