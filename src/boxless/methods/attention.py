"""Attention transfer: where the teacher's maps are strong, beside the tags."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from boxless.methods.regions import WholeMaps
from boxless.methods.section import NonNegative, Read, Section
from boxless.methods.transfer import Needs, Term, sum_of

if TYPE_CHECKING:
    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student


class AttentionSettings(Section):
    """Attention transfer beside the tags; the optimizer is stage 2's."""

    levels: tuple[str, ...] = Field((), description="feature maps to match; empty = stage1.levels")
    form: Literal["released", "paper"] = Field(
        "released",
        description="released = beta * mean of squares (its code), paper = beta / 2 * norm",
    )
    beta: NonNegative = Field(1000.0, description="weight beside the tags' loss")


@dataclass(frozen=True)
class Attention(WholeMaps):
    """Spatial attention maps of whole feature maps."""

    name: ClassVar[str] = "attention"
    attention: AttentionSettings

    @property
    def reads(self) -> tuple[Read, ...]:
        """Of the regions' settings those that it shares."""
        return (self.attention, self.stage1.shared(self.own_levels))

    @property
    def needs(self) -> Needs:
        """Maps."""
        return Needs(levels=self.levels, along=self.stage1.along)

    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """The sum over levels."""
        from boxless.losses.attention import attention_loss

        config = self.attention

        def loss(view: "View") -> "Loss":
            own = {level: view.maps[level].float() for level in self.levels}
            teacher = view.lessons.on_cells(view.batch, own)
            parts = {
                lv: attention_loss(own[lv], teacher[lv], beta=config.beta, form=config.form)
                for lv in self.levels
            }
            return sum_of(parts), parts

        return Term(loss, levels=self.levels)
