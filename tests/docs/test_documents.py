"""Documents hold what they promise: marked Python blocks run, commands and their settings parse.

A block that opens with "```python run" is run, together with the others of its document, in order.
Those that need a run or photographs, and such commands, run in ``tests/cli/test_documents_run.py``.
"""

import pytest
from cyclopts import CycloptsError
from documents import DOCUMENTS, ROOT, blocks, commands

from boxless.cli.app import command_line
from boxless.cli.options import parse_overrides
from boxless.errors import ConfigError
from boxless.recipe.recipe_files import builtin_recipes, known_keys, load_recipe


def runnable():
    return [path for path in DOCUMENTS if blocks(path, "python run")]


@pytest.mark.parametrize("path", runnable(), ids=lambda path: path.name)
def test_python_blocks_run(path):
    space = {}
    for number, block in enumerate(blocks(path, "python run")):
        exec(compile(block, f"{path.name}, block {number}", "exec"), space)


def test_a_page_shows_the_loop():
    assert ROOT / "docs" / "your-own-loop.md" in runnable()


def settings_of(words):
    """Dotted settings that a command was given beside its own options."""
    _, bound, _ = command_line().parse_args(words, exit_on_error=False, print_error=False)
    taken = bound.arguments.get("images", ())  # a hyphen alone is standard input
    assert not [word for word in taken if len(word) > 1 and word.startswith("-")], words
    return parse_overrides(bound.arguments.get("overrides", ()))


def check(words):
    keys = known_keys()
    for key in settings_of(words):
        assert any(key == known or key.endswith(f".{known}") for known in keys), key
    if "--recipe" in words:
        name = words[words.index("--recipe") + 1]
        assert name in builtin_recipes()
        if "experiments" not in words:
            load_recipe(name, settings_of(words))


@pytest.mark.parametrize(
    ("document", "words"), commands(), ids=lambda value: value if isinstance(value, str) else None
)
def test_commands_parse(document, words):
    check(words)


def test_commands_are_found():
    assert len(commands()) > 25


@pytest.mark.parametrize(
    "command",
    [
        "tarin scenes: --out runs/a",
        "train scenes: --out runs/a --student.input_sise 64",
        "train scenes: --out runs/a --reciep demo",
        "train scenes: --out runs/a --recipe none",
        "train scenes: --out runs/a --recipe demo --student.input_size large",
        "predict runs/a photos/ --drow drawn/",
    ],
)
def test_a_wrong_command_would_be_seen(command):
    with pytest.raises((AssertionError, ConfigError, CycloptsError)):
        check(command.split())
