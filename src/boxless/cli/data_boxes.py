"""Boxes of the authors' lists: ``boxless data boxes``, ``boxless data convert --to list``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxless.data.manifest import Manifest
    from boxless.proposals.store import ProposalStore
    from boxless.types import ImageRecord, Proposals

_PREFIX = "list:"


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list of the authors' format holds.

    Attributes:
        proposals: Proposal store whose boxes go into the list; without one it holds tags only.
        per_image: Boxes on each line of the list, filled up with "0 0 0 0 0"; by default as many as
            the store was asked for.
        root: Folder that the paths in the list are relative to, by default the list's own.
    """

    proposals: Path | None = None
    per_image: Annotated[int | None, Parameter(name="--boxes")] = None
    root: Path | None = None

    def check(self, to: str) -> None:
        """Refuse options that the format to be written has no place for.

        Raises:
            ConfigError: An option is for lists alone, or out of range.
        """
        from boxless.errors import ConfigError

        if to != "list" and self != TAGS_ALONE:
            raise ConfigError(
                "--proposals, --boxes and --root are for lists",
                hint="add --to list or leave them out",
            )
        if self.per_image is not None and self.per_image < 1:
            raise ConfigError(f"expected --boxes of at least 1, found {self.per_image}")


TAGS_ALONE = ListOptions()


def boxes(spec: str, out: Path, /, *, frame: int = 672) -> None:
    """Take the boxes of the authors' list over into a proposal store.

    Coordinates of a list refer to the image resized to 672 x 672 pixels and include the last one;
    the store has them in pixels of the original image, ends exclusive. Boxes "0 0 0 0 0" at the end
    of a line only fill it up and are left out.

    For example
    ```
    boxless data boxes list:train.txt,test=test.txt,classes=classes.txt proposals/authors
    boxless train list:train.txt,test=test.txt,classes=classes.txt --out runs/authors
        --proposals.method file --proposals.file proposals/authors
    boxless data convert list:train.txt copy.txt --to list --proposals proposals/authors
    ```

    Args:
        spec: The list: list:FILE[,test=FILE][,classes=FILE][,root=DIR].
        out: Folder of the new store.
        frame: Side in pixels of the resized image that the coordinates refer to.
    """
    from boxless.data.sources import load_manifest
    from boxless.errors import ConfigError, DataError
    from boxless.proposals.extract import SHARD_SIZE
    from boxless.proposals.index import StoreInputs
    from boxless.proposals.list_boxes import fill_store

    if not spec.startswith(_PREFIX):
        raise DataError(
            f"expected a list with boxes, as in list:train.txt, found {spec!r}",
            hint="'boxless proposals' finds boxes in the images of other data sets",
        )
    if frame < 1:
        raise ConfigError(f"expected --frame of at least 1, found {frame}")
    manifest = load_manifest(spec)
    location = spec.removeprefix(_PREFIX)
    inputs = StoreInputs(
        "list",
        {"frame": frame, "boxes": _boxes_a_line(location)},
        manifest.fingerprint,
        SHARD_SIZE,
        manifest.image_ids,
    )
    store = fill_store(out, inputs, _listed(location, manifest, frame))
    sys.stdout.write(f"{out}: boxes of {len(store)} images\n")


def write_list(
    spec: str,
    whole: "Manifest",
    manifest: "Manifest",
    out: Path,
    options: ListOptions,
) -> None:
    """Write images, tags and the boxes of a store as a list.

    Args:
        spec: The data set as the user named it; paths of a list stay as they are.
        whole: All its images: what the store must belong to.
        manifest: The images to write.
        out: The list.
        options: Boxes, and the folder that paths are relative to.
    """
    import os

    from boxless.data import authors_list
    from boxless.data.convert import portable
    from boxless.errors import DataError
    from boxless.files.progress import ProgressBar
    from boxless.proposals.list_boxes import FRAME, format_boxes
    from boxless.proposals.store import ProposalStore
    from boxless.types import UNKNOWN

    if any(record.path.startswith("scenes:") for record in manifest.records):
        raise DataError(
            "drawn scenes have no files that a list could name",
            hint="write them as a table with --images DIR first, then convert csv:TABLE",
        )
    if spec.startswith(_PREFIX) and options.root is None:
        names = list(manifest.image_ids)
    else:
        folder = Path(os.path.abspath(options.root or out.parent))  # noqa: PTH100 - keeps symlinks
        names = [portable(record.path, folder) for record in manifest.records]
    unknown = sum(record.labels.count(UNKNOWN) for record in manifest.records)
    if unknown:
        sys.stderr.write(
            f"{unknown} labels are unknown and written as -1; the authors' code knows 0 and 1\n"
        )
    if options.proposals is None:
        authors_list.write(manifest, out, names, lambda _: "")
        return
    opened = ProposalStore.open(options.proposals)
    opened.require(manifest.image_ids, whole.fingerprint)
    frame = int(opened.index.inputs.settings.get("frame", FRAME))
    size = options.per_image or _most_boxes(opened)
    with ProgressBar("writing", len(manifest)) as progress:

        def words(record: "ImageRecord") -> str:
            progress.advance()
            return format_boxes(opened[record.image_id], size, frame=frame)

        authors_list.write(manifest, out, names, words)


def _most_boxes(store: "ProposalStore") -> int:
    """R of a list made from a store: what it was asked for, else its longest image."""
    settings = store.index.inputs.settings
    asked = settings.get("boxes", settings.get("max_boxes"))
    return int(asked) if asked else max(len(store[image_id]) for image_id in store)


def _boxes_a_line(location: str) -> int:
    from boxless.data.authors_list import NUMBERS_A_BOX, read_boxes

    return len(next(read_boxes(location)).numbers) // NUMBERS_A_BOX


def _listed(location: str, manifest: "Manifest", frame: int) -> "Iterator[tuple[str, Proposals]]":
    """Id and proposals of each image, in the order of the manifest."""
    from boxless.data.authors_list import read_boxes
    from boxless.data.images import image_size
    from boxless.files.progress import ProgressBar
    from boxless.proposals.list_boxes import parse_boxes

    lines = read_boxes(location)
    with ProgressBar("reading boxes", len(manifest)) as progress:
        for record, line in zip(manifest.records, lines, strict=True):
            width, height = image_size(record.path)
            found = parse_boxes(line.numbers, width, height, source=line.source, frame=frame)
            yield record.image_id, found
            progress.advance()
