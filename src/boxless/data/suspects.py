"""Tables of suspicious tags, for people to check and for other programs to show."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from boxless.data.convert import portable
from boxless.types import PRESENT, ImageRecord

Kind = Literal["probably wrong tag", "probably missing tag"]
COLUMNS: Final = ("image", "class", "tag", "probability", "rank", "kind", "verdict", "path")
TO_TAG_COLUMNS: Final = ("image", "rank", "labels", "path")


@dataclass(frozen=True, slots=True)
class Suspect:
    """One tag of one image that may be wrong.

    Attributes:
        record: The image.
        name: The class.
        tag: What the data set says: 1 present, 0 absent.
        probability: That the class is present, in [0, 1], by a model that never saw the image.
        rank: From 1, the most suspicious tag first.
    """

    record: ImageRecord
    name: str
    tag: int
    probability: float
    rank: int

    @property
    def kind(self) -> Kind:
        """What is probably the matter."""
        return "probably wrong tag" if self.tag == PRESENT else "probably missing tag"


@dataclass(frozen=True, slots=True)
class ToTag:
    """One image without tags that is worth tagging.

    Attributes:
        record: The image.
        rank: From 1, in the order in which images are worth it.
        guesses: (class, probability) of what it probably shows, most probable first.
    """

    record: ImageRecord
    rank: int
    guesses: tuple[tuple[str, float], ...]


def suspects_csv(suspects: Iterable[Suspect], folder: Path) -> bytes:
    """The table, with an empty column for verdicts.

    Args:
        suspects: In the order in which they shall stand.
        folder: Absolute folder of the table, to which paths are relative.
    """
    rows = (
        (
            *(one.record.image_id, one.name, one.tag, f"{one.probability:.4f}", one.rank),
            *(one.kind, "", portable(one.record.path, folder)),
        )
        for one in suspects
    )
    return _csv(COLUMNS, rows)


def to_tag_csv(images: Iterable[ToTag], folder: Path) -> bytes:
    """Images to tag next, with an empty column for their tags.

    Args:
        images: In the order in which they shall stand.
        folder: As of `suspects_csv`.
    """
    rows = (
        (one.record.image_id, one.rank, "", portable(one.record.path, folder)) for one in images
    )
    return _csv(TO_TAG_COLUMNS, rows)


def suspects_fiftyone(suspects: Iterable[Suspect], classes: Sequence[str]) -> bytes:
    """The same as ``Classifications`` of FiftyOne, in the JSON of its image classification data.

    ``fiftyone.types.FiftyOneImageClassificationDataset`` with ``labels_path`` reads it.

    Args:
        suspects: In the order in which they shall stand in an image.
        classes: K names.
    """
    labels: dict[str, list[dict[str, object]]] = {}
    for one in suspects:
        facts = {"tag": one.tag, "rank": one.rank, "kind": one.kind}
        label = {"label": one.name, "confidence": round(one.probability, 4), "attributes": facts}
        labels.setdefault(one.record.path, []).append(label)
    content = {"classes": list(classes), "labels": labels}
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()
