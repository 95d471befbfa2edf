"""What a teacher must be able to say for the methods of a recipe."""

from boxless.methods.table import transfers
from boxless.recipe.sections import TeacherConfig

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
