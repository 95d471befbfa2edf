"""The compared ways to distil, as data: what is transferred of features and of predictions.

A *method* is a pair. Features are transferred before the tags are looked at (``hint``,
``regions-nms``, ``regions``: a first phase with a loss of its own) or beside them
(``attention``); predictions are transferred together with the tags. `boxless.runs.methods`
turns a method into steps of a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Features = Literal["none", "hint", "attention", "regions-nms", "regions"]
Predictions = Literal["none", "hinton", "class-aware"]

DISTILLED: Final = "distilled"
"""The recipe's own method, which every run trains."""

REGIONAL: Final = frozenset({"regions-nms", "regions"})
FIRST_PHASES: Final = frozenset({"hint", *REGIONAL})
"""Transfers of features that take a phase of their own, before the tags."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to distil.

    Attributes:
        features: What of the teacher's feature maps is transferred.
        predictions: What of its predictions is transferred, beside the tags.
        label: Name for people.
    """

    features: Features
    predictions: Predictions
    label: str

    @property
    def has_first_phase(self) -> bool:
        """Whether features are transferred before the tags are looked at."""
        return self.features in FIRST_PHASES

    def equals(self, other: "Method") -> bool:
        """Whether both transfer the same; labels do not count."""
        return (self.features, self.predictions) == (other.features, other.predictions)


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "hinton": Method("none", "hinton", "Hinton distillation"),
        "attention": Method("attention", "none", "attention transfer"),
        "fitnets": Method("hint", "none", "FitNets (hint, then tags)"),
        "fitnets-hinton": Method("hint", "hinton", "FitNets with Hinton distillation"),
        "class-aware": Method("none", "class-aware", "class-aware distillation alone"),
        "hint-class-aware": Method("hint", "class-aware", "whole-map hint + class-aware"),
        "regions-nms": Method("regions-nms", "class-aware", "NMS regions + class-aware"),
        "regions": Method("regions", "class-aware", "weighted regions + class-aware"),
    }
)
"""The compared methods by name, in the order of tables: the paper's rows, the option of the FitNets
paper (``fitnets-hinton``) and the whole-map twin of ``regions`` (``hint-class-aware``)."""
