"""``boxless proposals``: find candidate boxes in every image of a data set."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from boxless.cli.compare import compare
from boxless.cli.options import (
    DEFAULTS,
    LOCAL,
    EngineOptions,
    ProposalOptions,
    image_loader,
    method_names,
)
from boxless.files.console import plain_console, plain_table
from boxless.types import ProposalMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cyclopts import Token

    from boxless.data.manifest import Manifest
    from boxless.files.paths import AnyPath
    from boxless.proposals.proposer import BoxSource
    from boxless.proposals.recall import RecallTable
    from boxless.proposals.store import ProposalStore
    from boxless.types import UInt8Array

app = App(name="proposals", help_format="markdown")


def _one_method(_: object, words: "Sequence[Token]") -> str:
    """A method's name in any spelling."""
    (name,) = method_names(words[0].value)
    return name


Method = Annotated[ProposalMethod, Parameter(converter=_one_method)]


@app.default
def proposals(
    spec: str,
    *,
    out: str | None = None,
    method: Method = "edge_boxes",
    options: ProposalOptions = DEFAULTS,
    workers: int = 0,
    where: EngineOptions = LOCAL,
    skip_bad: bool = False,
    json: bool = False,
) -> None:
    """Find candidate boxes in every image of a data set.

    The detector that teaches the classifier scores boxes; this command proposes them without
    reading a tag. Boxes go into a folder that `boxless train` picks up. It can be killed at any
    time: the same command carries on, and does nothing once all is done. Where the data set has
    true boxes, a table shows how many objects the proposals cover (recall), beside random boxes of
    the same number. `boxless proposals compare SPEC` sets methods side by side.

    For example:

    ```
    boxless proposals voc:VOCdevkit/VOC2007
    boxless proposals csv:tags.csv --out boxes/mine --workers 8
    boxless proposals scenes: --method grid --max-boxes 200
    boxless proposals voc:VOCdevkit/VOC2007 --method file --file boxes.npz
    ```

    Args:
        spec: Data set, as of `boxless data check`.
        out: Folder of the store, also in a store of objects (s3://bucket/boxes); by default
            proposals/NAME-METHOD.
        method: edge_boxes follows the edges in the picture; selective_search_fast and _quality
            merge alike pixels into regions; grid is the same fixed set of boxes for every image,
            and needs nothing installed; faster_rcnn runs a detector on weights of yours; file
            imports boxes that another program made.
        options: How boxes are proposed.
        workers: Processes; 0 takes all cores.
        where: Where images are worked on.
        skip_bad: Leave unreadable images out instead of stopping at the first one.
        json: Print the result as JSON.
    """
    from boxless.data.sources import load_manifest
    from boxless.files.paths import place

    proposer = options.proposer(method)
    manifest = load_manifest(spec)
    folder = place(out or f"proposals/{manifest.name}-{method}")
    store, rate = _fill(
        manifest, proposer, folder, image_loader(method), workers, where, skip_bad=skip_bad
    )
    table = _recall(store, manifest, options.max_boxes) if manifest.has_boxes else None
    (_print_json if json else _print_text)(store, rate, table)


app.command(compare)


def _fill(
    manifest: "Manifest",
    proposer: "BoxSource",
    folder: "AnyPath",
    load_image: "Callable[[str], UInt8Array]",
    workers: int,
    where: EngineOptions,
    *,
    skip_bad: bool,
) -> "tuple[ProposalStore, float | None]":
    """The store, and the images per second; None where all was there already."""
    from boxless.files.progress import ProgressBar
    from boxless.files.ray_engine import engine_beyond
    from boxless.proposals.extract import extract

    with (
        engine_beyond(where.engine, address=where.ray_address, workers=workers) as engine,
        ProgressBar("proposing boxes") as progress,
    ):
        store = extract(
            manifest.records,
            proposer,
            folder,
            manifest_fingerprint=manifest.fingerprint,
            load_image=load_image,
            workers=workers,
            engine=engine,
            skip_bad=skip_bad,
            progress=progress,
        )
        return store, progress.rate if progress.new else None


def _recall(store: "ProposalStore", manifest: "Manifest", most: int) -> "RecallTable":
    from boxless.proposals.recall import COUNTS, recall_table

    counts = (*(count for count in COUNTS if count < most), most)
    return recall_table(store, manifest.records, counts=counts)


def _print_json(store: "ProposalStore", rate: float | None, table: "RecallTable | None") -> None:
    import json
    from dataclasses import asdict

    facts = {
        "folder": str(store.folder),
        "images": len(store),
        "skipped": [{"image_id": image_id, "reason": reason} for image_id, reason in store.skipped],
        "fingerprint": store.fingerprint,
        "images_per_second": rate,
        "recall": asdict(table) if table else None,
    }
    print(json.dumps(facts, indent=2))


def _print_text(store: "ProposalStore", rate: float | None, table: "RecallTable | None") -> None:
    console = plain_console()
    pace = f", {rate:.1f} images/s" if rate else " (all there already)"
    console.print(f"{len(store)} images{pace}: {store.folder}")
    for image_id, reason in store.skipped[:5]:
        console.print(f"skipped {image_id}: {reason}", style="yellow")
    if len(store.skipped) > 5:
        console.print(f"skipped {len(store.skipped)} images in all", style="yellow")
    if table is None:
        console.print("The data set has no true boxes, so recall cannot be measured.")
        return
    heads = ("boxes", "IoU", *(f">best {count}" for count in table.counts))
    title = f"Recall of {table.objects} objects in {table.images} images"
    view = plain_table(*heads, title=title)
    for row in table.rows:
        view.add_row(row.name, f"{row.iou:g}", *(f"{value:.3f}" for value in row.recalls))
    console.print(view)
