"""What ``boxless predict`` reads, and what it may write over."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from boxless.data.find_images import find_images, match_images
from boxless.errors import ConfigError, DataError
from boxless.files.paths import AnyPath, RemotePath, is_url
from boxless.inference.drawing import is_drawn
from boxless.inference.result_files import is_result
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


def refuse_to_replace(
    out: "AnyPath | None", pictures: Mapping[str, Path], *, overwrite: bool
) -> None:
    """Look at everything that is about to be written, before any of it is.

    Args:
        out: File of predictions.
        pictures: Files of annotated pictures by image.
        overwrite: Files that boxless did not write may be replaced too, but no image of `pictures`.

    Raises:
        ConfigError: One of the files is there already and boxless did not write it, or is an image
            that is about to be labelled.
    """
    hint = "name another place, or give --overwrite to replace what is there"
    if out is not None and not overwrite and out.is_file():
        with out.open("rb") as file:
            if not is_result(file):
                raise ConfigError(f"--out {out} is a file that boxless did not write", hint=hint)
    there = [path for path in pictures.values() if path.exists()]
    images = {_identity(image) for image in pictures} if there else set()
    for path in there:
        if _identity(path) in images:
            raise ConfigError(
                f"the picture {path} would replace the image itself, or another that is labelled",
                hint="name another folder",
            )
        if not overwrite and not is_drawn(path):
            raise ConfigError(f"--draw: boxless did not write {path}, which is there", hint=hint)


def _identity(path: str | Path) -> tuple[int, int] | str:
    """What two names of one file share; the name itself where there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116  (a URL is no Path)
    except (OSError, ValueError):
        return str(path)
    return found.st_dev, found.st_ino
