"""Which student of a run is shipped: the method that is best on held-out images, never on test."""

from dataclasses import asdict
from statistics import mean
from typing import Any

from boxless.errors import ConfigError, unknown_name
from boxless.methods.table import ORACLE
from boxless.metrics.bootstrap import paired_bootstrap
from boxless.metrics.inputs import known
from boxless.report.part import Interval, Reason, Shipped
from boxless.runs.context import Run
from boxless.runs.evaluation import load_predictions, load_summaries, stacked
from boxless.runs.variant import by_key


def choose(run: Run, key: str = "") -> Shipped:
    """The student to ship, and why.

    Among the plain student and the distilled ones of the recipe's size the method with the highest
    held-out mAP, mean over the seeds; the recipe's own where methods tie or nothing is held out. Of
    its seeds the one that is best on held-out images.

    Args:
        run: The run, evaluated.
        key: METHOD or METHOD@SIZE that the user asks for; empty = choose.

    Raises:
        ConfigError: The run has no such student.
    """
    students, own = by_key(run.recipe), run.recipe.method
    if key and key not in students:
        raise ConfigError(
            unknown_name("variant", key, students), hint="the run's results.json lists them all"
        )
    entries = load_summaries(run.folder / "evaluate")["variants"]
    # Other sizes answer another question, and the oracle has seen tags that nobody gave.
    candidates = [name for name, seeds in students.items() if seeds[0].usual and name != ORACLE]
    figures = {name: _mean(entries[name]) for name in dict.fromkeys((*candidates, key or own))}
    why: Reason = "asked for" if key else "chosen"
    if not key and figures[own] is None:
        key, why = own, "nothing held out"
    best = key or max(candidates, key=lambda name: (figures[name] or 0.0, name == own))
    found = Shipped(
        variant=best,
        seed=max(entries[best], key=lambda entry: known(entry["held_out_map"]) or 0.0)["seed"],
        why=why,
        images=len(run.held_out or ()),
        held_out_map={name: figure for name, figure in figures.items() if figure is not None},
    )
    return found.model_copy(update={"margin": _margin(run, found)})


def _margin(run: Run, found: Shipped) -> Interval | None:
    """By how much the shipped variant leads its rival on held-out images, paired."""
    if run.held_out is None or found.rival is None or found.variant not in found.held_out_map:
        return None
    predictions = load_predictions(run.folder / "evaluate")
    own, rival = (stacked(run, predictions, k, "held_out") for k in (found.variant, found.rival))
    return Interval(**asdict(paired_bootstrap(own, rival, run.held_out.labels)))


def _mean(entries: list[dict[str, Any]]) -> float | None:
    """Held-out mAP over seeds; None where a seed has none."""
    values = [known(entry["held_out_map"]) for entry in entries]
    there = [value for value in values if value is not None]
    return mean(there) if len(there) == len(values) else None
