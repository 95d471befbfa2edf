"""How a trained teacher behaves while a student learns from it."""

from typing import Literal

from pydantic import Field

from boxless.methods.section import Section


class Teaching(Section):
    """How the trained teacher behaves while the student learns from it."""

    predictions: Literal["cache", "online"] = Field(
        "cache",
        description="p'^T: computed once from the whole image, or in every update from the"
        " student's own view (released code); online needs student.resize_from ="
        " teacher.input_size",
    )
    dropout: bool = Field(
        False,
        description="leave the teacher's dropout on, which makes its targets noisy (released code);"
        " reaches p'^T online and stage1.target = 'fc7'",
    )
    region_weight: Literal["trained", "released"] = Field(
        "trained",
        description="weight of a region: as in training, or the released code's 1 * score",
    )

    @property
    def along(self) -> bool:
        """Whether the teacher predicts in every update."""
        return self.predictions == "online"
