"""What a student says about one image."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """A class and how probable it is.

    Attributes:
        name: Name of the class.
        probability: In [0, 1]; those of an image do not add up to 1.
    """

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """All labels of one image.

    Attributes:
        path: File of the image; None for an image given as pixels.
        labels: K labels, most probable first, equal ones in the order of the classes.
    """

    path: str | None
    labels: tuple[Label, ...]

    def top(self, n: int) -> tuple[Label, ...]:
        """The n most probable labels."""
        return self.labels[: max(n, 0)]

    def above(self, threshold: float) -> tuple[Label, ...]:
        """Labels strictly more probable than a threshold, best first."""
        return tuple(label for label in self.labels if label.probability > threshold)

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON: ``{"path", "labels": [{"name", "probability"}, …]}``."""
        labels = [{"name": label.name, "probability": label.probability} for label in self.labels]
        return {"path": self.path, "labels": labels}
