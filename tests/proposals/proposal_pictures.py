"""Small pictures on disk, and a way to load them that worker processes can import."""

import time
from pathlib import Path

import numpy as np
from PIL import Image

from boxless.types import ImageRecord, TrueBox


def load(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def load_slowly(path):
    time.sleep(0.05)
    return load(path)


def picture(seed, width=96, height=72):
    """Noise-free blocks of colour on a plain ground, and the boxes they fill."""
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), random.integers(0, 256, 3), np.uint8)
    boxes = []
    for _ in range(3):
        x1, y1 = int(random.integers(0, width // 2)), int(random.integers(0, height // 2))
        x2 = int(random.integers(x1 + 20, width + 1))
        y2 = int(random.integers(y1 + 20, height + 1))
        pixels[y1:y2, x1:x2] = random.integers(0, 256, 3)
        boxes.append((x1, y1, x2, y2))
    return pixels, boxes


def image_of(kind, height, width, seed):
    """An image of noise, of one colour, of two halves, or of nine blocks."""
    random = np.random.default_rng(seed)
    image = np.full((height, width, 3), random.integers(0, 256), np.uint8)
    if kind == "noise":
        image = random.integers(0, 256, image.shape, np.uint8)
    elif kind == "step":
        image[:, width // 2 :] = 255 - image[:, width // 2 :]
    elif kind == "blocks":
        image = random.integers(0, 256, (3, 3, 3), np.uint8)
        image = image.repeat(-(-height // 3), 0).repeat(-(-width // 3), 1)[:height, :width]
    return image


def write_pictures(folder, count):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(count):
        pixels, boxes = picture(number, width=80 + number % 7, height=60 + number % 5)
        path = folder / f"{number:03d}.png"
        Image.fromarray(pixels).save(path)
        records.append(
            ImageRecord(
                image_id=f"picture{number:03d}",
                path=str(path),
                split="train",
                labels=(1,),
                boxes=(TrueBox(0, boxes[-1]),),
                source="pictures.csv:1",
            )
        )
    return records


def contents(folder):
    """All files of a folder, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
