"""Class-aware distillation: the student's predictions towards p'^T (stage 2; method 5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from boxless.methods.section import NonNegative, Positive, Section
from boxless.methods.teaching import Teaching
from boxless.methods.transfer import Needs, Term, Transfer, prediction_term

if TYPE_CHECKING:
    from boxless.methods.lessons import Lessons
    from boxless.models.protocols import Student


class ClassAwareSettings(Section):
    """Prediction-level transfer."""

    soft_loss: Literal["l2", "bce"] = Field("l2", description="l2 (paper) or bce (released code)")
    soft_weight: NonNegative = Field(1.0, description="lambda")
    student_temperature: Positive = Field(5.0, description="t of p'^S, used by bce")
    start: Literal["random", "teacher"] = Field(
        "random",
        description="last layer: new, or fitted to the teacher's logits in closed form",
    )
    learn_temperature: bool = Field(False, description="one learned t per class (released code)")
    class_temperature: Positive = Field(0.5, description="t^c of p'^T")
    region_temperature: Positive = Field(0.5, description="t^d of p'^T")


@dataclass(frozen=True)
class ClassAware(Transfer):
    """Predictions p'^T, softened where the detector scores classes and regions."""

    name: ClassVar[str] = "class-aware"
    stage2: ClassAwareSettings
    teaching: Teaching

    @property
    def needs(self) -> Needs:
        """p'^T, and what the last layer starts with."""
        start = self.stage2.start == "teacher"
        return Needs(predictions=True, along=self.teaching.along, start=start)

    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """L_p' times its weight."""
        from boxless.losses.prediction_transfer import ClassAwareLoss

        config = self.stage2
        soft = ClassAwareLoss(
            config.soft_loss,
            classes=student.classes,
            temperature=config.student_temperature,
            learn_temperature=config.learn_temperature,
        )
        return prediction_term(soft, config.soft_weight, softened=True)
