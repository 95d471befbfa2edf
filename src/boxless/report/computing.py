"""How the updates of a run are computed, where that was measured: part of ``results.json``."""

from typing import Literal

from boxless.report.part import Count, Part
from boxless.training.fastest import Way


class Computing(Part):
    """What ``auto`` chose; the layout of ``computing.json``.

    Attributes:
        precision: The precision that was chosen, or given.
        compile: Whether backbones are compiled: chosen, or given.
        measured: Which of the two were chosen.
        device: Where it was measured.
        images: Images an update.
        size: Their side in pixels.
        updates: Updates of all students of the recipe; compiling has to repay itself by them.
        ways: All ways looked at, the plain one first.
    """

    precision: Literal["no", "fp16", "bf16"]
    compile: Literal["no", "yes"]
    measured: tuple[Literal["precision", "compile"], ...]
    device: str
    images: Count
    size: Count
    updates: Count
    ways: tuple[Way, ...]

    @property
    def chosen(self) -> Way:
        """The way that is taken."""
        taken = (self.precision, self.compile)
        return next(way for way in self.ways if (way.precision, way.compile) == taken)
