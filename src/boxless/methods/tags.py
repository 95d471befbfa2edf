"""The tags themselves: sigmoid cross-entropy of the student's logits (L_p)."""

from typing import TYPE_CHECKING, ClassVar

from boxless.methods.transfer import Needs, Term, Transfer

if TYPE_CHECKING:
    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student


class Tags(Transfer):
    """Learn from the tags; the one transfer that needs no teacher."""

    name: ClassVar[str] = "tags"

    @property
    def needs(self) -> Needs:
        """Tags."""
        return Needs(tags=True)

    def build(self, student: "Student", lessons: "Lessons") -> Term:
        """L_p, a mean over the images that have tags."""
        from boxless.losses.tag_loss import tag_loss

        tagged = lessons.tagged

        def loss(view: "View") -> "Loss":
            batch, images = view.batch, None
            if tagged is not None:  # of all processes: a mean over those of the whole batch
                images = batch.share * int((batch.everyone < tagged).sum())
            value = tag_loss(view.logits, batch.labels, images=images)
            return value, {"tags": value}

        return Term(loss, logits=True)


class TrueTags(Tags):
    """Tags that nobody has: the true ones of the untagged images too, for an upper bound."""

    name: ClassVar[str] = "true-tags"

    @property
    def needs(self) -> Needs:
        """Tags, all of them."""
        return Needs(tags=True, truth=True)
