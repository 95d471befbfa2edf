"""Names of classes that look like something else: what is left of a form that nobody foresaw.

A cell that is not understood becomes the name of a class, in silence, if nobody looks.
"""

import re
from collections.abc import Collection, Mapping

from boxless.data.cells import BRACKETS
from boxless.errors import DataError

_BROKEN_CELL = re.compile(r"#(VALUE|REF|NAME|DIV/0|NUM|NULL)[!?]", re.IGNORECASE)
_ENTITY = re.compile(r".*&(amp|lt|gt|quot|apos|nbsp|#\d+)", re.DOTALL)
_SCORED = re.compile(r".+?(\s*[:=]\s*[01](\.\d+)?|\s*\([01]?\.\d+\)|\s+\d+(\.\d+)?\s?%)", re.DOTALL)
_FRACTION = re.compile(r"[01]?\.\d+")
_NEGATIONS = ("-", "!", "~", "not ", "no ")
_DOUBTFUL = frozenset(
    (
        *("?", ".", "_", "*", "-1", "unknown", "missing", "empty", "nothing", "void", "undefined"),
        *("negative", "background", "other", "tbd", "todo", "not available", "unsure"),
    )
)


def refuse_leftovers(names: Collection[str], loose: Collection[str], where: str) -> None:
    """Refuse names that are halves of lists, errors of spreadsheets or names with numbers.

    Args:
        names: All names of a column.
        loose: Those of them that stand in plain text; those of a sound list are what they are.
        where: File and column, for the message.

    Raises:
        DataError: There are such names.
    """
    numbers = all(map(_is_number, names))
    for name in sorted(names):
        reason = _reason(name, loose) if name in loose else ""
        if not reason and not numbers and _FRACTION.fullmatch(name):
            reason = "a number among names"
        if reason:
            raise _refused(name, reason, where)
    scored = [name for name in sorted(loose) if _SCORED.fullmatch(name)]
    if len(scored) == len(names) > 1:
        raise _refused(scored[0], "a name with a number behind it", where)


def doubtful(counts: Mapping[str, int]) -> list[str]:
    """Notes about names that may mean that there is no tag.

    Args:
        counts: How many cells have each name.
    """
    return [
        f"{count} cells say {name!r}: taken as a class (ignore={name} leaves it out)"
        for name, count in counts.items()
        if name.lower() in _DOUBTFUL
    ]


def _reason(name: str, names: Collection[str]) -> str:
    """What a name looks like, other than a name; "" for others."""
    halves = (pair for pair in BRACKETS if name.count(pair[0]) != name.count(pair[1]))
    if name[:1] in "'\"" or any(name[0] == pair[0] or name[-1] == pair[1] for pair in halves):
        return "a part of a list or of a text in quotes"
    if _BROKEN_CELL.fullmatch(name):
        return "an error of a spreadsheet"
    if _ENTITY.fullmatch(name):
        return "a sign as HTML writes it, cut in two"
    for sign in _NEGATIONS:
        if name.startswith(sign) and name.removeprefix(sign) in names:
            return f"the denial of the name {name.removeprefix(sign)!r}"
    return ""


def _is_number(name: str) -> bool:
    return name.replace(".", "", 1).lstrip("+-").isdecimal()


def _refused(name: str, reason: str, where: str) -> DataError:
    return DataError(
        f"{where}: expected names of classes, found {name!r}: {reason}",
        hint="write names alone, as cat;sofa or ['cat', 'sofa']; with label_separator=none, or "
        "=semicolon and so on, names are taken as they are",
    )
