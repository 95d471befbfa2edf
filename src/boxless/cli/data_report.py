"""What ``boxless data check`` prints."""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from boxless.data.readiness import opening_lines
from boxless.files.console import plain_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from boxless.data.check import CheckReport
    from boxless.data.images import BadImage
    from boxless.data.manifest import Manifest
    from boxless.runs.leak_check import UntaggedReport

_SHOWN = 5


def show_report(
    manifest: "Manifest",
    report: "CheckReport",
    beside: "UntaggedReport | None",
    *,
    as_json: bool,
) -> None:
    """Print what was found, for people or as one JSON object."""
    if as_json:
        sys.stdout.write(_as_json(report, beside))
        return
    console = plain_console()
    console.print(_overview(report))
    console.print(_class_table(report))
    _print_counts(console, report)
    for line in opening_lines(manifest, report.needs):
        console.print(_visible(line))
    _print_findings(console, report)
    if beside is not None:
        _print_untagged(console, beside)


def _as_json(report: "CheckReport", beside: "UntaggedReport | None") -> str:
    content = dataclasses.asdict(report)
    content["bad_images"] = _bad_as_json(report.bad_images)
    if beside is not None:
        content["untagged"] = dataclasses.asdict(beside)
        content["untagged"]["bad_images"] = _bad_as_json(beside.bad_images)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"  # ASCII: any stream takes it


def _bad_as_json(bad: "Sequence[BadImage]") -> list[dict[str, str]]:
    return [
        {"image_id": b.record.image_id, "source": b.record.source, "reason": b.reason} for b in bad
    ]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(Text(columns[0]), overflow="fold")
    for column in columns[1:]:
        table.add_column(Text(_visible(column)), justify="right", overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    """Add a row of plain text: names come from outside and are never markup."""
    table.add_row(*(Text(_visible(cell)) for cell in cells))


def _visible(text: str) -> str:
    """A text from outside with characters that cannot be seen, or steer a terminal, spelled out."""
    shown = (char if char.isprintable() or char == "\u200d" else ascii(char)[1:-1] for char in text)
    return "".join(shown)


def _overview(report: "CheckReport") -> Table:
    table = _table(f"Data set {_visible(report.name)}", "split", "images", "tags an image")
    for split, count in report.images.items():
        _add(table, split, f"{count:,}", f"{report.tags_per_image[split]:.2f}")
    return table


def _class_table(report: "CheckReport") -> Table:
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
    _print_bad(console, "Unreadable images", report.bad_images)
    console.print(f"Same file in two splits    {len(report.duplicates):,}")
    for group in report.duplicates[:_SHOWN]:
        console.print(f"  {_visible(' = '.join(group))}")
    if len(report.duplicates) > _SHOWN:
        console.print(f"  … and {len(report.duplicates) - _SHOWN:,} more (all with --json)")
    console.print(f"Same file within a split   {report.repeated:,}")


def _print_bad(console: "Console", head: str, bad: "Sequence[BadImage]") -> None:
    console.print(f"{head:<27}{len(bad):,}")
    for one in bad:
        console.print(f"  {_visible(f'{one.record.source}: {one.reason}')}")


def _print_untagged(console: "Console", beside: "UntaggedReport") -> None:
    console.print(f"Untagged images            {beside.images:,}")
    if beside.left_out:
        told = "files of the data set itself, or there twice"
        console.print(f"  {beside.left_out:,} more are left out: {told}")
    for note in beside.notes:
        console.print(f"  {_visible(note)}")
    if beside.lost:
        console.print(f"Training images that lose their tags  {beside.lost:,}")
    if not beside.compared_with:
        console.print("Test images among them     not looked for")
        return
    _print_bad(console, "Unreadable untagged images", beside.bad_images)
    count = len(beside.duplicates)
    console.print(
        f"Test images among them     {count:,}, compared with {beside.compared_with:,} test and"
        " held-out images"
    )
    for one, other, split in beside.duplicates[:_SHOWN]:
        console.print(f"  {_visible(f'{one} shows the same picture as {other} ({split})')}")
    if count > _SHOWN:
        console.print(f"  … and {count - _SHOWN:,} more (all with --json)")
    if count:
        console.print("  -> training refuses them; --run.leaks drop leaves them out")
