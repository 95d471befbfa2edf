"""Tags that are probably wrong: ``boxless data suspects``, ``boxless data apply``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from boxless.data.suspects import Suspect, ToTag
    from boxless.runs.context import Run

_PICTURES = 60


def suspects(
    run: Path,
    /,
    *,
    out: Path | None = None,
    top: int | None = None,
    to_tag: int = 0,
    format: Literal["csv", "fiftyone"] = "csv",  # noqa: A002 - the option's name
    data: str | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List the tags of a run's training images that are probably wrong or missing.

    Each image is judged by a head of the teacher that never saw its tags, so the run needs
    teacher.folds (the recipe photos-cpu has them) and its step `cache`, which `boxless cache` ends
    with. Writes a table, most suspicious tag first, and a page with pictures beside it. Edit the
    column verdict (keep, flip, blank; empty = undecided) and give the table to `boxless data
    apply`.

    For example
    ```
    boxless data suspects runs/mine
    boxless data suspects runs/mine --out check.csv --top 200
    boxless data suspects runs/mine --to-tag 100
    boxless data suspects runs/mine --out suspects.json --format fiftyone
    ```

    Args:
        run: Run folder.
        out: File to write, by default suspects.csv (or .json) in the run folder; the page has its
            name and ends in .html.
        top: Most tags in the table, 0 = all; by default all that the teacher speaks against.
        to_tag: Also list so many untagged images that are most worth tagging next, in a table of
            the same name that ends in -to-tag.csv.
        format: csv, or fiftyone: its JSON of image classifications.
        data: Data set, where it lies elsewhere now.
        force: Replace files that exist.
    """
    from boxless.errors import ConfigError
    from boxless.runs.start import require_training

    if min(top or 0, to_tag) < 0:
        raise ConfigError("expected --top and --to-tag of at least 0, found a negative number")
    own = "suspects.csv" if format == "csv" else "suspects.json"
    table, more, page = _paths(out or run / own)
    _refuse_existing([table, page, *([more] if to_tag else [])], force=force)
    require_training()

    from boxless.runs.finished import open_run
    from boxless.runs.suspects import find_suspects, find_worth_tagging

    opened = open_run(run, data=data, step="cache")
    _note_a_file(opened)
    found = find_suspects(opened, top)
    images = find_worth_tagging(opened, to_tag) if to_tag else []
    _write(opened, found, images, (table, more, page), fiftyone=format == "fiftyone")
    sys.stdout.write(f"{table}: {_counted(found)}\n")
    if images:
        sys.stdout.write(f"{more}: {len(images):,} images to tag next\n")
    sys.stdout.write(f"{page}: pictures of the first {min(len(found), _PICTURES)}\n")


def _paths(table: Path) -> tuple[Path, Path, Path]:
    """The table, the list of images to tag next, the page."""
    from boxless.errors import ConfigError

    if table.suffix == ".html":
        raise ConfigError(f"expected --out to name a table, found {table}: the page gets that name")
    return table, table.with_name(f"{table.stem}-to-tag.csv"), table.with_suffix(".html")


def _note_a_file(run: "Run") -> None:
    if run.recipe.teacher.kind == "file":
        sys.stderr.write(
            f"note: judged by {run.recipe.teacher.file}; if the model behind it has learned"
            " these very tags, it repeats them and finds little\n"
        )


def _write(
    run: "Run",
    found: "list[Suspect]",
    images: "list[ToTag]",
    paths: tuple[Path, Path, Path],
    *,
    fiftyone: bool,
) -> None:
    """Write the table, the list of images to tag where there are any, and the page."""
    from boxless.data.suspects import suspects_csv, suspects_fiftyone, to_tag_csv
    from boxless.files.atomic import write_atomically
    from boxless.report.html import write_suspects_page
    from boxless.runs.suspects import cards

    table, more, page = paths
    folder = table.absolute().parent
    content = suspects_fiftyone(found, run.classes) if fiftyone else suspects_csv(found, folder)
    write_atomically(table, content)
    if images:
        write_atomically(more, to_tag_csv(images, folder))
    write_suspects_page(
        page,
        run.manifest.name,
        suspects=cards(run, found[:_PICTURES]),
        to_tag=cards(run, images[:_PICTURES]),
        listed=len(found),
    )


def apply(
    table: Path,
    spec: str,
    /,
    *,
    out: Path,
    images: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a data set anew with the verdicts of a checked table.

    The table is that of `boxless data suspects`, its column verdict filled in: keep leaves a tag,
    flip says the opposite, blank makes it unknown; empty cells change nothing. Refused if the table
    does not fit the data set: an image or class is unknown, or a tag has changed since.

    For example
    ```
    boxless data apply runs/mine/suspects.csv csv:tags.csv --out tags-checked.csv
    boxless train csv:tags-checked.csv --out runs/checked
    ```

    Args:
        table: The checked table.
        spec: Data set of the run, as of `boxless data check`.
        out: CSV file to write, with all images and splits of the data set.
        images: Folder for the PNG files of drawn scenes (needed for ``scenes:`` only).
        force: Replace the file if it exists.
    """
    from boxless.data.convert import convert
    from boxless.data.sources import load_manifest
    from boxless.data.suspects import apply_verdicts, read_verdicts

    _refuse_existing([out], force=force)
    decisions = read_verdicts(table)
    manifest, counts = apply_verdicts(load_manifest(spec), decisions)
    convert(manifest, out, images=images)
    told = ", ".join(f"{counts[what]:,} {what}" for what in counts)
    sys.stdout.write(f"{out}: {len(manifest):,} images; tags: {told}\n")


def _refuse_existing(files: list[Path], *, force: bool) -> None:
    from boxless.errors import DataError

    for file in files:
        if file.exists() and (not force or file.is_dir()):
            raise DataError(f"{file} exists already", hint="choose another --out or pass --force")


def _counted(found: "list[Suspect]") -> str:
    wrong = sum(one.tag for one in found)
    return f"{len(found):,} tags to check, {wrong:,} given and {len(found) - wrong:,} not given"
