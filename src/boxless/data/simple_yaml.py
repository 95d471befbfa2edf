"""The little of YAML that ``data.yaml`` of a YOLO data set needs: keys, texts, lists, numbers.

Programs write it by a template, so no library is asked for: a full parser of YAML would be one more
dependency and a risk (tags, anchors) for five lines.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from boxless.errors import DataError

Value = str | list[str]

_KEY = re.compile(r"""(?P<key>[\w./-]+|'[^']*'|"[^"]*")\s*:(?:\s+(?P<rest>.*)|$)""")
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*\""""
_COMMENT = re.compile(rf"""((?:{_QUOTED}|[^'"#]|(?<=\S)[#'"])*)(?:(?:^|(?<=\s))\#.*)?""")
_ITEM = re.compile(
    rf"\s*(?:(?P<number>\d+)\s*:\s+)?(?P<item>{_QUOTED}|[^,]+?)\s*(?:,|$)", re.DOTALL
)


def read_simple_yaml(file: Path) -> dict[str, Value]:
    """Read keys with a text or a list each; a map of numbers counts as the list it numbers.

    Args:
        file: Such as ``data.yaml``.

    Raises:
        DataError: It cannot be read, or holds other YAML; the message says ``file:line``.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text ({error})") from error
    found: dict[str, str] = {}
    key = ""
    for number, line in enumerate(lines, start=1):
        text = _without_comment(line).rstrip()
        if not text or text in ("---", "..."):
            continue
        match = _KEY.match(text)
        if match is not None and not text[0].isdigit():
            key = _plain(match["key"])
            found[key] = match["rest"] or ""
        elif key and (text[0] in " \t-]}" or found[key][:1] in ("[", "{") or text[0].isdigit()):
            found[key] += "\n" + text
        else:
            raise DataError(f"{file}:{number}: expected 'key: value', found {text[:60]!r}")
    return {key: _value(text) for key, text in found.items()}


def _value(text: str) -> Value:
    text = text.strip()
    if text[:1] + text[-1:] in ("[]", "{}"):
        return _numbered(_ITEM.finditer(text[1:-1]))
    if "\n" not in text and not text.startswith("- ") and not re.match(r"\d+:\s", text):
        return _plain(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    items = (_ITEM.fullmatch(re.sub(r"^-\s+", "", line)) for line in lines)
    return _numbered(match for match in items if match is not None)


def _numbered(matches: Iterable[re.Match[str]]) -> list[str]:
    """Items in their order, or where their numbers put them."""
    items = [(match["number"], _plain(match["item"])) for match in matches if match["item"].strip()]
    if any(number is None for number, _ in items):
        return [item for _, item in items]
    by_number = {int(number): item for number, item in items}
    size = max(by_number, default=-1) + 1
    if size > 2 * len(by_number) + 1000:
        raise DataError(f"expected classes numbered from 0, found number {size - 1}")
    return [by_number.get(number, f"class-{number}") for number in range(size)]


def _without_comment(line: str) -> str:
    match = _COMMENT.match(line)
    return match[1] if match is not None else line


def _plain(text: str) -> str:
    """A text without its quotes."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
