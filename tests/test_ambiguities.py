"""The list of ambiguities holds: settings exist, defaults are as written, named tests are there."""

import ast
import re
from pathlib import Path

import pytest

from boxless.recipe.recipe_files import dotted, load_recipe, validate

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 7


def rows():
    text = (ROOT / "docs" / "ambiguities.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def functions(path):
    """Names of all test functions of a file, methods included."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def defaults() -> dict:
    """All settings of a recipe that says nothing but what it must."""
    network = {"backbone": "test_resnet", "input_size": 64}
    optim = {"optim": {"epochs": 1}}
    values = {"teacher": network | optim, "student": network, "stage1": optim, "stage2": optim}
    return dotted(validate(values, "here"))


def test_all_25_are_listed_in_order():
    numbers = [int(row[0]) for row in rows()]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 26))
    assert {len(row) for row in rows()} == {COLUMNS}


@pytest.mark.parametrize(
    ("column", "name"), [(3, ""), (4, "coco-vgg16"), (5, "coco-vgg16-released")]
)
def test_settings_have_the_written_values(column, name):
    found = dotted(load_recipe(name)) if name else defaults()
    for row in rows():
        setting = row[2].strip("`")
        if setting == "-":
            assert row[3:6] == ["", "", ""]
            assert row[6]
        else:
            assert str(found[setting]) == row[column], setting


def test_named_tests_exist():
    named = [name for row in rows() for name in re.findall(r"`(tests/[^`]+)`", row[6])]
    assert len(named) > 25
    for name in named:
        path, _, function = name.partition("::")
        assert function in functions(path), name


def test_every_setting_has_a_test():
    for row in rows():
        assert "`tests/" in row[6] or row[2] == "-", row


def test_linked_decisions_exist():
    text = (ROOT / "docs" / "ambiguities.md").read_text("utf-8")
    for link in re.findall(r"\]\(([^)]+\.md)\)", text):
        assert (ROOT / "docs" / link).is_file(), link
