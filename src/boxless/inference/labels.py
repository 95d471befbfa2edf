"""A label and a box: what is said about an image, piece by piece."""

from dataclasses import dataclass

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Label:
    """A class and how probable it is.

    Attributes:
        name: Name of the class.
        probability: In [0, 1]; those of an image do not add up to 1.
        threshold: Probability from which on the class counts as present.
    """

    name: str
    probability: float
    threshold: float = DEFAULT_THRESHOLD

    @property
    def present(self) -> bool:
        """Whether the probability reaches the threshold."""
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True)
class Box:
    """Where a class was seen: a box that nobody drew.

    Attributes:
        name: Name of the class.
        score: In [0, 1].
        x1: Left edge in pixels of the upright image.
        y1: Upper edge.
        x2: Right edge, exclusive.
        y2: Lower edge, exclusive.
    """

    name: str
    score: float
    x1: float
    y1: float
    x2: float
    y2: float
