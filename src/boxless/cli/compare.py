"""``boxless proposals compare``: what each method covers, how many boxes, how long."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from boxless.cli.options import DEFAULTS, ProposalOptions, method_names
from boxless.files.console import plain_console

if TYPE_CHECKING:
    from rich.table import Table

    from boxless.data.manifest import Manifest
    from boxless.proposals.comparison import Comparison, MethodResult
    from boxless.types import ImageRecord


def compare(
    spec: str,
    *,
    methods: str = "edge_boxes,selective_search_fast,selective_search_quality,grid",
    limit: int = 0,
    split: str | None = None,
    out: Path | None = None,
    options: ProposalOptions = DEFAULTS,
    json: bool = False,
) -> None:
    """Set proposal methods side by side on images with true boxes.

    Prints a table of recall at IoU 0.5 and 0.7 for the 10, 100, 300 and 500 best boxes, boxes
    and milliseconds per image (proposing alone, one process, images not decoded), beside
    random boxes, and writes it to a folder: comparison.json, comparison.md, recall.png. True boxes
    serve this measurement alone. Difficult ones do not count.

    For example:

    ```
    boxless proposals compare voc:VOCdevkit/VOC2007 --limit 100
    boxless proposals compare scenes: --methods edge_boxes,grid
    boxless proposals compare voc:VOC2007 --methods edge_boxes,file --file boxes.npz
    ```

    Args:
        spec: Data set, as of `boxless data check`.
        methods: Names with commas between: edge_boxes, selective_search_fast,
            selective_search_quality, grid, faster_rcnn, file.
        limit: Most images, evenly spaced over the split; 0 takes all.
        split: Images of this split; by default test where there is one, else all.
        out: Folder to write to; by default proposals/NAME-comparison.
        options: How boxes are proposed.
        json: Print the result as JSON.
    """
    from boxless.data.images import load_image
    from boxless.data.sources import load_manifest
    from boxless.errors import ConfigError
    from boxless.files.progress import ProgressBar
    from boxless.proposals.comparison import choose
    from boxless.proposals.comparison import compare as measure
    from boxless.proposals.recall import COUNTS

    if limit < 0:
        raise ConfigError(f"expected --limit of at least 0, found {limit}")
    names = method_names(methods)
    others = replace(options, file=None)
    proposers = [(options if name == "file" else others).proposer(name) for name in names]
    if options.file is not None and "file" not in names:
        raise ConfigError("--file is for the method 'file'", hint="add it to --methods")
    manifest = load_manifest(spec)
    used, records = _records(manifest, split)
    most = options.max_boxes
    counts = (*(count for count in COUNTS if count < most), most)
    chosen = choose(records, limit)
    with ProgressBar("comparing proposers") as progress:
        found = measure(chosen, proposers, load_image=load_image, counts=counts, progress=progress)
    facts = _facts(found, counts, data=manifest.name, split=used, methods=proposers)
    _write(out or Path("proposals") / f"{manifest.name}-comparison", found, facts, as_json=json)


def _records(manifest: "Manifest", split: str | None) -> "tuple[str, tuple[ImageRecord, ...]]":
    name = split or ("test" if "test" in manifest.split_names else "all")
    if split is None and name == "all":
        return name, manifest.records
    return name, manifest.split(name).records


def _facts(
    found: "Comparison", counts: tuple[int, ...], *, data: str, split: str, methods: list[Any]
) -> dict[str, Any]:
    """Everything about the comparison, ready for JSON."""
    from boxless.runs.environment import environment

    made_with = environment()
    places = [found.counts.index(count) for count in counts]
    settings = {method.name: dict(method.settings) for method in methods}

    def shares(method: "MethodResult", places: Sequence[int]) -> dict[str, list[float]]:
        return {f"{iou:g}": [row[place] for place in places] for iou, row in method.recall.items()}

    return {
        "schema": "boxless-proposal-comparison/1",
        "data": data,
        "split": split,
        "images": found.images,
        "objects": found.objects,
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": made_with["cpu"],
        "cores": made_with["cores"],
        "opencv": made_with["opencv-contrib-python-headless"],
        "counts": list(counts),
        "methods": [
            {
                "name": method.name,
                "settings": settings.get(method.name),
                "recall": shares(method, places),
                "boxes_per_image": method.boxes,
                "ms_per_image": method.milliseconds,
                "cpu_ms_per_image": method.cpu_milliseconds,
                "curve": shares(method, range(len(found.counts))),
            }
            for method in found.methods
        ],
        "curve_counts": list(found.counts),
    }


def _write(folder: Path, found: "Comparison", facts: dict[str, Any], *, as_json: bool) -> None:
    import json

    from boxless.files.atomic import write_atomically
    from boxless.proposals.recall import IOUS
    from boxless.report.proposal_plot import recall_plot

    text = json.dumps(facts, indent=1)
    write_atomically(folder / "comparison.json", text.encode())
    write_atomically(folder / "comparison.md", _markdown(facts).encode())
    title = f"{facts['data']}: {found.objects} objects in {found.images} images ({facts['split']})"
    panels = {iou: {method.name: method.recall[iou] for method in found.methods} for iou in IOUS}
    write_atomically(folder / "recall.png", recall_plot(found.counts, panels, title=title))
    if as_json:
        print(text)
        return
    console = plain_console()
    console.print(_table(facts))
    console.print(f"wrote comparison.json, comparison.md and recall.png to {folder}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _means(method: dict[str, Any]) -> list[str]:
    return [_number(method[f"{what}_per_image"]) for what in ("boxes", "ms", "cpu_ms")]


def _table(facts: dict[str, Any]) -> "Table":
    """For the terminal: a row a method and overlap, so that it fits 80 columns."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"Recall in % of {facts['objects']} objects in {facts['images']} images with the best"
        f" {', '.join(map(str, facts['counts']))} boxes",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in ("method", "IoU", *map(str, facts["counts"]), "boxes", "ms", "CPU ms"):
        justify: Literal["left", "right"] = "left" if name in {"method", "IoU"} else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for method in facts["methods"]:
        for row, (iou, values) in enumerate(method["recall"].items()):
            recalls = [f"{100 * value:.1f}" for value in values]
            means = ["", "", ""] if row else _means(method)
            table.add_row("" if row else method["name"], iou, *recalls, *means)
    return table


def _markdown(facts: dict[str, Any]) -> str:
    ious = list(facts["methods"][0]["recall"])
    columns = [f"R@{iou} {count}" for iou in ious for count in facts["counts"]]
    head = ["method", *columns, "boxes", "ms", "CPU ms"]
    rows = []
    for method in facts["methods"]:
        recalls = [f"{100 * value:.1f}" for iou in ious for value in method["recall"][iou]]
        rows.append([method["name"], *recalls, *_means(method)])
    lines = [
        f"# Proposals on {facts['data']}",
        "",
        f"{facts['images']} images of the split {facts['split']}, {facts['objects']} objects that "
        f"are not difficult. {facts['date']}, one process on {facts['cpu']} ({facts['cores']} "
        f"cores), OpenCV {facts['opencv']}. R@0.5 100: recall in % at an IoU of 0.5 or more with "
        "the 100 best boxes. boxes, ms, CPU ms: means per image; ms is wall time, CPU ms processor "
        "time, images not decoded.",
        "",
        "| " + " | ".join(head) + " |",
        "| " + " | ".join(["---", *["---:"] * (len(head) - 1)]) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        "![Recall against the number of boxes](recall.png)",
        "",
    ]
    return "\n".join(lines)
