"""``boxless data``: look a data set over, turn it into a table, check its tags."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from boxless.cli.data_boxes import boxes, write_list
from boxless.cli.data_suspects import apply, suspects

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from boxless.data.check import CheckReport

_SHOWN = 5

app = App(
    name="data",
    help="Check data sets and their tags, turn them into tables.",
    help_format="markdown",
)
for _verb in (boxes, suspects, apply):
    app.command(_verb, help_format="markdown")


@app.command(help_format="markdown")
def check(
    spec: str,
    /,
    *,
    skip_images: Annotated[bool, Parameter(negative="")] = False,
    skip_bad: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    workers: int | None = None,
) -> None:
    """Count images and tags; find unreadable files, duplicates and contradictions.

    Decodes every image and exits with code 2 if one cannot be read. Images without any tag are
    counted and kept.

    For example
    ```
    boxless data check voc:VOCdevkit/VOC2007
    boxless data check voc:VOCdevkit,years=2007+2012
    boxless data check coco:coco,year=2014
    boxless data check nus-wide:NUS-WIDE,missing=drop
    boxless data check csv:photos/tags.csv --skip-images
    boxless data check csv:photos/tags.csv --json > report.json
    boxless data check folder:photos
    boxless data check scenes:train=600,test=300,seed=0,size=160
    ```

    A table starts with one of two headers; paths are relative to it, the split is optional. Other
    names of columns, separators and words for yes and no are understood and told:

    ```
    path,labels,split
    images/0001.jpg,cat;sofa,train
    ```

    ```
    path,split,cat,sofa
    images/0001.jpg,train,1,-1
    ```

    with 1 present, 0 absent, -1 unknown.

    Args:
        spec: Data set: csv:FILE, folder:DIR, voc:DIR, coco:DIR, yolo:DIR, cvat:FILE,
            label-studio:FILE, fiftyone:DIR, nus-wide:DIR, list:FILE or scenes:OPTIONS.
        skip_images: Look at the tags only, open no image.
        skip_bad: List unreadable images, but do not fail because of them.
        json: Print one JSON object instead of tables.
        workers: Threads that decode images; all cores by default.
    """
    from boxless.data.check import check_manifest
    from boxless.data.sources import load_manifest
    from boxless.errors import ConfigError, DataError
    from boxless.files.progress import ImageProgress

    if workers is not None and workers < 1:
        raise ConfigError(f"expected --workers of at least 1, found {workers}")
    manifest = load_manifest(spec)
    with ImageProgress("decoding", len(manifest), show=not skip_images) as progress:
        report = check_manifest(
            manifest, images=not skip_images, workers=workers, on_done=progress.advance
        )
    if json:
        sys.stdout.write(_as_json(report))
    else:
        _print_report(report)
    if report.bad_images and not skip_bad:
        raise DataError(
            f"{len(report.bad_images)} of {len(manifest)} images cannot be used: "
            f"{report.bad_images[0].reason}",
            hint="repair or remove them, or pass --skip-bad",
        )


@app.command(help_format="markdown")
def convert(
    spec: str,
    out: Path,
    /,
    *,
    to: Literal["csv", "coco", "image-folder", "list"] = "csv",
    split: str | None = None,
    images: Path | None = None,
    proposals: Path | None = None,
    per_image: Annotated[int | None, Parameter(name="--boxes")] = None,
    root: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a data set as a table, COCO annotations, an image folder or the authors' list.

    A table holds path, split and one column a class (1, 0, -1). COCO annotations also hold true
    boxes. An image folder is what Hugging Face's datasets reads: links to the images beside
    metadata.jsonl. A list holds, on one line an image, the path, the labels and the proposals of a
    store; the class names go into OUT.classes.txt. Image files stay where they are; they are named
    relative to the file written where possible.

    For example
    ```
    boxless data convert voc:VOCdevkit/VOC2007 VOCdevkit/voc.csv
    boxless data convert scenes:train=20,test=10 scenes/tags.csv --images scenes/images
    boxless data convert csv:tags.csv train.json --to coco --split train
    boxless data convert csv:tags.csv photos-hf --to image-folder
    boxless data convert coco:coco coco/train.txt --to list --split train --proposals boxes/coco
    ```

    Args:
        spec: Data set, as of `boxless data check`.
        out: File to write; a folder for an image folder.
        to: csv, a table of tags; coco; image-folder; list, the line format of the authors' code.
        split: Write the images of this split only.
        images: Folder for the PNG files of drawn scenes (needed for ``scenes:`` only).
        proposals: Proposal store whose boxes go into the list; without one it holds tags only.
        per_image: Boxes on each line of the list, filled up with "0 0 0 0 0"; by default as many as
            the store was asked for.
        root: Folder that the paths in the list are relative to, by default the list's own.
        force: Replace the file if it exists.
    """
    from boxless.data.convert import convert as write_table
    from boxless.data.sources import load_manifest
    from boxless.errors import ConfigError, DataError
    from boxless.files.progress import ImageProgress

    if out.exists() and (not force or out.is_dir()):
        raise DataError(f"{out} exists already", hint="choose another name or pass --force")
    if to != "list" and (proposals or per_image is not None or root):
        raise ConfigError(
            "--proposals, --boxes and --root are for lists", hint="add --to list or leave them out"
        )
    if to == "list" and images:
        raise ConfigError("--images draws scenes for a table", hint="leave out --to list first")
    if per_image is not None and per_image < 1:
        raise ConfigError(f"expected --boxes of at least 1, found {per_image}")
    whole = load_manifest(spec)
    manifest = whole.split(split) if split else whole
    if to == "list":
        write_list(spec, whole, manifest, out, store=proposals, count=per_image, root=root)
    else:
        with ImageProgress("drawing", len(manifest), show=images is not None) as progress:
            done = progress.advance
            notes = write_table(manifest, out, to=to, images=images, on_done=done)
        sys.stderr.write("".join(f"{note}\n" for note in notes))
    sys.stdout.write(f"{out}: {len(manifest)} images, {len(manifest.classes)} classes\n")


def _as_json(report: "CheckReport") -> str:
    import dataclasses
    import json

    content = dataclasses.asdict(report)
    content["bad_images"] = [
        {"image_id": bad.record.image_id, "source": bad.record.source, "reason": bad.reason}
        for bad in report.bad_images
    ]
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _print_report(report: "CheckReport") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    console.print(_overview(report))
    console.print(_class_table(report))
    _print_counts(console, report)
    _print_findings(console, report)


def _table(title: str, *columns: str) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(Text(columns[0]))
    for column in columns[1:]:
        table.add_column(Text(_visible(column)), justify="right")
    return table


def _add(table: "Table", *cells: str) -> None:
    """Add a row of plain text: names come from outside and are never markup."""
    from rich.text import Text

    table.add_row(*(Text(_visible(cell)) for cell in cells))


def _visible(text: str) -> str:
    """A text from outside with characters that cannot be seen, or steer a terminal, spelled out."""
    shown = (char if char.isprintable() or char == "\u200d" else ascii(char)[1:-1] for char in text)
    return "".join(shown)


def _overview(report: "CheckReport") -> "Table":
    table = _table(f"Data set {_visible(report.name)}", "split", "images", "tags an image")
    for split, count in report.images.items():
        _add(table, split, f"{count:,}", f"{report.tags_per_image[split]:.2f}")
    return table


def _class_table(report: "CheckReport") -> "Table":
    splits = list(report.images)
    has_unknown = any(sum(c.unknown.values()) for c in report.classes)
    heads = [head for split in splits for head in _class_heads(split, has_unknown)]
    table = _table(f"{len(report.classes)} classes", "class", *heads)
    for count in report.classes:
        cells = []
        for split in splits:
            cells.append(f"{count.present[split]:,}")
            if has_unknown:
                cells.append(f"{count.unknown[split]:,}")
        _add(table, count.name, *cells)
    return table


def _class_heads(split: str, has_unknown: bool) -> tuple[str, ...]:
    return (split, "unknown") if has_unknown else (split,)


def _print_counts(console: "Console", report: "CheckReport") -> None:
    histogram = ", ".join(f"{tags}: {count:,}" for tags, count in report.histogram.items())
    console.print(f"Images by number of tags   {histogram}")
    console.print(f"Images without any tag     {report.without_tags:,} (kept)")
    first = next(iter(report.images))
    ratio = "a class never occurs" if report.imbalance is None else f"{report.imbalance:.1f} : 1"
    console.print(f"Class imbalance in {first:<8}{ratio}")
    if report.fingerprint:
        console.print(f"Fingerprint                {report.fingerprint}")
    lines = {"Read as": report.reading, "Note": report.notes, "For training": report.needs}
    for head, texts in lines.items():
        for text in texts:
            console.print(f"{head:<27}{_visible(text)}", soft_wrap=True)


def _print_findings(console: "Console", report: "CheckReport") -> None:
    if report.disagreements:
        table = _table(
            "Tags and boxes disagree (tags win)", "class", "tag without box", "box without tag"
        )
        table.add_column("for example")
        for found in report.disagreements:
            counts = (str(found.tag_without_box), str(found.box_without_tag))
            _add(table, found.name, *counts, ", ".join(found.examples))
        console.print(table)
    if not report.looked_at_images:
        console.print("Images                     not looked at (--skip-images)")
        return
    console.print(f"Unreadable images          {len(report.bad_images):,}")
    for bad in report.bad_images:
        console.print(f"  {_visible(f'{bad.record.source}: {bad.reason}')}", soft_wrap=True)
    console.print(f"Same file in two splits    {len(report.duplicates):,}")
    for group in report.duplicates[:_SHOWN]:
        console.print(f"  {_visible(' = '.join(group))}", soft_wrap=True)
    if len(report.duplicates) > _SHOWN:
        console.print(f"  … and {len(report.duplicates) - _SHOWN:,} more (all with --json)")
    console.print(f"Same file within a split   {report.repeated:,}")
