"""Hinton distillation for sigmoid outputs: the teacher's image probabilities p^T, softened."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from boxless.methods.section import NonNegative, Positive, Read, Section
from boxless.methods.teaching import Teaching
from boxless.methods.transfer import Needs, Term, Transfer, prediction_term

if TYPE_CHECKING:
    from boxless.methods.lessons import Lessons
    from boxless.models.protocols import Student


class HintonSettings(Section):
    """Hinton distillation for sigmoid outputs (methods ``hinton``, ``fitnets-hinton``)."""

    temperature: Positive = Field(2.0, description="T that softens teacher and student")
    weight: NonNegative = Field(1.0, description="weight of T^2 times the soft cross-entropy")


@dataclass(frozen=True)
class Hinton(Transfer):
    """Predictions p^T, both sides softened by T."""

    name: ClassVar[str] = "hinton"
    hinton: HintonSettings
    teaching: Teaching

    @property
    def reads(self) -> tuple[Read, ...]:
        """The teacher's behavior counts only where it predicts along."""
        return (self.hinton, self.teaching) if self.teaching.along else (self.hinton,)

    @property
    def needs(self) -> Needs:
        """p^T."""
        return Needs(predictions=True, along=self.teaching.along)

    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """The softened cross-entropy."""
        from boxless.losses.hinton import SigmoidDistillationLoss

        soft = SigmoidDistillationLoss(self.hinton.temperature)
        return prediction_term(soft, self.hinton.weight, softened=False)
