"""Build the networks of a recipe once before any work, so that a wrong name costs seconds."""

from boxless.config import StudentConfig, TeacherConfig
from boxless.errors import BoxlessError, ConfigError
from boxless.models.backbone import Backbone
from boxless.pipeline import build
from boxless.pipeline.context import Run


def check_networks(run: Run, verbs: set[str]) -> None:
    """Check backbones, weights and levels of the steps that are about to be done.

    Args:
        run: The run.
        verbs: Verbs of those steps.

    Raises:
        ConfigError: A network, its weights or one of its levels does not exist; the section of the
            recipe is named.
    """
    recipe = run.recipe
    matched = recipe.stage1.levels if recipe.stage1.enabled else ()
    if verbs & {"teacher", "maps", "cache", "stage1"}:
        _check("teacher", recipe.teacher, {"teacher.level": (recipe.teacher.level,)}, matched)
    if verbs & {"baseline", "stage1", "stage2"}:
        _check("student", recipe.student, {}, matched)


def _check(
    section: str,
    config: TeacherConfig | StudentConfig,
    own: dict[str, tuple[str, ...]],
    matched: tuple[str, ...],
) -> None:
    try:
        trunk = build.backbone(config)
    except ConfigError as error:
        raise ConfigError(
            f"{section}.backbone = {config.backbone!r} with {section}.weights ="
            f" {config.weights!r}: {error.message}",
            hint=error.hint or f"set {section}.weights, or {section}.backbone",
        ) from error
    build.require_fc(trunk, section, config)
    for setting, levels in {**own, "stage1.levels": matched}.items():
        _check_levels(trunk, setting, levels)


def _check_levels(trunk: Backbone, setting: str, levels: tuple[str, ...]) -> None:
    for level in levels:
        try:
            trunk.channels(level)
        except BoxlessError as error:
            raise ConfigError(
                f"{setting}: {error.message}",
                hint=f"set {setting} to levels that the network has",
            ) from error
