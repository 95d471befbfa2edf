"""``boxless data``: look a data set over, turn it into a table, check its tags."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from boxless.cli.data_boxes import TAGS_ALONE, ListOptions, boxes, write_list
from boxless.cli.data_suspects import apply, suspects

if TYPE_CHECKING:
    from boxless.data.check import CheckReport
    from boxless.data.manifest import Manifest
    from boxless.runs.leak_check import UntaggedReport

Flag = Annotated[bool, Parameter(negative="")]

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
    untagged: str = "",
    tags: int = 0,
    skip_images: Flag = False,
    skip_bad: Flag = False,
    json: Flag = False,
    workers: int | None = None,
) -> None:
    """Count images and tags; find unreadable files, duplicates and contradictions.

    Decodes every image and exits with code 2 if one cannot be read. Images without any tag are
    counted and kept. What was taken for what, and what training would stumble over, is told in the
    lines that `boxless train` starts with.

    For example
    ```
    boxless data check voc:VOCdevkit/VOC2007
    boxless data check coco:coco,year=2014
    boxless data check folder:photos --json > report.json
    boxless data check csv:photos/tags.csv --untagged photos/
    boxless data check scenes:train=600,test=300,seed=0,size=160
    ```

    A table starts with one of two headers; paths are relative to it, the split is optional; 1 is
    present, 0 absent, -1 unknown. Other names, separators and words are understood and told:

    ```
    path,labels,split
    images/0001.jpg,cat;sofa,train
    ```
    ```
    path,split,cat,sofa
    images/0001.jpg,train,1,-1
    ```

    Args:
        spec: Data set: csv:FILE, folder:DIR, voc:DIR, coco:DIR, yolo:DIR, cvat:FILE,
            label-studio:FILE, fiftyone:DIR, nus-wide:DIR, list:FILE or scenes:OPTIONS; or the path
            alone, such as tags.csv, where that leaves no doubt.
        untagged: Images without tags, as of `boxless train`: counted, and searched for test and
            held-out images under another name.
        tags: Training images that keep their tags; the others are searched likewise.
        skip_images: Look at the tags only, open no image.
        skip_bad: List unreadable images, but do not fail because of them.
        json: Print one JSON object instead of tables.
        workers: Threads that decode images; all cores by default.
    """
    from boxless.cli.data_report import show_report
    from boxless.data.sources import load_manifest

    manifest = load_manifest(spec)
    report = _look_over(manifest, images=not skip_images, workers=workers)
    beside = _beside(manifest, spec, untagged, tags, images=not skip_images)
    show_report(manifest, report, beside, as_json=json)
    _refuse_bad(report, beside, skip=skip_bad)


def _look_over(manifest: "Manifest", *, images: bool, workers: int | None) -> "CheckReport":
    from boxless.data.check import check_manifest
    from boxless.errors import ConfigError
    from boxless.files.progress import ProgressBar

    if workers is not None and workers < 1:
        raise ConfigError(f"expected --workers of at least 1, found {workers}")
    with ProgressBar("decoding", len(manifest), show=images) as progress:
        return check_manifest(manifest, images=images, workers=workers, on_done=progress.advance)


def _beside(
    manifest: "Manifest", spec: str, untagged: str, tags: int, *, images: bool
) -> "UntaggedReport | None":
    """What there is to say of images without tags, where they were asked about."""
    if not untagged and not tags:
        return None
    from boxless.errors import ConfigError
    from boxless.recipe.sections import DataConfig
    from boxless.runs.leak_check import check_untagged

    if tags < 0:
        raise ConfigError(f"expected --tags of at least 1, found {tags}")
    config = DataConfig(untagged=untagged, tags=tags)
    return check_untagged(manifest, config, spec, images=images)


def _refuse_bad(report: "CheckReport", beside: "UntaggedReport | None", *, skip: bool) -> None:
    """Fail because of unreadable images, unless they are to be skipped."""
    from boxless.errors import DataError

    bad = (*report.bad_images, *(beside.bad_images if beside else ()))
    if not bad or skip:
        return
    count = sum(report.images.values()) + (beside.images if beside else 0)
    raise DataError(
        f"{len(bad)} of {count} images cannot be used: {bad[0].reason}",
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
    lines: ListOptions = TAGS_ALONE,
    force: Flag = False,
) -> None:
    """Write a data set as a table, COCO annotations, an image folder or the authors' list.

    A table holds path, split and one column a class (1, 0, -1). COCO annotations also hold true
    boxes. An image folder is what Hugging Face's datasets reads: links to the images beside
    metadata.jsonl. A list holds, on one line per image, the path, the labels and the proposals of a
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
        lines: What a list holds.
        force: Replace the file if it exists.
    """
    from boxless.data.sources import load_manifest
    from boxless.errors import ConfigError, DataError

    if out.exists() and (not force or out.is_dir()):
        raise DataError(f"{out} exists already", hint="choose another name or pass --force")
    if to == "list" and images:
        raise ConfigError("--images draws scenes for a table", hint="leave out --to list first")
    lines.check(to)
    whole = load_manifest(spec)
    manifest = whole.split(split) if split else whole
    if to == "list":
        write_list(spec, whole, manifest, out, lines)
    else:
        _write(manifest, out, to, images)
    sys.stdout.write(f"{out}: {len(manifest)} images, {len(manifest.classes)} classes\n")


def _write(manifest: "Manifest", out: Path, to: str, images: Path | None) -> None:
    from boxless.data.convert import convert as write_table
    from boxless.files.progress import ProgressBar

    with ProgressBar("drawing", len(manifest), show=images is not None) as progress:
        notes = write_table(manifest, out, to=to, images=images, on_done=progress.advance)
    sys.stderr.write("".join(f"{note}\n" for note in notes))
