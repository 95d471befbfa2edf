"""Where a loss on tags, or trust in a teacher, has nothing to work on."""

from boxless.methods.table import METHODS
from boxless.methods.tag_settings import TagSettings
from boxless.methods.tags import TrustedTags
from boxless.recipe.sections import Stage2Config, StudentConfig, TeacherConfig


def check_tags(
    tags: TagSettings,
    student: StudentConfig,
    teacher: TeacherConfig,
    stage2: Stage2Config,
    methods: tuple[str, ...],
) -> None:
    """The chosen loss fits the student, and whom it trusts has not seen the tags.

    Args:
        tags: The section.
        student: Whether it has class maps that can be boosted.
        teacher: Whether it is cross-fitted.
        stage2: How the student's last layer starts.
        methods: All methods that distil.

    Raises:
        ValueError: It does not fit.
    """
    for name in ("focus_present", "focus_absent"):
        value = getattr(tags, name)
        if 0 < value < 1:
            raise ValueError(f"tags.{name} must be 0 or at least 1, found {value:g}")
    if tags.boosts and student.head != "gap":
        raise ValueError(
            f"tags.loss = 'boostlu' boosts class maps, which student.head = {student.head!r} does"
            " not pool: set student.head = 'gap', or tags.loss = 'll-r'"
        )
    if tags.boosts and stage2.start == "teacher":
        raise ValueError(
            "tags.loss = 'boostlu' needs stage2.start = 'random': a last layer behind boosted maps"
            " is not fitted in closed form"
        )
    if tags.trust:
        _check_trust(tags, teacher, methods)


def _check_trust(tags: TagSettings, teacher: TeacherConfig, methods: tuple[str, ...]) -> None:
    if tags.loss == "em":
        raise ValueError("tags.trust needs another tags.loss: 'em' takes no tag for absent")
    if not teacher.folds and teacher.kind != "file":
        raise ValueError(
            "tags.trust needs teacher.folds of 2 or more: a teacher that was trained on an image"
            " repeats its tags, the wrong ones too"
        )
    without = [name for name in methods if TrustedTags not in METHODS[name].phases[-1]]
    if without:
        raise ValueError(
            f"tags.trust needs a teacher's predictions, which method {without[0]!r} does not learn:"
            " set method = 'class-aware' or another that does, or leave it out of `methods`"
        )
