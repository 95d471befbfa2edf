"""Small teachers and students, built the same way every time."""

import torch
from boxless.training.tasks import ClassifierTask, RegionTask, TeacherTask
from training_case import CLASSES, IMAGES, REGIONS, SIDE

from boxless.losses.prediction_transfer import SoftLoss
from boxless.losses.region_transfer import Adapter
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector, DetectorHead

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
    return Classifier(Backbone("test_efficientnet"), CLASSES, head="gap", dropout=dropout)


def teacher_task(*, heads=1, frozen=False, folds=None, detector=None):
    return TeacherTask(
        detector or teacher(heads),
        frozen_backbone=frozen,
        folds=folds,
        train_norm_statistics=True,
    )


def classifier_task(*, soft=None, weight=1.0, model=None, learn=False):
    """The baseline, or stage 2 with made-up targets."""
    model = model or student()
    if soft is None:
        return ClassifierTask(model, train_norm_statistics=True)
    targets = torch.rand(IMAGES, CLASSES, generator=torch.Generator().manual_seed(5))
    module = SoftLoss(soft, classes=CLASSES, temperature=5.0, learn_temperature=learn)
    return ClassifierTask(
        model, train_norm_statistics=True, soft=module, soft_weight=weight, targets=targets
    )


def region_task(*, detector=None, model=None, adapter="conv1x1", **options):
    """Stage 1 with the teacher running along."""
    detector = (detector or teacher()).eval().requires_grad_(requires_grad=False)
    model = model or student()
    torch.manual_seed(3)
    channels = model.backbone.channels(LEVEL), detector.backbone.channels(LEVEL)

    @torch.no_grad()
    def maps_of(batch, levels):
        return detector.backbone(detector.backbone.normalize(batch.pixels.float()), levels)

    given = {
        "bins": 2,
        "form": "exact",
        "spreads": {},
        "student_size": SIDE,
        "teacher_size": SIDE,
        "teacher_backbone": detector.backbone,
        "flipped_maps": False,
        "train_norm_statistics": True,
        **options,
    }
    weights = torch.rand(IMAGES, REGIONS, generator=torch.Generator().manual_seed(6))
    return RegionTask(
        model.backbone, {LEVEL: Adapter(*channels, kind=adapter)}, maps_of, weights, **given
    )
