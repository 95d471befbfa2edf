"""Tiny data sets in real formats."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from small_images import save_image


def annotation(objects: Iterable[tuple[str, int, tuple[float, float, float, float]]]) -> str:
    """VOC XML with (name, difficult, (xmin, ymin, xmax, ymax)) objects."""
    body = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{b[0]}</xmin>"
        f"<ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for name, difficult, b in objects
    )
    return f"<annotation>{body}</annotation>"


class VocTree:
    """A folder in VOC layout with the classes cat and dog, built file by file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.main = root / "ImageSets" / "Main"
        self.main.mkdir(parents=True)
        (root / "Annotations").mkdir()
        (root / "classes.txt").write_text("cat\ndog\n")

    def image(self, image_id: str, *objects: tuple[str, int, tuple[int, int, int, int]]) -> None:
        save_image(self.root / "JPEGImages" / f"{image_id}.jpg", seed=int(image_id))
        (self.root / "Annotations" / f"{image_id}.xml").write_text(annotation(objects))

    def split(self, name: str, *ids: str) -> Path:
        path = self.main / f"{name}.txt"
        path.write_text("".join(f"{i}\n" for i in ids))
        return path

    def tags(self, class_name: str, split: str, values: Mapping[str, int]) -> Path:
        path = self.main / f"{class_name}_{split}.txt"
        path.write_text("".join(f"{i} {v:2d}\n" for i, v in values.items()))
        return path


@pytest.fixture
def voc_tree(tmp_path: Path) -> VocTree:
    """Three training images, one test image, boxes only (no per-class files)."""
    tree = VocTree(tmp_path / "VOC2007")
    tree.image("1", ("cat", 0, (1, 1, 24, 16)))
    tree.image("2", ("cat", 1, (2, 3, 10, 9)), ("dog", 0, (5, 5, 8, 8)))
    tree.image("3")
    tree.image("4", ("dog", 0, (3, 4, 12, 12)))
    tree.split("trainval", "1", "2", "3")
    tree.split("test", "4")
    return tree


@pytest.fixture
def new_voc_tree() -> type[VocTree]:
    """Makes a folder in VOC layout without images."""
    return VocTree


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a table beside the images a.png, b.png, c.png; returns its path."""
    for seed, name in enumerate("abc"):
        save_image(tmp_path / f"{name}.png", seed=seed)

    def write(text: str, *, encoding: str = "utf-8") -> Path:
        path = tmp_path / "tags.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write
