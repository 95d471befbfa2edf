"""Networks: the backbone, the detector (teacher) and the classifier (student)."""

from boxless.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

from boxless.models.backbone import Backbone
from boxless.models.class_maps import ClassMapOutput, ClassMaps
from boxless.models.classifier import Classifier
from boxless.models.detector import DetectorOutput
from boxless.models.weakly_supervised import WeaklySupervisedDetector

__all__ = [
    "Backbone",
    "ClassMapOutput",
    "ClassMaps",
    "Classifier",
    "DetectorOutput",
    "WeaklySupervisedDetector",
]
