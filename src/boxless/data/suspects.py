"""Tables of suspicious tags: written for people and other programs, taken back as new tags."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from boxless.data.cells import is_null, truth
from boxless.data.convert import portable
from boxless.data.manifest import Manifest
from boxless.data.sheet import Row, Sheet, read_sheet
from boxless.errors import DataError, unknown_name
from boxless.files.paths import AnyPath
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord

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


Verdict = Literal["keep", "flip", "blank"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
"""Leave the tag as it is, say the opposite, call it unknown."""

_NEEDED = ("image", "class", "tag", "verdict")


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of a table that has a verdict.

    Attributes:
        image: Id of the image.
        name: The class.
        tag: The tag that was looked at, 1 or 0.
        verdict: What becomes of it.
        source: ``file:line``, for messages.
    """

    image: str
    name: str
    tag: int
    verdict: Verdict
    source: str


def read_verdicts(file: AnyPath) -> list[Decision]:
    """Read the rows that have a verdict; an empty cell is none.

    Args:
        file: Table of `boxless.data.suspects.suspects_csv`, edited: columns may stand in any order,
            others are ignored; CSV in any dialect, JSON lines or Parquet.

    Raises:
        DataError: A column is missing, a cell is not as it must be, a tag is judged twice, or no
            row has a verdict.
    """
    sheet = read_sheet(file, frozenset(("image", "verdict")))
    missing = [name for name in _NEEDED if name not in sheet.header]
    if missing:
        raise DataError(
            f"{file}: expected the columns {', '.join(_NEEDED)}, found"
            f" {', '.join(map(repr, sheet.header))}",
            hint="`boxless data suspects RUN` writes such a table; keep its header",
        )
    decisions = list(_decisions(sheet))
    if not decisions:
        raise DataError(
            f"{file}: expected verdicts in the column 'verdict', found {len(sheet.rows):,} rows"
            " without one",
            hint=f"write {', '.join(VERDICTS)} there; rows that stay empty change nothing",
        )
    first: dict[tuple[str, str], Decision] = {}
    for one in decisions:
        known = first.setdefault((one.image, one.name), one)
        if known is not one:
            raise DataError(
                f"{one.source}: the tag {one.name!r} of {one.image!r} is judged already at"
                f" {known.source}",
                hint="leave one of the two verdicts, and empty the other cell",
            )
    return decisions


def apply_verdicts(manifest: Manifest, decisions: list[Decision]) -> tuple[Manifest, Counter[str]]:
    """The data set with the tags that people decided on.

    Args:
        manifest: The data set that the table was made of.
        decisions: Of `read_verdicts`.

    Returns:
        The data set with its new tags, and how many were ``added``, ``removed``, ``made unknown``
        and ``kept``.

    Raises:
        DataError: The table belongs to other data: an image or class is unknown, or a tag is
            another one now.
    """
    rows = {image_id: row for row, image_id in enumerate(manifest.image_ids)}
    columns = {name: column for column, name in enumerate(manifest.classes)}
    labels = [list(record.labels) for record in manifest.records]
    counts: Counter[str] = Counter()
    for one in decisions:
        if one.image not in rows:
            raise DataError(
                f"{one.source}: {manifest.name} has no image {one.image!r}",
                hint="apply the table to the data set of its run; spreadsheets like to turn 000012"
                " into 12, which importing the column as text prevents",
            )
        if one.name not in columns:
            raise DataError(f"{one.source}: {unknown_name('class', one.name, columns)}")
        row, column = rows[one.image], columns[one.name]
        found = labels[row][column]
        if found != one.tag:
            raise DataError(
                f"{one.source}: expected the tag {one.name!r} of {one.image!r} to be {one.tag}, as"
                f" when the table was written, found {found} in {manifest.records[row].source}",
                hint="the tags have changed since then: train again and take a new table, or give"
                " the data set as it was",
            )
        new = {"keep": found, "flip": 1 - found, "blank": UNKNOWN}
        labels[row][column] = new[one.verdict]
        counts[_what(one)] += 1
    records = (
        replace(record, labels=tuple(tags))
        for record, tags in zip(manifest.records, labels, strict=True)
    )
    return replace(manifest, records=tuple(records)), counts


def _what(one: Decision) -> str:
    if one.verdict == "flip":
        return "removed" if one.tag == PRESENT else "added"
    return "kept" if one.verdict == "keep" else "made unknown"


def _decisions(sheet: Sheet) -> Iterator[Decision]:
    for row in sheet.rows:
        cells = dict(zip(sheet.header, map(str, row.cells), strict=True))
        if is_null(cells["verdict"]):
            continue
        verdict = cells["verdict"].lower()
        if verdict not in VERDICTS:
            raise DataError(
                f"{sheet.where(row, 'verdict')}: expected {', '.join(VERDICTS)} or nothing, found"
                f" {cells['verdict']!r}"
            )
        source = f"{row.file}:{row.line}"
        tag = _tag(cells["tag"], sheet, row)
        yield Decision(cells["image"], cells["class"], tag, verdict, source)


def _tag(cell: str, sheet: Sheet, row: Row) -> int:
    tag = truth(cell)
    if tag not in (PRESENT, ABSENT):
        raise DataError(f"{sheet.where(row, 'tag')}: expected a tag of 1 or 0, found {cell!r}")
    return tag
