"""What every format has in common: which classes, which splits, which images without tags or files.

A reader hands over what its files say. Here the user's options and the same rules for all formats
make the data set of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from boxless.data.cells import lookalikes
from boxless.data.image_files import keep_existing
from boxless.data.manifest import Manifest
from boxless.data.options import Options
from boxless.data.splits import settle_splits
from boxless.errors import DataError, unknown_name
from boxless.types import ABSENT, PRESENT, UNKNOWN, ImageRecord, TrueBox

OPTIONS = ("classes", "ignore", "names", "train", "val", "test", "unlabelled", "missing")
"""Options of every reader that ends here."""

Groups = list[tuple[str, list[int]]]


def settle(
    draft: Manifest,
    options: Options,
    *,
    location: str,
    unlabelled: str = "keep",
    check_files: bool = True,
    known: Collection[str] = (),
) -> Manifest:
    """Make a data set of what a reader found.

    Args:
        draft: All images, with splits as their files say ("" where they say nothing).
        options: ``classes=A,B`` takes these classes alone, in this order; ``ignore=A,B`` leaves
            classes out; ``names=merge`` takes names as one that differ in form only;
            ``train=``, ``val=``, ``test=`` as of `settle_splits`; ``unlabelled=keep|drop`` images
            without any tag; ``missing=error|drop`` images without a file.
        location: What followed the prefix, for messages.
        unlabelled: What is done with images without any tag, where the user did not say.
        check_files: Look now whether the files are there, not only when they are needed.
        known: Names that ``ignore`` may give besides classes.

    Raises:
        DataError: An option names no class or split, files are missing, or no image is left.
    """
    manifest = _with_classes(draft, _groups(draft, options, known))
    records, notes = settle_splits(manifest.records, options)
    other = "drop" if unlabelled == "keep" else "keep"
    if options.one_of("unlabelled", unlabelled, other) == "drop":
        records, dropped = _tagged(records)
        notes += dropped
    drop = options.one_of("missing", "error", "drop") == "drop"
    if check_files or drop:
        spec = f"{options.prefix}:{location},missing=drop"
        kept, missing = keep_existing(records, drop=drop, spec=spec)
        records, notes = list(kept), [*notes, *missing]
    notes += _doubles(manifest)
    return replace(manifest, records=tuple(records), notes=(*manifest.notes, *notes))


def _groups(draft: Manifest, options: Options, known: Collection[str]) -> Groups:
    """Classes to come, each with the places of those it is made of."""
    chosen = options.names("classes", draft.classes) or list(draft.classes)
    ignored = options.names("ignore", draft.classes)
    for name in (*chosen, *ignored):
        if name not in draft.classes and not (name in ignored and name in known):
            raise DataError(f"{options.prefix}: {unknown_name('class', name, draft.classes)}")
    places = {name: place for place, name in enumerate(draft.classes)}
    groups: Groups = [(name, [places[name]]) for name in chosen if name not in ignored]
    if options.one_of("names", "keep", "merge") == "keep":
        return groups
    counts = _counts(draft)
    for alike in lookalikes(name for name, _ in groups):
        best = max(alike, key=lambda name: counts[places[name]])
        together = (best, sorted(places[name] for name in alike))
        first = next(n for n, (name, _) in enumerate(groups) if name in alike)
        groups[first] = together
        groups = [g for g in groups if g is together or g[0] not in alike]
    return groups


def _with_classes(draft: Manifest, groups: Groups) -> Manifest:
    if groups == [(name, [place]) for place, name in enumerate(draft.classes)]:
        return draft
    if not groups:
        raise DataError(f"{draft.name}: no class is left of {', '.join(draft.classes[:8])}")
    places = {old: new for new, (_, olds) in enumerate(groups) for old in olds}
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    records = []
    for record in draft.records:
        if record.labels not in shared:
            shared[record.labels] = tuple(
                _united([record.labels[old] for old in olds]) for _, olds in groups
            )
        boxes = record.boxes and tuple(
            TrueBox(places[box.label], box.xyxy, box.difficult)
            for box in record.boxes
            if box.label in places
        )
        records.append(replace(record, labels=shared[record.labels], boxes=boxes))
    gone = [name for place, name in enumerate(draft.classes) if place not in places]
    counts = _counts(draft)
    told = ", ".join(f"{name} ({counts[draft.classes.index(name)]})" for name in gone[:8])
    notes = [f"{len(gone)} classes left out (images): {told}"] if gone else []
    return replace(
        draft,
        classes=tuple(name for name, _ in groups),
        records=tuple(records),
        notes=(*draft.notes, *notes),
    )


def _united(labels: Sequence[int]) -> int:
    if PRESENT in labels:
        return PRESENT
    return UNKNOWN if UNKNOWN in labels else ABSENT


def _counts(manifest: Manifest) -> list[int]:
    return [int(count) for count in (manifest.labels == PRESENT).sum(axis=0)]


def _tagged(records: Sequence[ImageRecord]) -> tuple[list[ImageRecord], list[str]]:
    """Images with a tag, and how many have none, by split."""
    kept = [record for record in records if PRESENT in record.labels]
    if not kept:
        raise DataError(
            f"{records[0].source}: none of {len(records):,} images shows an annotated object",
            hint="unlabelled=keep takes them as images without any class",
        )
    notes = []
    for split in dict.fromkeys(record.split for record in records):
        before, after = (sum(record.split == split for record in part) for part in (records, kept))
        if before > after:
            notes.append(
                f"{split}: {before - after:,} of {before:,} images show no annotated object and "
                "are left out (unlabelled=keep keeps them)"
            )
    return kept, notes


def _doubles(manifest: Manifest) -> list[str]:
    """Classes whose names differ in form only, with their counts."""
    counts = dict(zip(manifest.classes, _counts(manifest), strict=True))
    return [
        "classes that differ in form only: "
        + ", ".join(f"{name!a} ({counts[name]} images)" for name in group)
        + "; names=merge takes them as one"
        for group in lookalikes(manifest.classes)
    ]
