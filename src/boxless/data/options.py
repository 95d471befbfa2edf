"""Options behind the path of a data set, as in ``coco:DIR,year=2014,unlabelled=keep``."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from boxless.data.text import read_class_names
from boxless.errors import DataError, unknown_name
from boxless.files.paths import AnyPath, is_url, place

_FILES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Options:
    """What a user asked of a reader.

    Attributes:
        prefix: The reader's prefix, for messages.
        values: Texts by option name.
    """

    prefix: str
    values: Mapping[str, str]

    def one_of(self, name: str, *allowed: str) -> str:
        """The value of an option that has named values; the first is the default.

        Raises:
            DataError: It was given another value.
        """
        value = self.values.get(name, allowed[0])
        if value not in allowed:
            known = " or ".join(filter(None, allowed))
            raise DataError(f"expected {self.prefix}: {name} as {known}, found {value!r}")
        return value

    def number(self, name: str, default: int, *, low: int = 0) -> int:
        """The value of an option that is a whole number.

        Raises:
            DataError: It was given something else.
        """
        text = self.values.get(name)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise DataError(
                f"expected {self.prefix}: {name} as a whole number from {low}, found {text!r}"
            )
        return value

    def text(self, name: str) -> str | None:
        """The value of an option that may be anything; None where it was not given."""
        return self.values.get(name)

    def changed(self, **values: str | None) -> "Options":
        """The options with other values; None takes one away."""
        both = {**self.values, **values}
        return Options(self.prefix, {k: v for k, v in both.items() if v is not None})

    def with_class_file(self, folder: AnyPath) -> "Options":
        """The options with ``classes=FILE`` read: one name per line.

        Args:
            folder: Where the file may lie, besides where the user is.

        Raises:
            DataError: The file cannot be read or names a class twice.
        """
        asked = self.values.get("classes")
        for path in (folder / asked, Path(asked).expanduser()) if asked else ():
            if path.is_file():
                return self.changed(classes="\n".join((*read_class_names(path), "")))
        return self

    def part_files(self, folder: AnyPath) -> "tuple[dict[str, AnyPath], Options]":
        """Files that ``val=`` and ``test=`` name, by part, and the options without these.

        Args:
            folder: Where the files may lie, besides where the user is.
        """
        files: dict[str, AnyPath] = {}
        for part in ("val", "test"):
            asked = self.values.get(part)
            if not asked:
                continue
            beside = place(asked) if is_url(asked) else folder / asked
            places = (absolute(beside), absolute(Path(asked)))
            found = next((path for path in places if path.is_file()), None)
            if found is not None:
                files[part] = found
            elif places[0].suffix.lower() in _FILES:
                raise DataError(
                    f"expected a file for {self.prefix}: {part} at {places[0]}, found none"
                )
        return files, self.changed(**dict.fromkeys(files, None))

    def names(self, name: str, known: Iterable[str] = ()) -> list[str]:
        """The value of an option that lists names, parted by commas or ``+``.

        Returns:
            The names; none where the option was not given.
        """
        if name not in self.values:
            return []  # also where a class has no name
        value = self.values[name]
        if "\n" in value:  # of a file
            return value.split("\n")[:-1]
        whole = frozenset(known)
        if value in whole:
            return [value]
        parts = [part.strip() for part in value.split(",")]
        found = [[part] if part in whole else part.split("+") for part in parts if part]
        return [name for group in found for name in group]


@overload
def absolute(file: Path) -> Path: ...
@overload
def absolute(file: AnyPath) -> AnyPath: ...
def absolute(file: AnyPath) -> AnyPath:
    """The file by its whole path, symlinks kept; an address stays as it is."""
    if isinstance(file, Path):
        return Path(os.path.abspath(file.expanduser()))  # noqa: PTH100 - keeps symlinks
    return file


def split_options(prefix: str, rest: str, known: Collection[str]) -> tuple[Path, Options]:
    """Take a path and the options behind it apart.

    The path is the longest one that exists, so folders may have commas in their names.

    Args:
        prefix: The reader's prefix, for messages.
        rest: What follows ``prefix:``, such as ``DIR,year=2014``.
        known: Names of the reader's options.

    Returns:
        Absolute path (symlinks kept), and the options.

    Raises:
        DataError: An option is unknown, without a value or given twice.
    """
    location, options = cut_options(prefix, rest, known)
    return absolute(Path(location)), options


def cut_options(prefix: str, rest: str, known: Collection[str]) -> tuple[str, Options]:
    """As `split_options`, with the location as it was written: it may be a URL."""
    location, parts = cut_location(rest)
    values: dict[str, str] = {}
    name = ""
    for part in parts:
        if name and "=" not in part:  # a comma in a value
            values[name] += f",{part}"
            continue
        name, equals, value = part.partition("=")
        if not equals:
            raise DataError(
                f"expected {prefix}: options like '{next(iter(known))}=…' behind the path, "
                f"found {part!r}"
            )
        if name not in known:
            raise DataError(unknown_name(f"{prefix}: option", name, known))
        if name in values:
            raise DataError(f"expected {prefix}: {name} once, found it twice in {rest!r}")
        values[name] = value
    return location, Options(prefix, values)


def cut_location(rest: str) -> tuple[str, list[str]]:
    """The longest path that exists, and the parts behind it; else all before the first option."""
    parts = rest.split(",")
    for count in range(len(parts), 0, -1):
        location = ",".join(parts[:count])
        if not is_url(location) and Path(location).expanduser().exists():
            return location, parts[count:]
    first = next((n for n, part in enumerate(parts[1:], start=1) if "=" in part), len(parts))
    return ",".join(parts[:first]), parts[first:]
