"""Read lists that come as text, one thing a line."""

from collections.abc import Iterator

from boxless.errors import DataError
from boxless.files.paths import AnyPath


def numbered_lines(path: AnyPath) -> Iterator[tuple[int, str]]:
    """Read a text file line by line, without holding it.

    Args:
        path: UTF-8 text, with or without byte order mark, any line ends.

    Yields:
        Line number from 1, and the line without the white space around it; blank lines are left
        out.

    Raises:
        DataError: The file is missing, cannot be read or is no UTF-8 text.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                text = line.strip()
                if text:
                    yield number, text
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error


def read_class_names(path: AnyPath) -> tuple[str, ...]:
    """Read a list of classes.

    Returns:
        K names in file order.

    Raises:
        DataError: The file cannot be read, is empty or names a class twice.
    """
    classes = tuple(text for _, text in numbered_lines(path))
    if not classes or len(set(classes)) != len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        found = f"{', '.join(twice)} more than once" if twice else "none"
        raise DataError(f"{path}: expected one class name a line, each once, found {found}")
    return classes
