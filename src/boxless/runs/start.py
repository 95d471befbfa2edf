"""Start a run, or go on with it: what ``boxless train`` and `boxless.train` share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxless.errors import ConfigError, MissingExtraError
from boxless.files.launched import launched
from boxless.recipe.recipe_files import flat, load_recipe, toml_value
from boxless.runs.chosen import choose_recipe
from boxless.runs.claim import is_run
from boxless.runs.context import Run
from boxless.runs.execute import execute, execute_together
from boxless.runs.finished import spec_of
from boxless.runs.parts import read_images

if TYPE_CHECKING:
    from boxless.training.processes import Processes


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
        if name == "auto" and not own.exists():
            require_training()
            recipe, manifest = choose_recipe(self.spec, self.overrides)
        else:
            recipe = load_recipe(str(own) if name == "auto" else name, dict(self.overrides))
            require_training()
            manifest = read_images(self.spec, recipe)
        return Run(self.out, self.spec, recipe, manifest, self.profile, processes)


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
        force: Verbs whose results are thrown away.
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
