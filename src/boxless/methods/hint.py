"""FitNets' hint: whole feature maps behind a regressor that is dropped afterwards."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from boxless.methods.regions import WholeMaps
from boxless.methods.section import Read, Section
from boxless.methods.transfer import Needs, Term, sum_of

if TYPE_CHECKING:
    from boxless.losses.ridge_start import RidgeStart
    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student


class HintSettings(Section):
    """FitNets' hint on whole feature maps; optimizer, channel_scale and maps are stage 1's."""

    levels: tuple[str, ...] = Field((), description="feature maps to match; empty = stage1.levels")
    adapter: Literal["conv1x1", "auto", "identity"] = Field(
        "conv1x1", description="the regressor, dropped after the hint; auto = as in stage 1"
    )
    adapter_start: Literal["stage1", "random", "ridge"] = Field(
        "stage1",
        description="ridge: the regressor starts as the closed-form fit of the student's cells to"
        " the teacher's, with stage1.adapter_ridge; needs adapter = 'conv1x1'; stage1 = as"
        " stage1.adapter_start (random where adapter is not 'conv1x1')",
    )

    @model_validator(mode="after")
    def _ridge_fits_a_convolution(self) -> "HintSettings":
        if self.adapter_start == "ridge" and self.adapter != "conv1x1":
            raise ValueError("hint.adapter_start = 'ridge' needs hint.adapter = 'conv1x1'")
        return self


@dataclass(frozen=True)
class Hint(WholeMaps):
    """Whole maps, cell by cell."""

    name: ClassVar[str] = "hint"
    hint: HintSettings

    @property
    def ridge(self) -> float | None:
        """Penalty of the regressor's fit, if it is fitted."""
        asked = self.hint.adapter_start
        if asked == "stage1" and self.hint.adapter == "conv1x1":
            asked = self.stage1.adapter_start
        return self.stage1.adapter_ridge if asked == "ridge" else None

    @property
    def reads(self) -> tuple[Read, ...]:
        """Of the regions' settings those that it shares."""
        fit = ["adapter_ridge"] if self.ridge is not None else []
        fit += ["adapter_start"] if self.hint.adapter_start == "stage1" else []
        more = ("channel_scale", "match_statistics", *fit)
        return (self.hint, self.stage1.shared(self.own_levels, *more))

    @property
    def needs(self) -> Needs:
        """Maps."""
        return Needs(
            levels=self.levels,
            along=self.stage1.along,
            statistics=self.stage1.match_statistics,
        )

    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """The sum over levels."""
        from boxless.losses.hint import hint_loss
        from boxless.losses.region_transfer import inverse_scale

        adapters = lessons.adapters(student, self.levels, self.hint.adapter)
        spreads = lessons.spreads(self.levels, self.stage1.channel_scale)

        def loss(view: "View") -> "Loss":
            teacher = view.lessons.on_cells(view.batch, view.maps)
            parts = {}
            for level in self.levels:
                factor = inverse_scale(spreads.get(level), teacher[level])
                adapted = adapters[level](view.maps[level]).float()
                parts[level] = hint_loss(adapted * factor, teacher[level] * factor)
            return sum_of(parts), parts

        def gather(view: "View", fits: "dict[str, RidgeStart]") -> None:
            # Every cell of the student's map is a row; all weigh the same.
            teacher = view.lessons.on_cells(view.batch, view.maps)
            for level, fit in fits.items():
                fit.add_cells(view.maps[level], teacher[level])

        return Term(loss, levels=self.levels, module=adapters, gather=gather, ridge=self.ridge)
