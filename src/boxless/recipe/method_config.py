"""Settings of the compared methods, and which of them may be asked for."""

from typing import Literal

from pydantic import Field, model_validator

from boxless.errors import unknown_name
from boxless.methods.table import DISTILLED, METHODS
from boxless.recipe.section import NonNegative, Positive, Section


class HintonConfig(Section):
    """Hinton distillation for sigmoid outputs (methods ``hinton``, ``fitnets-hinton``)."""

    temperature: Positive = Field(2.0, description="T that softens teacher and student")
    weight: NonNegative = Field(1.0, description="weight of T^2 times the soft cross-entropy")


class HintConfig(Section):
    """FitNets' hint on whole feature maps; optimiser, channel_scale and maps are stage 1's."""

    levels: tuple[str, ...] = Field((), description="feature maps to match; empty = stage1.levels")
    adapter: Literal["conv1x1", "auto", "identity"] = Field(
        "conv1x1", description="the regressor, thrown away after the hint; auto = as in stage 1"
    )
    adapter_start: Literal["stage1", "random", "ridge"] = Field(
        "stage1",
        description="ridge: the regressor starts as the closed-form fit of the student's cells to"
        " the teacher's, with stage1.adapter_ridge; needs adapter = 'conv1x1'; stage1 = as"
        " stage1.adapter_start (random where adapter is not 'conv1x1')",
    )

    @model_validator(mode="after")
    def _ridge_fits_a_convolution(self) -> "HintConfig":
        if self.adapter_start == "ridge" and self.adapter != "conv1x1":
            raise ValueError("hint.adapter_start = 'ridge' needs hint.adapter = 'conv1x1'")
        return self


class AttentionConfig(Section):
    """Attention transfer beside the tags; the optimiser is stage 2's."""

    levels: tuple[str, ...] = Field((), description="feature maps to match; empty = stage1.levels")
    form: Literal["released", "paper"] = Field(
        "released",
        description="released = beta * mean of squares (its code), paper = beta / 2 * norm",
    )
    beta: NonNegative = Field(1000.0, description="weight beside the tags' loss")


def check_names(names: tuple[str, ...]) -> None:
    """Refuse unknown methods and methods named twice.

    Raises:
        ValueError: The faulty name.
    """
    known = (DISTILLED, *METHODS)
    for name in names:
        if name not in known:
            raise ValueError(unknown_name("method", name, known))
    if len(set(names)) < len(names):
        raise ValueError(f"a method is named twice: {', '.join(names)}")
