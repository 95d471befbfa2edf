"""What must fit between the sections of a recipe; each fault is one ValueError in plain words."""

from boxless.errors import unknown_name
from boxless.methods.hint import Hint
from boxless.methods.table import COMPARED, DISTILLING, METHODS, ORACLE, PLAIN, transfers
from boxless.methods.tags import TagSettings, TrustedTags
from boxless.methods.teaching import Teaching
from boxless.recipe.sections import (
    DataConfig,
    ProposalsConfig,
    Stage1Config,
    Stage2Config,
    StudentConfig,
    TeacherConfig,
)


def check_methods(own: str, compared: tuple[str, ...], data: DataConfig) -> None:
    """Refuse unknown methods, methods named twice, and the plain student, which is always trained.

    Args:
        own: The recipe's own method.
        compared: Those compared with it.
        data: Whether there is anything that an oracle would know.
    """
    for setting, names, known in (
        ("method", (own,), DISTILLING),
        ("methods", compared, COMPARED),
    ):
        for name in names:
            if name == PLAIN:
                raise ValueError(f"{setting}: {PLAIN!r} is trained in every run; leave it out")
            if name == ORACLE and name not in known:
                raise ValueError(f"{setting}: {ORACLE!r} distils nothing; name it in `methods`")
            if name not in known:
                raise ValueError(f"{setting}: {unknown_name('method', name, known)}")
    if ORACLE in compared and not data.pools:
        raise ValueError(
            f"methods: {ORACLE!r} learns the true tags of untagged images, and there are none: set"
            " data.tags, or data.untagged to a data set that has tags"
        )
    if len(set(compared)) < len(compared):
        raise ValueError(f"methods: one is named twice: {', '.join(compared)}")


def check_regions(proposals: ProposalsConfig, teacher: TeacherConfig, stage1: Stage1Config) -> None:
    """Every section's regions exist."""
    for section, wanted in (("teacher", teacher.regions), ("stage1", stage1.regions)):
        if wanted > proposals.max_boxes:
            raise ValueError(
                f"{section}.regions = {wanted} is more than proposals.max_boxes ="
                f" {proposals.max_boxes}"
            )
    if stage1.regions != teacher.regions and teacher.whole_image:
        raise ValueError("with teacher.whole_image, stage1.regions must equal teacher.regions")
    if stage1.regions > teacher.regions:
        raise ValueError("stage1.regions must not exceed teacher.regions (s' comes from there)")


def check_feature_transfer(
    teacher: TeacherConfig, student: StudentConfig, stage1: Stage1Config
) -> None:
    """Stage 1 has what its options read."""
    if stage1.optim.schedule == "plateau" and not stage1.along and stage1.target != "fc7":
        raise ValueError(
            "stage1.optim.schedule = 'plateau' watches held-out images, which have no kept"
            " maps: set stage1.teacher_maps = 'online'"
        )
    if stage1.adapter_start == "ridge" and stage1.adapter != "conv1x1":
        raise ValueError("stage1.adapter_start = 'ridge' needs stage1.adapter = 'conv1x1'")
    if stage1.components and stage1.adapter != "conv1x1":
        raise ValueError("stage1.components needs stage1.adapter = 'conv1x1', to give as many")
    if stage1.match_statistics and not (teacher.fold_norms and student.fold_norms):
        raise ValueError("stage1.match_statistics needs teacher.fold_norms and student.fold_norms")
    if stage1.match_statistics and stage1.target == "fc7":
        raise ValueError("stage1.match_statistics needs stage1.target = 'conv'")
    if stage1.match_statistics and stage1.along:
        raise ValueError(
            "stage1.match_statistics needs stage1.teacher_maps = 'cache': the teacher's statistics"
            " are kept with its maps"
        )


def check_teaching(
    teacher: TeacherConfig, student: StudentConfig, teaching: Teaching, target: str
) -> None:
    """The teacher can look at what it is asked about."""
    if teaching.along and student.resize_from != teacher.input_size:
        raise ValueError(
            "teaching.predictions = 'online' needs one view for both: set student.resize_from"
            f" = teacher.input_size = {teacher.input_size}"
        )
    if teaching.along and teacher.folds:
        raise ValueError("teaching.predictions = 'online' needs teacher.folds = 0")
    if teaching.dropout and not teaching.along and target != "fc7":
        raise ValueError(
            "teaching.dropout reaches nothing: a cache would freeze one draw of the noise; set"
            " teaching.predictions = 'online'"
        )


def check_temperature(stage2: Stage2Config) -> None:
    """A temperature is learned only where there is one."""
    if stage2.learn_temperature and stage2.soft_loss == "l2":
        raise ValueError(
            "stage2.learn_temperature needs soft_loss = 'bce': 'l2' has no temperature"
        )


def check_budget(names: tuple[str, ...], stage1: Stage1Config, stage2: Stage2Config) -> None:
    """The compared methods can run beside the recipe's own, with its number of updates.

    Args:
        names: The recipe's own method, then those compared with it.
        stage1: Settings of phases before the tags.
        stage2: Settings of phases on tags.
    """
    hints = [name for name in names if any(Hint in phase for phase in METHODS[name].features)]
    if hints and stage1.optim.schedule == "plateau" and not stage1.along:
        raise ValueError(
            f"methods: {hints[0]!r} with stage1.optim.schedule = 'plateau' needs"
            " stage1.teacher_maps = 'online'"
        )
    first, second = stage1.optim, stage2.optim
    enough = first.epochs / first.batch_size < second.epochs / second.batch_size
    phases = len(METHODS[names[0]].phases)
    longer = [name for name in names[1:] if len(METHODS[name].phases) > phases]
    if longer and not enough:
        raise ValueError(
            f"methods: {longer[0]!r} takes stage 1's epochs from those of stage 2 where method ="
            f" {names[0]!r} has no stage 1, but stage1.optim.epochs = {first.epochs:g} leaves"
            f" nothing of stage2.optim.epochs = {second.epochs:g}"
        )


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


PROBABILITIES = ("class-aware", "hinton")
"""Methods that ask for image probabilities alone."""


def check_teacher_file(teacher: TeacherConfig, methods: tuple[str, ...], recipe: object) -> None:
    """A teacher that is a file knows probabilities of whole images, and nothing else.

    Raises:
        ValueError: A method asks for regions, maps or predictions of views.
    """
    if teacher.kind != "file":
        return
    for name in methods:
        needs = [transfer.needs for transfer in transfers(recipe, (name,))]
        wanted = {
            "weights of regions": any(need.regions for need in needs),
            "feature maps": any(need.levels for need in needs),
            "predictions of every view": any(need.along for need in needs),
        }
        missing = [what for what, asked in wanted.items() if asked]
        if missing:
            raise ValueError(
                f"method {name!r} asks the teacher for {' and '.join(missing)}, but teacher.kind ="
                " 'file' has image probabilities alone: set method to one of"
                f" {', '.join(map(repr, PROBABILITIES))} (and teaching.predictions = 'cache'), or"
                " take another kind of teacher"
            )
