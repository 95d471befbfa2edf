"""The tags themselves: a loss of the student's logits on tags (L_p)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from boxless.methods.section import Read
from boxless.methods.tag_settings import TagSettings
from boxless.methods.transfer import Needs, Term, Transfer

if TYPE_CHECKING:
    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student


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
