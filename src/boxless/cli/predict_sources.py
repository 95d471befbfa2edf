"""Which images ``boxless predict`` was given."""

import sys
from collections.abc import Sequence
from pathlib import Path

from boxless.data.find_images import find_images, match_images
from boxless.errors import DataError
from boxless.files.paths import AnyPath, RemotePath, is_url
from boxless.inference.sources import Source


def find_sources(words: Sequence[str], failures: list[tuple[str, str]]) -> list[Source]:
    """Files as given, folders searched to the bottom, patterns resolved; stdin as its content.

    Args:
        words: As typed; ``-`` is stdin.
        failures: Gets the words that name no image, each with the reason.
    """
    found: list[Source] = []
    for word in words:
        try:
            if word == "-":
                found.append(sys.stdin.buffer.read())
            elif word.startswith(("http://", "https://")):
                found.append(word)  # a "?" begins its query and is no pattern
            elif is_url(word):
                found += map(str, _find_remote(RemotePath(word)))
            elif Path(word).is_dir():
                found += map(str, find_images(Path(word), on_note=_tell))
            elif not Path(word).exists() and any(sign in word for sign in "*?["):
                found += map(str, match_images(word))
            else:
                found.append(word)
        except DataError as error:
            failures.append((word, error.message))
    return found


def _tell(note: str) -> None:
    sys.stderr.write(f"{note}\n")


def _find_remote(word: RemotePath) -> Sequence[AnyPath]:
    """An object, those below a folder, or those that a pattern fits."""
    if any(sign in word.url for sign in "*?["):
        return match_images(word.url)
    return [word] if word.is_file() else find_images(word)
