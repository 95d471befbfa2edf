"""The section ``tags``: how a student learns from tags that may be missing or wrong."""

from typing import Annotated, Final, Literal

from pydantic import Field

from boxless.methods.section import Count, Fraction, NonNegative, Read, Section

TagLossName = Literal["bce", "asl", "ll-r", "ll-ct", "boostlu", "em"]

LARGE: Final = ("ll-r", "ll-ct", "boostlu")
"""Losses that give up on absent tags with a large loss."""

_OWN: Final = {
    "bce": (),
    "asl": ("focus_present", "focus_absent", "margin"),
    "ll-r": ("growth",),
    "ll-ct": ("growth",),
    "boostlu": ("growth", "boost"),
    "em": ("entropy", "pseudo", "pseudo_share", "pseudo_passes", "warmup"),
}


class TagSettings(Section):
    """Losses on tags, of plain and distilled students alike."""

    loss: TagLossName = Field(
        "bce",
        description="bce: a tag that is not there is absent; for tags that may be missing asl:"
        " asymmetric loss, ll-r and ll-ct: absent tags with large losses are rejected or taken for"
        " present, boostlu: ll-r on boosted class maps, em: entropy maximization and pseudo-labels",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: a class's present tags count as much as its absent ones in total",
    )
    trust: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="an absent tag counts 1 - trust * p, with p of the teacher that never saw the"
        " image; of students that learn its predictions; 0 = off",
    )
    focus_present: NonNegative = Field(0.0, description="asl: exponent for present tags")
    focus_absent: NonNegative = Field(4.0, description="asl: exponent for absent tags")
    margin: Fraction = Field(0.05, description="asl: absent tags below this probability are right")
    growth: Fraction = Field(
        0.002,
        description="ll-r, ll-ct, boostlu: share of the known tags that are given up, growing by"
        " so much with each pass over the tagged images; none in the first",
    )
    boost: Annotated[float, Field(ge=1)] = Field(
        5.0, description="boostlu: factor of positive evidence"
    )
    entropy: NonNegative = Field(0.2, description="em: weight of the entropy of absent tags")
    pseudo: NonNegative = Field(0.02, description="em: weight of pseudo-labels")
    pseudo_share: Fraction = Field(
        0.9, description="em: share of each class's absent tags that become pseudo-labels"
    )
    pseudo_passes: Count = Field(5, description="em: passes over which they do, after the warm-up")
    warmup: Count = Field(5, description="em: passes before the first pseudo-labels")

    @property
    def boosts(self) -> bool:
        """Whether the student's class maps are boosted."""
        return self.loss == "boostlu"

    def used(self, *more: str) -> tuple[Read, ...]:
        """The settings that the loss reads, and others; none where all are as without this section.

        Args:
            more: Names of others.
        """
        names = [name for name in ("class_weights", *more) if self._changed(name)]
        if self.loss != "bce":
            names += ["loss", *_OWN[self.loss]]
        return (self.only(*names),) if names else ()

    def _changed(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)
