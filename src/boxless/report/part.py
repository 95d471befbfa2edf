"""What all parts of ``results.json`` are made of."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

_SLACK: Final = 1e-9  # sums of floats may miss 0 and 1 by rounding
Fraction = Annotated[float, Field(ge=-_SLACK, le=1.0 + _SLACK)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0.0)]
Points = Annotated[float, Field(ge=-1.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]


class Part(BaseModel):
    """Base of all parts: frozen, strict about unknown keys, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


class Interval(Part):
    """A paired difference with its uncertainty, in fractions.

    Attributes:
        mean: Difference of the means, distilled minus baseline.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Coverage, such as 0.95.
        draws: Bootstrap draws.
        probability_positive: Share of the draws above zero.
    """

    mean: Points
    low: Points
    high: Points
    level: Fraction
    draws: Count
    probability_positive: Fraction
