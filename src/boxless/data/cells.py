"""What the cells of a table say: truth, nothing, or names of classes.

Tables come from spreadsheets, pandas, Hugging Face, labelling tools and competitions. Each writes
lists, truth and nothing in its own way. How a whole column holds names: `boxless.data.dialect`.
"""

import ast
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from boxless.errors import DataError
from boxless.types import ABSENT, PRESENT, UNKNOWN

Cell = str | tuple[str, ...]
"""A text, or a list that needs no reading (JSON lines and Parquet have such)."""

NOTHING = frozenset(
    ("", "nan", "none", "null", "nil", "n/a", "na", "<na>", "#n/a", "-", "--", "nat", "[]")
)
"""Words of spreadsheets and programs for an empty cell, in lower case."""

NULLS = NOTHING | frozenset(
    (
        *("()", "{}", "set()", "[nan]", "[none]", '[""]', "['']", "untagged", "unlabeled"),
        *("''", '""'),
        *("unlabelled", "no label", "no labels", "no tag", "no tags", "frozenset()", "undefined"),
        *("\u2013", "\u2014", "(null)", "(none)", "(nan)", "(empty)", "(blank)", "[null]"),
        *("\\n", "n.a."),
    )
)
"""Cells that say nothing, in lower case."""

_TRUTH = {
    **dict.fromkeys(("true", "yes", "y", "t", "x", "✓", "✔"), PRESENT),
    **dict.fromkeys(("false", "no", "n", "f"), ABSENT),
    **dict.fromkeys(("unknown", "uncertain", "?"), UNKNOWN),
}
_NAME_KEYS = ("choices", "labels", "tags", "label", "name", "class", "category", "categories")
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_NUMPY = re.compile(rf"\[\s*{_QUOTED}(?:\s+{_QUOTED})+\s*\]")
_WRAPPED = re.compile(
    r"(?:np\.|numpy\.)?(?:array|frozenset)\(([\[{].*[\]}])(?:,\s*dtype=[^()]*)?\)", re.DOTALL
)
_NUMPY_TEXT = re.compile(rf"(?:np|numpy)\.str_\(({_QUOTED})\)")
BRACKETS = ("[]", "()", "{}")


@cache
def is_null(cell: Cell) -> bool:
    """Whether a cell says nothing: empty, or one of the words that stand for it."""
    return not cell or (isinstance(cell, str) and cell.strip().lower() in NULLS)


@cache
def truth(cell: Cell) -> int | None:
    """Read a cell of a column that stands for one class.

    Args:
        cell: Such as ``1``, ``0.0``, ``True``, ``no`` or ``-1``.

    Returns:
        1 present, 0 absent, -1 unknown; None where it is none of them.
    """
    if not isinstance(cell, str):
        return None
    word = cell.strip().lower()
    if word in _TRUTH:
        return _TRUTH[word]
    try:
        value = float(word.replace(",", "."))  # "1,0" stands between semicolons
    except ValueError:
        return None
    return int(value) if value in (1, 0, -1) else None


def names_in(value: Any) -> list[str]:
    """Names in a value of JSON or Python: a text, a list, or what labelling tools nest them in."""
    if value is None or value != value:  # noqa: PLR0124 - not a number
        return []
    if isinstance(value, Mapping):
        return _named_in(value)
    if isinstance(value, list | tuple | set):
        if value and all(map(_is_verdict, value)):  # as Parquet's maps come
            return names_in(dict(value))
        return [name for item in value for name in names_in(item)]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]


def _named_in(value: Mapping[Any, Any]) -> list[str]:
    """Names in an object: what a known field holds, or the fields that are true."""
    for key in _NAME_KEYS:
        if key in value:
            return names_in(value[key])
    if all(truth(str(item)) is not None for item in value.values()):
        return [str(name) for name, item in value.items() if truth(str(item)) == PRESENT]
    found = ", ".join(f"{key}: {str(item)[:20]}" for key, item in list(value.items())[:4])
    raise DataError(f"expected names of classes, or each with 1 or 0, found {found}")


def _is_verdict(item: Any) -> bool:
    """Whether an item of a list is a name and a number, such as ``("cat", 1)``."""
    pair = isinstance(item, list | tuple) and len(item) == 2
    return pair and isinstance(item[0], str) and isinstance(item[1], int | float)


@cache
def listed(text: str) -> tuple[str, ...] | None:
    """Names of a cell in the list form of Python, JSON or NumPy; None where it is plain text.

    Args:
        text: Such as ``['cat', 'sofa']``, ``["cat"]`` or ``['cat' 'sofa']``.
    """
    text = _NUMPY_TEXT.sub(r"\1", text.strip())
    if text.startswith('"[') and text.endswith(']"'):  # JSON in JSON
        try:
            text = str(json.loads(text))
        except ValueError:
            return None
    if (wrapped := _WRAPPED.fullmatch(text)) is not None:
        text = wrapped[1]
    if text[:1] + text[-1:] not in BRACKETS:
        return None
    if _NUMPY.fullmatch(text):
        return tuple(str(ast.literal_eval(word)) for word in re.findall(_QUOTED, text))
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(value, list | tuple | set | dict):
            return tuple(sorted(names_in(value)) if isinstance(value, set) else names_in(value))
    return None


def folded(name: str) -> str:
    """What is left of a name without case, width, invisible characters and blanks around it."""
    text = unicodedata.normalize("NFKC", name).casefold()
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(visible.split())


def lookalikes(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only in what `folded` takes away."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
