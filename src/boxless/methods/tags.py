"""The tags themselves: the section ``tags``, and a loss of the student's logits on tags (L_p)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field

from boxless.methods.section import Count, Fraction, NonNegative, Read, Section
from boxless.methods.transfer import Needs, Term, Transfer

if TYPE_CHECKING:
    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student

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


@dataclass(frozen=True)
class Tags(Transfer):
    """Learn from the tags; the one transfer that needs no teacher."""

    name: ClassVar[str] = "tags"
    asks: ClassVar[bool] = False
    """Whether a teacher may say how far an absent tag can be trusted."""
    tags: TagSettings

    @property
    def reads(self) -> tuple[Read, ...]:
        """What the chosen loss reads, and the trust; nothing where all is plain."""
        return self.tags.used(*(("trust",) if self.asks else ()))

    @property
    def needs(self) -> Needs:
        """Tags, and predictions where there is trust."""
        return Needs(tags=True, predictions=self.trust > 0)

    @property
    def trust(self) -> float:
        """How far a teacher is believed that doubts an absent tag."""
        return self.tags.trust if self.asks else 0.0

    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """L_p, a mean over the images that have tags."""
        from boxless.losses.class_weights import trusted_weights
        from boxless.methods.tag_loss_state import TagLossState

        tagged, trust = lessons.tagged, self.trust
        state = TagLossState(self.tags, lessons.labels)

        def loss(view: "View") -> "Loss":
            batch, images, weights = view.batch, None, None
            if tagged is not None:  # of all processes: a mean over those of the whole batch
                images = batch.share * int((batch.everyone < tagged).sum())
            if trust:
                seen = view.lessons.predictions(batch, softened=False)
                weights = trusted_weights(batch.labels, seen, trust)
            value = state(view.logits, batch, weights, images)
            return value, {"tags": value}

        return Term(loss, logits=True, module=state if state.counts else None)


class TrustedTags(Tags):
    """Tags beside a teacher's predictions, which may say how far an absent tag can be trusted."""

    asks = True


class TrueTags(Tags):
    """Tags that nobody has: the true ones of the untagged images too, for an upper bound."""

    name: ClassVar[str] = "true-tags"

    @property
    def needs(self) -> Needs:
        """Tags, all of them."""
        return Needs(tags=True, truth=True)
