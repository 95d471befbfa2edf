"""What a transfer is: one term of a phase's loss, from the settings of a recipe to tensors.

A new way to distil is one loss in `boxless.losses`, one file beside this one with a `Transfer`, and
one line in `boxless.methods.table`. This module and the settings import no torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from boxless.methods.section import Read

if TYPE_CHECKING:
    from torch import Tensor, nn

    from boxless.losses.ridge_start import RidgeStart
    from boxless.methods.lessons import Lessons
    from boxless.models.protocols import Student
    from boxless.training.batches import Batch


@dataclass(frozen=True, slots=True)
class Needs:
    """What a transfer needs beside the images: of the teacher, and of the untagged images.

    Attributes:
        predictions: Its image probabilities.
        regions: The weights s' of so many regions per image; 0 = none.
        levels: Its feature maps of these levels.
        along: It sees the student's very views, which then have its input size.
        statistics: Mean and deviation of its last convolution, for the student to start with.
        start: Its logits, for the student's last layer to start with.
        tags: The tags of the tagged images.
        truth: The true tags of the untagged ones.
    """

    predictions: bool = False
    regions: int = 0
    levels: tuple[str, ...] = ()
    along: bool = False
    statistics: bool = False
    start: bool = False
    tags: bool = False
    truth: bool = False

    @property
    def teacher(self) -> bool:
        """Whether it needs anything of the teacher."""
        return bool(self.predictions or self.regions or self.levels or self.along)


def merged(needs: Iterable[Needs]) -> Needs:
    """What several transfers need together."""
    found = list(needs)
    flags = {f.name: any(getattr(one, f.name) for one in found) for f in fields(Needs)}
    levels = tuple(dict.fromkeys(level for one in found for level in one.levels))
    values: dict[str, Any] = {**flags, "regions": max(n.regions for n in found), "levels": levels}
    return Needs(**values)


@dataclass(frozen=True, slots=True)
class View:
    """What a term sees of a batch.

    Attributes:
        batch: Images, labels and regions.
        logits: (N, K) of the student, float32; empty where no term asks for them.
        maps: The student's maps (N, C, h, w) by level, those that some term asks for.
        lessons: What the teacher says of these images.
    """

    batch: "Batch"
    logits: "Tensor"
    maps: "dict[str, Tensor]"
    lessons: "Lessons"


Loss: TypeAlias = "tuple[Tensor, dict[str, Tensor]]"
"""A term's weighted value, and its parts for the log."""


def sum_of(parts: "dict[str, Tensor]") -> "Tensor":
    """The sum of losses by level."""
    import torch

    return torch.stack(list(parts.values())).sum()


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a loss, ready to be computed.

    Attributes:
        loss: Its value of a view.
        logits: Whether it looks at the student's logits.
        levels: The student's maps it looks at.
        module: What is trained beside the student and dropped afterwards.
        gather: Takes a view into the normal equations of Psi by level, where Psi can be fitted.
        ridge: Penalty of that fit before training; None = Psi starts as it is.
    """

    loss: Callable[[View], Loss]
    logits: bool = False
    levels: tuple[str, ...] = ()
    module: "nn.Module | None" = None
    gather: "Callable[[View, dict[str, RidgeStart]], None] | None" = None
    ridge: float | None = None


def prediction_term(soft: "nn.Module", weight: float, *, softened: bool) -> Term:
    """The term of a loss of logits and a teacher's predictions, p'^T or (not softened) p^T."""

    def loss(view: View) -> Loss:
        from boxless.training.clock import timed

        targets = view.lessons.predictions(view.batch, softened=softened)
        with timed("distillation loss"):
            value = soft(view.logits, targets)
        return weight * value, {"soft": value}

    return Term(loss, logits=True, module=soft)


@dataclass(frozen=True)
class Transfer(ABC):
    """What is transferred, and the settings it reads.

    The fields of a transfer are sections of a recipe, by the names they have there.
    """

    name: ClassVar[str]

    @classmethod
    def of(cls, recipe: object) -> Self:
        """The transfer as a recipe configures it."""
        return cls(**{field.name: getattr(recipe, field.name) for field in fields(cls)})

    @property
    def reads(self) -> tuple[Read, ...]:
        """Settings that its result depends on, beside the optimizer's."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @property
    def needs(self) -> Needs:
        """What it needs of the teacher."""
        return Needs()

    @abstractmethod
    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """The term for one student."""
