"""The first step of a run: propose regions for every image, and measure their recall."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from boxless.data.images import load_image
from boxless.pipeline.context import Run, advice_for_runs
from boxless.proposals.extract import extract
from boxless.proposals.progress import ExtractionProgress
from boxless.proposals.proposer import Setting, make_proposer
from boxless.proposals.recall import recall_table


def extract_proposals(run: Run, folder: Path) -> dict[str, Any]:
    """Fill the run's proposal store; returns recall where true boxes exist."""
    config = run.recipe.proposals
    settings: dict[str, Setting] = {
        "max_boxes": config.max_boxes,
        "min_box_size": config.min_box_size,
        "size": config.size,
    }
    if config.method == "grid":
        settings = {"max_boxes": config.max_boxes}
    proposer = make_proposer(config.method, **settings)
    with ExtractionProgress("proposals") as progress, advice_for_runs():
        store = extract(
            run.manifest.records,
            proposer,
            folder / "store",
            manifest_fingerprint=run.manifest.fingerprint,
            load_image=load_image,
            skip_bad=run.recipe.data.skip_bad,
            progress=progress,
        )
    facts: dict[str, Any] = {"images": len(store)}
    if run.manifest.has_boxes and "test" in run.manifest.split_names:
        table = recall_table(store, run.test.records)
        facts["recall"] = asdict(table)
    return facts
