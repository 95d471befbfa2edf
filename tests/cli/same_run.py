"""What two runs of the same command must agree on, however often one of them was killed."""

import json
from pathlib import Path

TIMED = {"step.json", "results.json", "report.html", "recipe.toml"}
"""Files that tell how long something took, or by which settings it was stopped."""


def results(folder: Path) -> dict[str, bytes]:
    """Everything a run computed, byte by byte."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in TIMED)
    files = [file for file in files if file.relative_to(folder).parts[0] != "logs"]  # a tracker's
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def metrics(folder: Path) -> dict[str, object]:
    """What the run's results say, without what took how long."""
    found = json.loads((folder / "results.json").read_text("utf-8"))
    variants = {
        name: [(seed["metrics"], seed["updates"]) for seed in variant["seeds"]]
        for name, variant in found["variants"].items()
    }
    return {"gain": found["gain"], "variants": variants}


def differences(folder: Path, undisturbed: Path) -> list[str]:
    """Files that are missing, that are too many or that hold other bytes; none in the same run."""
    found, wanted = results(folder), results(undisturbed)
    names = sorted(found.keys() | wanted.keys())
    other = [name for name in names if found.get(name) != wanted.get(name)]
    if metrics(folder) != metrics(undisturbed):
        other.append("results.json")
    return other
