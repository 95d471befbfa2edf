"""Dotted settings on the command line: ``--teacher.optim.lr 1e-3``, with a blank or an ``=``."""

from collections.abc import Sequence

from boxless.errors import ConfigError, unknown_name

OPTIONS = (
    "--out", "--recipe", "--seeds", "--method", "--methods", "--force", "--untagged", "--tags",
    "--dry-run", "--profile", "--help",
)  # fmt: skip
WITHOUT_SECTION = ("--method",)
"""Settings of a recipe that lie in no section."""


def _unexpected(word: str) -> str:
    """What is wrong with a word that is neither option nor setting."""
    option = word.partition("=")[0]
    if option in OPTIONS:
        return f"this command has no option {option}"
    if word.startswith("-"):
        return unknown_name("option", option, OPTIONS)
    return f"unexpected argument {word!r}"


def parse_overrides(tokens: Sequence[str]) -> dict[str, str]:
    """Turn left-over words of a command into overrides.

    Args:
        tokens: Words such as ``["--teacher.optim.lr", "1e-3", "--run.workers=2"]``.

    Returns:
        Dotted key -> text of its value.

    Raises:
        ConfigError: A word is no setting, or a setting has no value.
    """
    found: dict[str, str] = {}
    words = list(tokens)
    while words:
        word = words.pop(0)
        option = word.partition("=")[0]
        dotted = option.startswith("--") and "." in option
        if not dotted and option not in WITHOUT_SECTION:
            raise ConfigError(
                _unexpected(word),
                hint="settings are written --section.key VALUE, such as --teacher.optim.epochs 4",
            )
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            if not words or words[0].startswith("--"):
                raise ConfigError(f"--{key} needs a value", hint=f"--{key} VALUE")
            value = words.pop(0)
        found[key.replace("-", "_")] = value
    return found
