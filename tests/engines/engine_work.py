"""Work that worker processes can import."""

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from boxless.errors import DataError
from boxless.types import ImageRecord


def write_images(folder: Path, count: int) -> list[ImageRecord]:
    """Blocks of colour on a plain ground."""
    folder.mkdir(parents=True)
    records = []
    for number in range(count):
        random = np.random.default_rng(number)
        pixels = np.full((60 + number % 5, 80, 3), random.integers(0, 256, 3), np.uint8)
        x, y = random.integers(0, 40, 2)
        pixels[y : y + 20, x : x + 30] = random.integers(0, 256, 3)
        path = folder / f"{number:03d}.png"
        Image.fromarray(pixels).save(path)
        records.append(ImageRecord(path.stem, str(path), "train", (1,), source="list:1"))
    return records


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, byte for byte."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def load_slowly(path: str) -> np.ndarray:
    time.sleep(0.1)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def load_here_alone(process: int, path: str) -> np.ndarray:
    """An image on a disk that only one machine has."""
    if os.getpid() != process:
        raise DataError(f"{path}: image file is missing")
    return load_slowly(path)


def double(number: int) -> int:
    return 2 * number


def refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("three is a crowd", hint="take two")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os._exit(1)
    return number
