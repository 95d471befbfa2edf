"""What a student says about one image."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from boxless.errors import ConfigError, DataError, StoreError
from boxless.files.atomic import write_atomically
from boxless.inference.drawing import annotated, save_picture
from boxless.inference.labels import Box, Label
from boxless.inference.location import DEFAULT, LocationSettings, heat_map
from boxless.inference.sources import Source, to_pixels
from boxless.types import Float32Array


@dataclass(frozen=True, slots=True)
class Prediction:
    """All that a student says about one image.

    Attributes:
        path: File of the image; None for an image given as pixels or bytes.
        labels: K labels, most probable first, equal ones in the order of the classes.
        boxes: Boxes of the labels that are present, most probable label first; () if not asked for.
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        probabilities: (K,) in the order of the student's classes.
        classes: K names in the same order.
        maps: (K, h, w) class maps; None if boxes were not asked for.
        location: How boxes are made of the maps.
        source: The image as it was given, to draw on.
    """

    path: str | None
    labels: tuple[Label, ...]
    boxes: tuple[Box, ...]
    width: int
    height: int
    probabilities: Float32Array = field(compare=False, repr=False)
    classes: tuple[str, ...] = field(compare=False, repr=False)
    maps: Float32Array | None = field(default=None, compare=False, repr=False)
    location: LocationSettings = field(default=DEFAULT, compare=False, repr=False)
    source: Source | None = field(default=None, compare=False, repr=False)

    @property
    def present(self) -> tuple[Label, ...]:
        """Labels at or above their threshold, most probable first."""
        return tuple(label for label in self.labels if label.present)

    def top(self, n: int) -> tuple[Label, ...]:
        """The n most probable labels."""
        return self.labels[: max(n, 0)]

    def above(self, threshold: float) -> tuple[Label, ...]:
        """Labels strictly more probable than a threshold of your own, best first."""
        return tuple(label for label in self.labels if label.probability > threshold)

    def heat_map(self, name: str) -> Float32Array:
        """Where a class is seen in the image, and how strongly.

        Returns:
            (H, W) in [0, 1], as large as the image.

        Raises:
            ConfigError: There is no such class.
            StoreError: The prediction was made without boxes.
        """
        if name not in self.classes:
            raise ConfigError(f"no class {name!r}; there are {', '.join(self.classes)}")
        if self.maps is None:
            raise StoreError("this prediction has no class maps", hint="predict with boxes=True")
        values = self.maps[self.classes.index(name)]
        return heat_map(values, (self.width, self.height), self.location)

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON.

        Returns:
            Keys ``path``, ``width``, ``height``; ``labels``, a list of ``name``, ``probability``,
            ``threshold``; ``boxes``, a list of ``name``, ``score``, ``x1``, ``y1``, ``x2``, ``y2``.
        """
        labels, boxes = list(map(asdict, self.labels)), list(map(asdict, self.boxes))
        size = {"width": self.width, "height": self.height}
        return {"path": self.path, **size, "labels": labels, "boxes": boxes}

    def draw(self, *, heat: str | None = None) -> Image.Image:
        """The image with its labels and boxes on it.

        Args:
            heat: A class whose heat map is laid over the image.

        Returns:
            A new RGB picture, as large as the image but at most
            `boxless.inference.drawing.LARGEST` pixels a side.

        Raises:
            DataError: The image is not known, or cannot be read any more.
            ConfigError: There is no such class.
            StoreError: A heat map is asked for, but the prediction was made without boxes.
        """
        if self.source is None:
            raise DataError("this prediction does not know its image, so it cannot be drawn")
        shown = None if heat is None else self.heat_map(heat)
        return annotated(to_pixels(self.source), self.present, self.boxes, heat=shown)

    def save(self, path: str | Path) -> None:
        """Write the prediction: ``.json``, or an annotated picture (any suffix Pillow can write).

        Args:
            path: The file; replaced in one step if it is there.

        Raises:
            ConfigError: The suffix is neither.
            DataError: The image cannot be read any more.
            RunError: The file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() == ".json":
            text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
            write_atomically(target, text.encode() + b"\n")
            return
        save_picture(self.draw(), target)
