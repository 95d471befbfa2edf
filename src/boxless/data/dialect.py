"""How a column of a table holds names of classes: found out for all its cells at once."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from boxless.data.cells import BRACKETS, Cell, is_null, listed
from boxless.errors import DataError, unknown_name

SEPARATORS = {
    "semicolon": ";", "comma": ",", "pipe": "|", "tab": "\t", "newline": "\n", "space": " ",
    "blank": " ", "slash": "/", "plus": "+", "colon": ":", "hash": "#", "ampersand": "&",
    "underscore": "_", "dash": "-", "dot": ".", "none": "", "\\t": "\t", "\\n": "\n",
}  # fmt: skip
"""Names of separators, for options; ``none`` leaves a cell whole."""

# wide ones of East Asia and those of Arabic, too
_STRONG = ("\n", "\t", ";", "|", "\uff1b", "\u061b", "\uff0c", "\u3001", "\u060c", ",")
_WEAK = ("/", "+", "&", " ")
_RARE = ("<br>", "<br/>", "\\n", "#", ":", "~", "^", "*", "\u00b7", "\u2022", ">", "_", "-", ".")
_QUOTES = ("''", '""', "\u201c\u201d", "\u2018\u2019", "\u201e\u201c", "\u00ab\u00bb")
_TRUTHS = frozenset(("0", "1", "0.", "1.", "0.0", "1.0", "true", "false"))
_DIGITS = re.compile(r"[01]{2,}")


@dataclass(frozen=True, slots=True)
class TagDialect:
    """How the cells of one column hold names.

    Attributes:
        separator: Between names; empty where a cell is one name.
        bracketed: Cells are lists without quotes, as ``[cat, sofa]``.
        lists: Cells are in list form.
        whole: Names are whole numbers that pandas wrote as ``3.0``.
        notes: What a user should know, one sentence each.
    """

    separator: str
    bracketed: bool = False
    lists: bool = False
    whole: bool = False
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
            found = tuple(name.partition(".")[0] for name in found) if self.whole else found
        return tuple(dict.fromkeys(name for name in found if not is_null(name)))

    def __str__(self) -> str:
        if self.separator:
            return f"split at {spelled(self.separator)}"
        return "lists" if self.lists else "one name a cell"


def _unquoted(name: str) -> str:
    quoted = len(name) > 2 and name[0] + name[-1] in _QUOTES
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
    _refuse_vectors(cells, where, texts=asked is None)
    counts = Counter(cell for cell in cells if isinstance(cell, str))
    plain = [cell.strip() for cell in counts if _listed(cell, where) is None]
    lists = len(plain) < len(counts) or any(isinstance(cell, tuple) for cell in cells)
    notes = tuple(f"{count} cells say {word!r}: no tag" for word, count in words.items())
    separator = next((mark for mark in _STRONG if any(mark in cell for cell in plain)), "")
    if separator and all(cell[:1] + cell[-1:] in BRACKETS for cell in plain):
        return TagDialect(separator, bracketed=True, lists=True, notes=notes)
    if asked is not None:
        separator = _separator(asked, where)
        if separator and plain and not any(separator in cell for cell in plain):
            notes += (f"{where}: no cell holds {spelled(separator)}, which label_separator names",)
        return TagDialect(separator, lists=lists, notes=notes)
    pieces = {piece.strip() for cell in plain for piece in _parts(cell, separator)} - {""}
    _refuse_other_readings(plain, pieces, separator, where)
    blanks = sorted(piece for piece in pieces if " " in piece) if not separator else []
    if blanks:
        notes += (
            f"{where}: {len(blanks)} names hold blanks, such as {blanks[0]!r}"
            " (label_separator=space would split them)",
        )
    whole = bool(pieces) and all(re.fullmatch(r"\d+(\.0+)?", piece) for piece in pieces)
    return TagDialect(separator, lists=lists, whole=whole, notes=notes)


def _separator(asked: str, where: str) -> str:
    """What an option means: a separator's name, or the separator itself."""
    word = asked.strip()
    if asked.lower() in SEPARATORS or word.lower() in SEPARATORS:
        return SEPARATORS.get(asked.lower(), SEPARATORS.get(word.lower(), asked))
    if asked.isalpha():
        known = [name for name in SEPARATORS if name.isalpha()]
        raise DataError(
            f"{where}: {unknown_name('label_separator', asked, known)}",
            hint="or give the characters themselves; around a word with its blanks",
        )
    return asked if not word or word.isalpha() else word


def _listed(cell: str, where: str) -> tuple[str, ...] | None:
    try:
        return listed(cell)
    except DataError as error:
        raise DataError(
            f"{where}: {error.message}, in {cell[:60]!r}",
            hint="write names alone, or one column per class with 1 and 0",
        ) from error


def _parts(cell: str, separator: str) -> list[str]:
    return cell.split(separator) if separator else [cell]


def _refuse_other_readings(
    plain: Sequence[str], pieces: Collection[str], separator: str, where: str
) -> None:
    """Refuse a column where another separator is as plausible as the one that was found."""
    for mark in () if separator else _RARE:
        texts = [text for text in pieces if len(_part_set(text, mark)) > 1]
        alone = {next(iter(_part_set(t, mark))) for t in pieces if len(_part_set(t, mark)) == 1}
        made = [text for text in texts if _part_set(text, mark) <= alone]
        if made and 2 * len(made) >= len(texts):
            raise _two_readings(min(made), mark, separator, where)
    for mark in _STRONG if separator else (*_STRONG, *_WEAK):
        holders = [piece for piece in pieces if mark in piece]
        if mark != separator and holders:
            back = _coming_back(holders, mark, pieces)
            if 2 * len(back) >= len(holders):
                raise _two_readings(min(back), mark, separator, where)
    commas = {cell for cell in plain if "," in cell}
    with_blanks = separator == "," and len(commas) > 1 and all(", " in cell for cell in commas)
    if with_blanks and not _coming_back(commas, ",", set(plain)):  # as "tench, Tinca tinca"
        raise _two_readings(min(commas), ",", "", where)


def _coming_back(texts: Iterable[str], mark: str, others: Collection[str]) -> list[str]:
    """Texts of which a part, as a mark parts them, stands in another text as well."""
    counts = Counter(part for other in others for part in _part_set(other, mark))
    return [text for text in texts if any(counts[part] > 1 for part in _part_set(text, mark))]


def _part_set(text: str, mark: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(mark)) - {""}


def _refuse_vectors(cells: Sequence[Cell], where: str, *, texts: bool) -> None:
    """Refuse lists of zeros and ones: no names, and which classes they mean is not told."""
    digits = [cell for cell in cells if isinstance(cell, str) and _DIGITS.fullmatch(cell)]
    joined = len(digits) == len(cells) and any(cell[0] == "0" for cell in digits)
    lists = []
    for cell in cells:
        found = cell if isinstance(cell, tuple) else _listed(cell, where)
        if found is None and isinstance(cell, str):
            words = re.split(r"[\s,;|]+", cell.strip("[](){} \n")) if texts else []
            found = tuple(cell if texts and joined else words)
        lists.append(found or ())
    sizes = {len(found) for found in lists}
    numbers = all(_TRUTHS.issuperset(map(str.lower, found)) for found in lists)
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
