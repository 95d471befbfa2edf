"""The tags themselves: sigmoid cross-entropy of the student's logits (L_p)."""

from typing import TYPE_CHECKING, ClassVar

from boxless.methods.transfer import Term, Transfer

if TYPE_CHECKING:
    from boxless.methods.lessons import Lessons
    from boxless.methods.transfer import Loss, View
    from boxless.models.protocols import Student


class Tags(Transfer):
    """Learn from the tags; the one transfer that needs no teacher."""

    name: ClassVar[str] = "tags"

    def build(self, student: "Student", size: int, lessons: "Lessons") -> Term:
        """L_p."""
        from boxless.losses.tag_loss import tag_loss

        def loss(view: "View") -> "Loss":
            value = tag_loss(view.logits, view.batch.labels)
            return value, {"tags": value}

        return Term(loss, logits=True)
