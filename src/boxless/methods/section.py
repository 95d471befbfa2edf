"""The base of all recipe sections, and the kinds of numbers they hold."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are never silently converted."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False
    )

    def only(self, *names: str) -> "Excerpt":
        """Some settings of the section, for a step that reads no others."""
        return Excerpt(self, {name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some settings of a section.

    Attributes:
        section: The section.
        values: The settings by name.
    """

    section: Section
    values: dict[str, Any]


Read: TypeAlias = Section | Excerpt
"""What a step or a transfer declares to depend on."""
