"""Stage 1 of the released code: region vectors (fc7) of teacher and student agree."""

from typing import TYPE_CHECKING, cast

import torch

from boxless.errors import ConfigError
from boxless.losses.region_pooling import floor_boxes, pool_regions, score_weights
from boxless.losses.region_transfer import vector_loss
from boxless.methods.transfer import Term
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector, DetectorHead

if TYPE_CHECKING:
    from torch import Tensor

    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student


def vector_term(student: "Student", lessons: "Lessons") -> Term:
    """Squared distance of region vectors; boxes are whole pixels, as in the released code.

    Args:
        student: With an ``fc6_fc7`` head, which is trained too.
        lessons: Of a detector with an ``fc6_fc7`` head of the same width.

    Raises:
        ConfigError: One of them has no such head.
    """
    detector = _require_heads(student, lessons)
    pupil, level, size = cast("Classifier", student), detector.level, student.input_size

    def loss(view: "View") -> "Loss":
        batch, side = view.batch, int(view.batch.pixels.shape[-1])
        pixels = batch.pixels.float()
        whole = floor_boxes(batch.boxes, view_size=side, size=side)
        with torch.no_grad():
            detector.noisy(on=view.lessons.dropout)
            pooled = detector.pooled(
                detector.maps(pixels, (level,))[level], whole, batch.scores, view_size=side
            )
            target = cast("DetectorHead", detector.heads[0]).vectors(pooled)
        features = pupil.maps(pixels, (level,))[level]
        boxes = floor_boxes(whole, view_size=side, size=size)
        regions = pool_regions(
            features, boxes, bins=detector.bins, pooling=detector.pooling, view_size=size
        )
        weights = score_weights(
            batch.scores, scale=detector.score_scale, bias=detector.score_bias
        ).view(-1, 1, 1, 1)  # as the teacher's, on both sides (method 4.2)
        vectors: Tensor = pupil.neck(regions * weights).view(*batch.mask.shape, -1)
        return vector_loss(vectors, target, batch.mask), {}

    return Term(loss)


def _require_heads(student: "Student", lessons: "Lessons") -> Detector:
    """The detector, if both have region vectors of one width."""
    teacher = lessons.teacher
    ours = theirs = 0
    if isinstance(student, Classifier) and student.head_kind == "fc6_fc7":
        ours = student.fc.in_features
    if isinstance(teacher, Detector):
        head = cast("DetectorHead", teacher.heads[0])
        theirs = head.class_scores.in_features if head.kind == "fc6_fc7" else 0
    if isinstance(teacher, Detector) and ours and ours == theirs:
        return teacher
    found = [f"fc6_fc7 of width {width}" if width else "another head" for width in (ours, theirs)]
    raise ConfigError(
        "stage1.target = 'fc7' compares fc7 vectors, so student and teacher both need head ="
        f" 'fc6_fc7' of one width; found student: {found[0]}, teacher: {found[1]}",
        hint="use stage1.target = 'conv', or VGG16 for both",
    )
