"""What must fit between the sections of a recipe; each fault is one ValueError in plain words."""

from typing import TYPE_CHECKING

from boxless.methods.table import METHODS

if TYPE_CHECKING:
    from boxless.recipe.schema import Recipe


def check_sections(recipe: "Recipe") -> None:
    """Refuse settings that contradict each other.

    Raises:
        ValueError: The first contradiction, with what to set instead.
    """
    _check_regions(recipe)
    _check_feature_transfer(recipe)
    _check_teaching(recipe)
    _check_methods(recipe)


def _check_regions(recipe: "Recipe") -> None:
    """Every section's regions exist."""
    for section, wanted in (("teacher", recipe.teacher.regions), ("stage1", recipe.stage1.regions)):
        if wanted > recipe.proposals.max_boxes:
            raise ValueError(
                f"{section}.regions = {wanted} is more than proposals.max_boxes ="
                f" {recipe.proposals.max_boxes}"
            )
    if recipe.stage1.regions != recipe.teacher.regions and recipe.teacher.whole_image:
        raise ValueError("with teacher.whole_image, stage1.regions must equal teacher.regions")
    if recipe.stage1.regions > recipe.teacher.regions:
        raise ValueError("stage1.regions must not exceed teacher.regions (s' comes from there)")


def _check_feature_transfer(recipe: "Recipe") -> None:
    """Stage 1 has what its options read."""
    online = recipe.stage1.teacher_maps == "online" or recipe.stage1.target == "fc7"
    if recipe.stage1.optim.schedule == "plateau" and not online:
        raise ValueError(
            "stage1.optim.schedule = 'plateau' watches held-out images, which have no kept"
            " maps: set stage1.teacher_maps = 'online'"
        )
    if recipe.stage1.adapter_start == "ridge" and recipe.stage1.adapter != "conv1x1":
        raise ValueError("stage1.adapter_start = 'ridge' needs stage1.adapter = 'conv1x1'")
    if recipe.stage1.match_statistics and not (
        recipe.teacher.fold_norms and recipe.student.fold_norms
    ):
        raise ValueError("stage1.match_statistics needs teacher.fold_norms and student.fold_norms")
    if recipe.stage1.match_statistics and recipe.stage1.teacher_maps == "online":
        raise ValueError(
            "stage1.match_statistics needs stage1.teacher_maps = 'cache': the teacher's statistics"
            " are kept with its maps"
        )


def _check_teaching(recipe: "Recipe") -> None:
    """The teacher can look at what it is asked about."""
    teacher, student, teaching = recipe.teacher, recipe.student, recipe.teaching
    if student.resize_from and student.resize_from < student.input_size:
        raise ValueError(
            f"student.resize_from = {student.resize_from} is less than student.input_size ="
            f" {student.input_size}"
        )
    if teaching.predictions == "online" and student.resize_from != teacher.input_size:
        raise ValueError(
            "teaching.predictions = 'online' needs one view for both: set student.resize_from"
            f" = teacher.input_size = {teacher.input_size}"
        )
    if teaching.predictions == "online" and teacher.folds:
        raise ValueError("teaching.predictions = 'online' needs teacher.folds = 0")
    noisy = teaching.predictions == "online" or recipe.stage1.target == "fc7"
    if teaching.dropout and not noisy:
        raise ValueError(
            "teaching.dropout reaches nothing: a cache would freeze one draw of the noise; set"
            " teaching.predictions = 'online'"
        )
    if recipe.stage2.learn_temperature and recipe.stage2.soft_loss == "l2":
        raise ValueError(
            "stage2.learn_temperature needs soft_loss = 'bce': 'l2' has no temperature"
        )


def _check_methods(recipe: "Recipe") -> None:
    """The compared methods can run beside the recipe's own."""
    asked = {name: METHODS[name] for name in recipe.methods if name in METHODS}
    if "regions" in asked and recipe.stage1.selection == "nms":
        raise ValueError(
            "methods: 'regions' needs stage1.selection = 'all' (and 'regions-nms' then selects"
            " by NMS itself)"
        )
    first, second = recipe.stage1.optim, recipe.stage2.optim
    hints = [name for name, method in asked.items() if method.features == "hint"]
    if hints and first.schedule == "plateau" and recipe.stage1.teacher_maps != "online":
        raise ValueError(
            f"methods: {hints[0]!r} with stage1.optim.schedule = 'plateau' needs"
            " stage1.teacher_maps = 'online'"
        )
    enough = first.epochs / first.batch_size < second.epochs / second.batch_size
    longer = [name for name, method in asked.items() if method.has_first_phase]
    if longer and not recipe.stage1.enabled and not enough:
        raise ValueError(
            f"methods: {longer[0]!r} takes stage 1's epochs from those of stage 2 where"
            f" stage1.enabled = false, but stage1.optim.epochs = {first.epochs:g} leaves"
            f" nothing of stage2.optim.epochs = {second.epochs:g}"
        )
