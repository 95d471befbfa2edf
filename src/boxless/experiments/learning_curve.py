"""The learning curve: mAP against the number of tags, and how many tags distilling saves.

Every number of tags has several draws of the tagged images, every draw several seeds. Intervals
come from one bootstrap of test images, draws and the seeds within each draw, the same for all
methods and all numbers of tags, so that whatever is read off the curves is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from boxless import __version__
from boxless.errors import ConfigError
from boxless.experiments.planning import distinct
from boxless.experiments.tables import TAGS, PaperTable, TableRow
from boxless.methods.table import ORACLE, PLAIN
from boxless.metrics.bootstrap import resampled_map
from boxless.report.part import Count, Part
from boxless.report.results import TEACHER
from boxless.runs.context import Run
from boxless.runs.evaluation import load_predictions, prediction_key
from boxless.runs.record import now
from boxless.types import Float64Array

ALL: Final = "all"
SCHEMA: Final = 1
LEVEL: Final = 0.95
BOOTSTRAPS: Final = 2000


@dataclass(frozen=True, slots=True)
class Grid:
    """The runs behind a curve.

    Attributes:
        counts: Numbers of training images that keep their tags, rising; 0, at the end, for all.
        draws: Draws of those images.
        method: The recipe's own method.
        oracle: Whether the oracle is trained, too: once, as it has all true tags.
        untagged: Whether there are untagged images beside the training images.
    """

    counts: tuple[int, ...]
    draws: int
    method: str
    oracle: bool = True
    untagged: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """What is drawn, in the order of tables."""
        return (TEACHER, PLAIN, self.method, *([ORACLE] if self.oracle else []))

    def names(self, count: int) -> list[str]:
        """Names of the runs with a number of tags, one a draw."""
        return [f"{count or ALL}-{draw}" for draw in range(self.draws)]

    @property
    def ceiling(self) -> tuple[str, str]:
        """The oracle's run and method; it has all true tags, so one run serves the whole curve.

        Where all images have tags and there are no others, the plain student is the oracle.
        """
        if self.counts[-1] == 0 and not self.untagged:
            return self.names(0)[0], PLAIN
        return self.names(self.counts[0])[0], ORACLE

    def table(self) -> PaperTable:
        """The runs and rows as a table; those with all tags are one run."""
        runs: dict[str, dict[str, Any]] = {}
        rows: list[TableRow] = []
        for count in self.counts:
            for draw, name in enumerate(self.names(count)):
                runs[name] = {"data.tags": count} | ({"data.tags_seed": draw} if count else {})
                methods = [method for method in self.methods if method != ORACLE]
                if self.oracle and self.ceiling == (name, ORACLE):
                    methods.append(ORACLE)
                rows += [TableRow(name=f"{m}, {name}", method=m, run=name) for m in methods]
        title = "mAP against the number of tags"
        return PaperTable(name=TAGS, title=title, source="none", runs=runs, rows=tuple(rows))


def parse_counts(text: str) -> tuple[int, ...]:
    """Numbers of tags as typed.

    Args:
        text: Rising numbers with commas between, at the end perhaps ``all``.

    Returns:
        The numbers; 0 for ``all``.

    Raises:
        ConfigError: They do not rise, or one is no number above 0.
    """
    names = [name.strip() for name in text.split(",")]
    last = [0] if names[-1] == ALL else []
    digits = names[: len(names) - len(last)]
    counts = [int(name) if name.isdecimal() else 0 for name in digits]
    if 0 in counts or counts != sorted(set(counts)) or not counts:
        raise ConfigError(
            f"--counts: expected rising numbers of tagged images, found {text!r}",
            hint="for example --counts 100,200,400,800 or --counts 200,800,all",
        )
    return (*counts, *last)


class Figure(Part):
    """A figure with its 95 % interval.

    Attributes:
        value: On all test images and all runs.
        low: Lower end.
        high: Upper end.

    None stands for a number of tags beyond the largest that was tried.
    """

    value: float | None
    low: float | None
    high: float | None


class Point(Part):
    """All runs with one number of tags.

    Attributes:
        tags: Training images with tags.
        map: mAP by method, ``teacher`` among them.
        gain: mAP of the distilled student minus plain.
        needed: Tags with which the plain student's curve, interpolated over log(tags), reaches the
            distilled student's mAP; the smallest number that was tried where it is there at once.
        share: Share of the oracle's gain that the distilled student reaches; None without an oracle
            or where its gain is not clear of zero.
    """

    tags: Count
    map: dict[str, Figure]
    gain: Figure
    needed: Figure
    share: Figure | None


class Curve(Part):
    """A finished curve; the layout of its JSON file.

    Attributes:
        schema_version: Version of the layout.
        boxless: Version of the package.
        created: ISO 8601 time.
        data: The data set as the user named it.
        fingerprint: Hash of its manifest.
        untagged: Where further untagged images came from; empty without.
        test_images: Test images.
        recipe: Name of the recipe.
        method: The distilled student's.
        draws: Draws of the tagged images.
        seeds: Students' seeds of each draw.
        points: By number of tags, rising.
    """

    schema_version: int = SCHEMA
    boxless: str = __version__
    created: str
    data: str
    fingerprint: str
    untagged: str
    test_images: Count
    recipe: str
    method: str
    draws: Count
    seeds: tuple[int, ...]
    points: tuple[Point, ...]


def make_curve(grid: Grid, runs: Mapping[str, Run]) -> Curve:
    """Read the curve off finished runs."""
    first = next(iter(runs.values()))
    places = {c: distinct({name: runs[name] for name in grid.names(c)}) for c in grid.counts}
    curves = {
        method: np.stack([resampled(places[c], method) for c in grid.counts])
        for method in grid.methods
        if method != ORACLE
    }
    if grid.oracle:
        name, method = grid.ceiling
        ceiling = resampled([runs[name]], method)
        curves[ORACLE] = np.broadcast_to(ceiling, (len(grid.counts), len(ceiling)))
    tags = [len(some[0].train) for some in places.values()]
    return Curve(
        created=now(),
        data=first.spec,
        fingerprint=first.manifest.fingerprint,
        untagged=first.recipe.data.untagged,
        test_images=len(first.test),
        recipe=first.recipe.name,
        method=grid.method,
        draws=grid.draws,
        seeds=tuple(first.seeds),
        points=read_points(tags, curves, grid.method),
    )


def resampled(runs: Sequence[Run], method: str) -> Float64Array:
    """(1 + B,) mAP of a method over runs of equal numbers of tags: observed, then resampled.

    Args:
        runs: Finished runs with one test part and equal numbers of seeds.
        method: ``teacher`` or a key of `METHODS`.
    """
    weights = run_weights(len(runs), len(runs[0].seeds))
    columns = []
    for run in runs:
        found = load_predictions(run.folder / "evaluate")
        seeds = [run.recipe.run.seed] if method == TEACHER else run.seeds
        scores = np.stack([found[prediction_key(method, seed)] for seed in seeds])
        values = resampled_map(scores, run.test.labels, draws=BOOTSTRAPS)
        columns.append(np.broadcast_to(values, (len(values), len(run.seeds))))
    return np.asarray((np.stack(columns, axis=1) * weights).sum(axis=(1, 2)))


def run_weights(draws: int, seeds: int) -> Float64Array:
    """How much each run counts in each bootstrap draw: draws of the tags, then seeds within them.

    Args:
        draws: D draws of the tagged images.
        seeds: S seeds of each.

    Returns:
        (1 + B, D, S) weights, each row adding up to 1; the first row counts all alike.
    """
    generator = np.random.default_rng(1)
    counts = np.zeros((1 + BOOTSTRAPS, draws, seeds))
    row = np.arange(1, 1 + BOOTSTRAPS)[:, None, None]
    picked = generator.integers(0, draws, (BOOTSTRAPS, draws, 1))
    np.add.at(counts, (row, picked, generator.integers(0, seeds, (BOOTSTRAPS, draws, seeds))), 1)
    counts[0] = 1
    return counts / (draws * seeds)


def read_points(
    tags: Sequence[int], curves: Mapping[str, Float64Array], method: str
) -> tuple[Point, ...]:
    """What the curves say at each number of tags.

    Args:
        tags: C numbers of tags, rising.
        curves: Method -> (C, 1 + B) mAP: observed, then resampled.
        method: The distilled student's.
    """
    plain, taught, oracle = curves[PLAIN], curves[method], curves.get(ORACLE)
    points = []
    for place, count in enumerate(tags):
        needed = [tags_needed(tags, *pair) for pair in zip(plain.T, taught[place], strict=True)]
        gain = taught[place] - plain[place]
        share = None
        if oracle is not None:
            headroom = oracle[place] - plain[place]
            clear = (figure(headroom).low or 0.0) > 0
            share = figure(gain / headroom) if clear else None
        points.append(
            Point(
                tags=count,
                map={name: figure(values[place]) for name, values in curves.items()},
                gain=figure(gain),
                needed=figure(np.array(needed)),
                share=share,
            )
        )
    return tuple(points)


def tags_needed(tags: Sequence[int], plain: Float64Array, wanted: float) -> float:
    """Number of tags with which a curve reaches a mAP first, linear between points over log(tags).

    Args:
        tags: C numbers of tags, rising.
        plain: (C,) mAP of the plain student; where it falls, its best so far counts.
        wanted: The mAP.

    Returns:
        A number between the smallest and the largest; infinity where the curve stays below, NaN
        where nothing was measured.
    """
    if np.isnan(wanted) or np.isnan(plain).any():
        return float("nan")
    best = np.maximum.accumulate(plain)
    if wanted > best[-1]:
        return float("inf")
    place = int(np.searchsorted(best, wanted))
    if place == 0:
        return float(tags[0])
    share = (wanted - best[place - 1]) / (best[place] - best[place - 1])
    ends = np.log(tags[place - 1 : place + 1])
    return float(np.exp(ends[0] + share * (ends[1] - ends[0])))


def figure(values: Float64Array) -> Figure:
    """Observed value and percentile interval of (1 + B,) values; infinity becomes None."""
    drawn = values[1:][~np.isnan(values[1:])]
    # A value that was drawn: between two of them there may be infinity.
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    value, low, high = (None if np.isinf(x) else float(x) for x in (values[0], *ends))
    return Figure(value=value, low=low, high=high)
