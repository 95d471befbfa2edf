"""The first step of a run: propose regions for every image, and measure their recall."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boxless.data.images import load_image
from boxless.data.outline import load_outline
from boxless.files.progress import ProgressBar
from boxless.proposals.extract import extract
from boxless.proposals.index import Setting
from boxless.proposals.proposer import make_proposer, setting_names, works_in_process
from boxless.proposals.recall import recall_table
from boxless.recipe.sections import ProposalsConfig
from boxless.runs.context import Run, advice_for_runs

DETECTOR = {"detector": "architecture", "detector_weights": "weights", "detector_size": "size"}
"""Settings of the recipe that a detector knows by other names."""


def proposer_settings(config: ProposalsConfig) -> dict[str, Setting]:
    """Settings of the recipe's method, under the proposer's names."""
    known = setting_names(config.method)
    values = config.model_dump()
    if config.method == "faster_rcnn":
        values |= {own: values[theirs] for theirs, own in DETECTOR.items()}
    return {name: value for name, value in values.items() if name in known}


def extract_proposals(run: Run, folder: Path) -> dict[str, Any]:
    """Fill the run's proposal store; returns recall where true boxes exist."""
    config = run.recipe.proposals
    proposer = make_proposer(config.method, **proposer_settings(config))
    load = load_outline if config.method == "file" else load_image
    # A proposer that reads a large file or loads a network does all in this process.
    where = nullcontext() if works_in_process(proposer) else run.engine()
    with where as engine, ProgressBar("proposals") as progress, advice_for_runs():
        store = extract(
            run.manifest.records,
            proposer,
            folder / "store",
            manifest_fingerprint=run.manifest.fingerprint,
            load_image=load,
            engine=engine,
            skip_bad=run.recipe.data.skip_bad,
            progress=progress,
        )
    facts: dict[str, Any] = {"images": len(store)}
    if run.manifest.has_boxes and "test" in run.manifest.split_names:
        table = recall_table(store, run.test.records)
        facts["recall"] = asdict(table)
    return facts
