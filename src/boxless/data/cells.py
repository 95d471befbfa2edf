"""What the cells of a table say: truth, nothing, or names of classes.

Tables come from spreadsheets, pandas, Hugging Face, labelling tools and competitions. Each writes
lists, truth and nothing in its own way; what is found here holds for a whole column at once.
"""

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from boxless.errors import DataError
from boxless.types import ABSENT, PRESENT, UNKNOWN

Cell = str | tuple[str, ...]
"""A text, or a list that needs no reading (JSON lines and Parquet have such)."""

NULLS = frozenset(
    (
        *("", "nan", "none", "null", "nil", "n/a", "na", "<na>", "#n/a", "-", "--", "nat", "[]"),
        *("()", "{}", "set()", "[nan]", "[none]", '[""]', "['']", "untagged", "unlabeled"),
        *("''", '""'),
        *("unlabelled", "no label", "no labels", "no tag", "no tags"),
    )
)
"""Cells that say nothing, in lower case."""

SEPARATORS = {
    "semicolon": ";", "comma": ",", "pipe": "|", "tab": "\t", "newline": "\n", "space": " ",
    "blank": " ", "slash": "/", "plus": "+", "none": "",
}  # fmt: skip
"""Names of separators, for options; ``none`` leaves a cell whole."""

_STRONG = ("\n", "\t", ";", "|", "\uff1b", "\uff0c", "\u3001", ",")  # wide ones of East Asia too
_WEAK = ("/", "+", "&", " ")
_TRUTH = {
    **dict.fromkeys(("true", "yes", "y", "t", "x", "✓", "✔"), PRESENT),
    **dict.fromkeys(("false", "no", "n", "f"), ABSENT),
    **dict.fromkeys(("unknown", "uncertain", "?"), UNKNOWN),
}
_NAME_KEYS = ("choices", "labels", "tags", "label", "name", "class", "category", "categories")
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_NUMPY = re.compile(rf"\[\s*{_QUOTED}(?:\s+{_QUOTED})+\s*\]")
_ARRAY = re.compile(r"array\((\[.*\])(?:,\s*dtype=[^()]*)?\)", re.DOTALL)
_BRACKETS = ("[]", "()", "{}")


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
        for key in _NAME_KEYS:
            if key in value:
                return names_in(value[key])
        if all(truth(str(item)) is not None for item in value.values()):
            return [str(name) for name, item in value.items() if truth(str(item)) == PRESENT]
        raise DataError(f"expected names of classes, found the fields {', '.join(map(str, value))}")
    if isinstance(value, list | tuple | set):
        return [name for item in value for name in names_in(item)]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]


@cache
def listed(text: str) -> tuple[str, ...] | None:
    """Names of a cell in the list form of Python, JSON or NumPy; None where it is plain text.

    Args:
        text: Such as ``['cat', 'sofa']``, ``["cat"]`` or ``['cat' 'sofa']``.
    """
    text = text.strip()
    if (array := _ARRAY.fullmatch(text)) is not None:
        text = array[1]
    if text[:1] + text[-1:] not in _BRACKETS:
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


@dataclass(frozen=True, slots=True)
class TagDialect:
    """How the cells of one column hold names.

    Attributes:
        separator: Between names; empty where a cell is one name.
        bracketed: Cells are lists without quotes, as ``[cat, sofa]``.
        lists: Cells are in list form.
        notes: What a user should know, one sentence each.
    """

    separator: str
    bracketed: bool = False
    lists: bool = False
    notes: tuple[str, ...] = ()

    def names(self, cell: Cell) -> tuple[str, ...]:
        """Names in a cell, each once."""
        if isinstance(cell, tuple):
            return tuple(dict.fromkeys(name for name in cell if not is_null(name)))
        if is_null(cell):
            return ()
        found = listed(cell)
        if found is None:
            text = cell.strip()[1:-1] if self.bracketed else cell
            pieces = text.split(self.separator) if self.separator else [text]
            found = tuple(_unquoted(piece.strip()) for piece in pieces)
        return tuple(dict.fromkeys(name for name in found if not is_null(name)))

    def __str__(self) -> str:
        if self.separator:
            return f"split at {spelled(self.separator)}"
        return "lists" if self.lists else "one name a cell"


def _unquoted(name: str) -> str:
    quoted = len(name) > 2 and name[0] == name[-1] and name[0] in "'\""
    return name[1:-1].strip() if quoted else name


def spelled(separator: str) -> str:
    """A separator as it is shown."""
    return {" ": "blanks", "\t": "tabs", "\n": "line ends"}.get(separator, f"'{separator}'")


def find_dialect(cells: Iterable[Cell], where: str, asked: str | None = None) -> TagDialect:
    """Find out how a column holds names of classes.

    A separator is what parts cells into names that come back elsewhere. A blank is one only if
    asked for.

    Args:
        cells: All cells of the column.
        where: File and column, for messages.
        asked: The separator the user gave: itself or its name in `SEPARATORS`.

    Raises:
        DataError: Two readings are plausible; the message gives both.
    """
    cells = [cell for cell in cells if cell]
    words = Counter(cell for cell in cells if is_null(cell))
    cells = [cell for cell in cells if not is_null(cell)]
    _refuse_vectors(cells, where)
    counts = Counter(cell for cell in cells if isinstance(cell, str))
    plain = [cell.strip() for cell in counts if listed(cell) is None]
    lists = len(plain) < len(counts) or any(isinstance(cell, tuple) for cell in cells)
    notes = tuple(f"{count} cells say {word!r}: no tag" for word, count in words.items())
    bracketed = (
        bool(plain)
        and any("," in cell for cell in plain)
        and all(cell[:1] + cell[-1:] in _BRACKETS for cell in plain)
    )
    if bracketed:
        return TagDialect(",", bracketed=True, lists=True, notes=notes)
    if asked is not None:
        return TagDialect(SEPARATORS.get(asked.lower(), asked), lists=lists, notes=notes)
    separator = next((mark for mark in _STRONG if any(mark in cell for cell in plain)), "")
    pieces = {piece.strip() for cell in plain for piece in _parts(cell, separator)} - {""}
    _refuse_other_readings(plain, pieces, separator, where)
    blanks = sorted(piece for piece in pieces if " " in piece) if not separator else []
    if blanks:
        notes += (
            f"{where}: {len(blanks)} names hold blanks, such as {blanks[0]!r}"
            " (label_separator=space would split them)",
        )
    return TagDialect(separator, lists=lists, notes=notes)


def _parts(cell: str, separator: str) -> list[str]:
    return cell.split(separator) if separator else [cell]


def _refuse_other_readings(
    plain: Sequence[str], pieces: Collection[str], separator: str, where: str
) -> None:
    """Refuse a column where another separator is as plausible as the one that was found."""
    for mark in _STRONG if separator else (*_STRONG, *_WEAK):
        holders = [piece for piece in pieces if mark in piece]
        if mark != separator and holders:
            back = _coming_back(holders, mark, pieces)
            if 2 * len(back) >= len(holders):
                raise _two_readings(min(back), mark, separator, where)
    commas = {cell for cell in plain if "," in cell}
    with_blanks = separator == "," and len(commas) > 2 and all(", " in cell for cell in commas)
    if with_blanks and not _coming_back(commas, ",", set(plain)):  # as "tench, Tinca tinca"
        raise _two_readings(min(commas), ",", "", where)


def _coming_back(texts: Iterable[str], mark: str, others: Collection[str]) -> list[str]:
    """Texts of which a part, as a mark parts them, stands in another text as well."""
    counts = Counter(part for other in others for part in _part_set(other, mark))
    return [text for text in texts if any(counts[part] > 1 for part in _part_set(text, mark))]


def _part_set(text: str, mark: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(mark)) - {""}


def _refuse_vectors(cells: Iterable[Cell], where: str) -> None:
    """Refuse lists of zeros and ones: no names, and which classes they mean is not told."""
    lists = [cell if isinstance(cell, tuple) else listed(cell) or () for cell in cells]
    sizes = {len(found) for found in lists}
    numbers = all({"0", "1"}.issuperset(found) for found in lists)
    if lists and numbers and len(sizes) == 1 and max(sizes) > 1:
        raise DataError(
            f"{where}: expected names of classes, found lists of {max(sizes)} zeros and ones",
            hint="write one column per class, named as the class, or lists of names",
        )


def _two_readings(cell: str, mark: str, separator: str, where: str) -> DataError:
    names = " and ".join(repr(part.strip()) for part in cell.split(mark) if part.strip())
    word = next((word for word, sign in SEPARATORS.items() if sign == mark), mark)
    other = next((word for word, sign in SEPARATORS.items() if sign == separator), separator)
    return DataError(
        f"{where}: {cell!r} may be {names}, split at {spelled(mark)}, or one name",
        hint=f"say which: label_separator={word} or label_separator={other}",
    )


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
