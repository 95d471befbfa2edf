"""Which column of a table is what: the image, its tags, its split, a class, or none of these.

Known names decide, then what the cells hold, and the user's options before both. Where two readings
are left the table is refused with both of them.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxless.data.cells import Cell, is_null, truth
from boxless.data.column_names import (
    DOUBTFUL,
    ESCAPE,
    METADATA,
    NUMBERED_TAG,
    OFTEN_NO_SPLIT,
    PATHS,
    SPLIT_FLAGS,
    SPLITS,
    TAGS,
    plain,
)
from boxless.data.find_images import SUFFIXES
from boxless.data.options import Options
from boxless.data.sheet import Sheet
from boxless.data.splits import split_name
from boxless.errors import DataError, unknown_name
from boxless.types import ABSENT, PRESENT

_MANY = 30  # among so many classes a word such as "camera" is one, too
_PLAIN_TRUTH = {"0", "1", "-1", "0.0", "1.0", "-1.0", "true", "false", "yes", "no"}
_OPEN_IMAGES = ("confidence", "value", "present", "presence")


@dataclass(frozen=True, slots=True)
class Roles:
    """What the columns of a table are.

    Attributes:
        path: Names the image.
        tags: Hold names of classes; none where columns stand for classes.
        classes: Columns that stand for one class each; none where there are tags.
        split: Says which part an image belongs to, or None.
        flags: Columns that say yes or no to one part, such as ``is_valid``.
        unknown: Holds names of classes that are unknown in an image, or None.
        verdict: Says by 1 or 0 whether the tag of a row is true, or None.
        left_out: The others.
    """

    path: str
    tags: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    split: str | None = None
    flags: tuple[str, ...] = ()
    unknown: str | None = None
    verdict: str | None = None
    left_out: tuple[str, ...] = ()

    def split_of(self, sheet: Sheet, row: Sequence[Cell]) -> str:
        """The part a row says it belongs to; "" where there is no such column."""
        if self.split is not None:
            return str(row[sheet.header.index(self.split)])
        if not self.flags:
            return ""
        told = {
            SPLIT_FLAGS.get(plain(name), "train"): truth(row[sheet.header.index(name)]) == PRESENT
            for name in self.flags
        }
        return next((part for part, yes in told.items() if yes), _rest(told))


def _rest(flags: Collection[str]) -> str:
    """The part of a row that all flags deny."""
    return next((part for part in ("train", "test", "val") if part not in flags), "train")


def find_roles(sheet: Sheet, options: Options, fixed: Sequence[str] = ()) -> Roles:
    """Find out what each column is.

    Args:
        sheet: The table.
        options: What the user said: ``path=``, ``labels=``, ``split=``, ``classes=``, ``ignore=``.
        fixed: Names of classes from a list beside the table.

    Raises:
        DataError: There is no image or no class, or two readings are plausible.
    """
    return _Finder(sheet, options, fixed).roles()


class _Finder:
    """Takes columns off the header, one role after the other."""

    def __init__(self, sheet: Sheet, options: Options, fixed: Sequence[str]) -> None:
        self.sheet, self.options = sheet, options
        sure = (name for name in sheet.header if name.startswith(ESCAPE))
        self.named = frozenset((*options.names("classes", sheet.header), *fixed, *sure))
        self._counts: dict[str, Counter[Cell]] = {}
        ignored = options.names("ignore", sheet.header)
        self.left = [name for name in sheet.header if name not in ignored]

    def roles(self) -> Roles:
        path = self._path()
        tags = self._asked("labels") or self._tags()
        split, flags = self._split()
        unknown = self._take_first(("unknown", "unknownlabels", "unknowntags")) if tags else None
        verdict = self._verdict() if tags else None
        classes = [name for name in self.left if self._is_class(name)]
        if not tags:
            self._refuse_doubtful(classes)
        if tags and classes:
            raise self._error(
                f"expected either a column of tags or one column a class, found "
                f"{', '.join(map(repr, tags))} and {', '.join(classes[:8])}",
                f"say which: labels={tags[0]} with ignore={'+'.join(classes[:3])}, or "
                f"ignore={tags[0]}",
            )
        if not tags and not classes:
            raise self._no_classes()
        used = {path, *tags, *classes, split, *flags, unknown, verdict}
        left_out = tuple(name for name in self.sheet.header if name not in used)
        return Roles(
            path, tuple(tags), tuple(classes), split, tuple(flags), unknown, verdict, left_out
        )

    def _path(self) -> str:
        asked = self._asked("path")
        if asked:
            return asked[0]
        words = [plain(name) for name in PATHS]
        found = [name for name in self.left if plain(name) in words and name not in self.named]
        if not found:
            bare = any(Path(name).suffix.lower() in SUFFIXES for name in self.sheet.header)
            lone = self.sheet.header[0] if len(self.sheet.header) == 1 else ""
            mark = next((w for w, sign in (("space", " "), ("colon", ":")) if sign in lone), "")
            raise self._error(
                f"expected a {'header with a ' * bare}column 'path', found "
                f"{', '.join(self.sheet.header[:8])}",
                f"say what parts the columns: delimiter={mark}"
                if mark
                else "write path,labels[,split] or path[,split],CLASS,CLASS,… into the first "
                "line, or name the column that names the images: path=COLUMN",
            )
        best = min(found, key=lambda name: words.index(plain(name)))
        self.left.remove(best)
        return best

    def _tags(self) -> list[str]:
        found = [
            name
            for name in self.left
            if (TAGS.fullmatch(plain(name)) or NUMBERED_TAG.fullmatch(plain(name)))
            and name not in self.named
        ]
        if all(NUMBERED_TAG.fullmatch(plain(name)) for name in found) and found:
            columns = [self._cells(name) for name in found]
            if all(truth(cell) is not None for cells in columns for cell in cells):
                return []  # classes that are numbered
        elif len(found) > 1 and (texts := [name for name in found if not self._numbers(name)]):
            self.left = [name for name in self.left if name in texts or name not in found]
            found = texts
        if len(found) > 1 and not all(NUMBERED_TAG.fullmatch(plain(name)) for name in found):
            raise self._error(
                f"{' and '.join(map(repr, found))} may both hold the tags",
                f"say which: labels={found[0]} or labels={found[1]}, or both: "
                f"labels={'+'.join(found)}",
            )
        words = {str(cell).strip().lower() for cell in self._cells(found[0])} if found else set()
        if len(found) == 1 and words and words <= _PLAIN_TRUTH:
            raise self._error(
                f"column {found[0]!r} holds 1 and 0 only: one class of that name, or classes named "
                "'0' and '1'",
                f"say which: classes={found[0]} or labels={found[0]}",
            )
        for name in found:
            self.left.remove(name)
        return found

    def _split(self) -> tuple[str | None, list[str]]:
        asked = self._asked("split")
        named = [n for n in self.left if SPLITS.fullmatch(plain(n)) and n not in self.named]
        flags = [n for n in self.left if plain(n) in SPLIT_FLAGS and n not in self.named]
        flags = [name for name in flags if self._only_truth(name)]
        if flags:  # a column "train" alone may be a class
            flags += [
                name for name in self.left if plain(name) == "train" and name not in self.named
            ]
        self.left = [name for name in self.left if name not in named and name not in flags]
        if asked:
            return (None, asked) if plain(asked[0]) in SPLIT_FLAGS else (asked[0], [])
        speaking = [name for name in named if self._says_splits(name)]
        if not speaking and not flags:  # a column of another name that says nothing else
            speaking = [name for name in self.left if self._says_only_splits(name)]
            self.left = [name for name in self.left if name not in speaking]
        if len(speaking) > 1 or (speaking and flags):
            both = [*speaking, *flags][:2]
            raise self._error(
                f"{both[0]!r} and {both[1]!r} may both be the split",
                f"say which: split={both[0]} or split={both[1]}",
            )
        unclear = [
            name
            for name in named
            if self._only_truth(name) or not OFTEN_NO_SPLIT.fullmatch(plain(name))
        ]
        if not speaking and not flags and unclear:
            raise self._unclear_split(unclear[0])
        return (speaking[0] if speaking else None), flags

    def _says_splits(self, name: str) -> bool:
        words = {str(cell) for cell in self._cells(name)}
        asked = {
            value for part in ("train", "val", "test") for value in self.options.names(part, words)
        }
        known = [word for word in words if split_name(word) is not None or word in asked]
        exact = plain(name) == "split" and (known or not words)
        return bool(exact or (known and 2 * len(known) >= len(words)))

    def _says_only_splits(self, name: str) -> bool:
        parts = {split_name(str(cell)) for cell in self._cells(name)}
        return "train" in parts and len(parts) > 1 and None not in parts and name not in self.named

    def _unclear_split(self, name: str) -> DataError:
        cells = self._cells(name)
        values = sorted({str(cell) for cell in cells})
        if self._only_truth(name):
            return self._error(
                f"column {name!r} holds 1 and 0 only: the split, or a class of that name",
                f"say which: split={name},test=1 or classes=… with {name!r} among them, or "
                f"ignore={name}",
            )
        likely = next((v for v in values if re.search("te|priv", v.lower())), "".join(values[-1:]))
        return self._error(
            f"column {name!r} may be the split, but none of its values says train or test: "
            f"{', '.join(values[:8])}",
            f"say which rows test: split={name},test={likely or 'VALUE'}; or leave "
            f"the column out: ignore={name}",
        )

    def _verdict(self) -> str | None:
        """A column by which rows take their own tag back, as Open Images writes them."""
        for name in self.left:
            verdicts = {truth(cell) for cell in self._cells(name)}
            if plain(name) in _OPEN_IMAGES and None not in verdicts and ABSENT in verdicts:
                self.left.remove(name)
                return name
        return None

    def _is_class(self, name: str) -> bool:
        if name in self.named:
            return True
        if self.options.text("classes") is not None or self._is_metadata(name):
            return False
        cells = self._cells(name)
        right = sum(count for cell, count in cells.items() if truth(cell) is not None)
        return bool(cells) and 2 * right >= cells.total()

    def _refuse_doubtful(self, classes: Sequence[str]) -> None:
        """Refuse a column of 1 and 0 that is more likely to be about the image than in it."""
        doubtful = [n for n in classes if DOUBTFUL.fullmatch(plain(n)) and n not in self.named]
        if doubtful and 0 < len(classes) - len(doubtful) < _MANY:
            raise self._error(
                f"column {doubtful[0]!r} may be about the image, or a class of that name",
                f"say which: ignore={'+'.join(doubtful)}, or write {ESCAPE}{doubtful[0]} into the "
                "first line",
            )

    def _is_metadata(self, name: str) -> bool:
        word = plain(name)
        return bool(METADATA.fullmatch(word)) or word in {plain(known) for known in PATHS[:-2]}

    def _no_classes(self) -> DataError:
        texts = [n for n in self.left if not self._is_metadata(n) and not self._numbers(n)]
        hint = f"if a column holds the tags, name it: labels={texts[0]}" if texts else ""
        return self._error(
            "expected a column 'labels' or one column a class, found none among "
            f"{', '.join(self.sheet.header[:8])}",
            hint or "write path,labels[,split] into the first line",
        )

    def _asked(self, option: str) -> list[str]:
        names = self.options.names(option, self.sheet.header)
        for name in names:
            if name not in self.left:
                raise DataError(
                    f"{self.sheet.file}: {unknown_name('column', name, self.sheet.header)}"
                )
            self.left.remove(name)
        return names

    def _take_first(self, words: Sequence[str]) -> str | None:
        name = next((name for name in self.left if plain(name) in words), None)
        if name is not None:
            self.left.remove(name)
        return name

    def _cells(self, name: str) -> Counter[Cell]:
        """How often each cell that says something stands in a column."""
        if name not in self._counts:
            counts = Counter(self.sheet.column(name))
            self._counts[name] = Counter({c: n for c, n in counts.items() if not is_null(c)})
        return self._counts[name]

    def _only_truth(self, name: str) -> bool:
        cells = self._cells(name)
        return bool(cells) and all(truth(cell) is not None for cell in cells)

    def _numbers(self, name: str) -> bool:
        return all(
            str(cell).replace(".", "", 1).lstrip("+-").isdecimal() for cell in self._cells(name)
        )

    def _error(self, message: str, hint: str) -> DataError:
        return DataError(f"{self.sheet.file}:1: {message}", hint=hint)
