"""What a table came to: our rows, their gains, and which of the paper's orderings hold.

All rates are fractions, the paper's too; only rendered tables are in percent.

A table may also name two ends: a row's share ``(mAP - low) / (high - low)`` is what it recovers of
what was lost, ours and the published. mAP alone says little about a loss for missing tags: how much
they cost depends on the data and the network.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from itertools import permutations
from typing import Final, Literal

import numpy as np

from boxless import __version__
from boxless.experiments.learning_curve import Figure, figure, resampled
from boxless.experiments.tables import Ends, PaperTable, TableRow
from boxless.methods.table import PLAIN
from boxless.metrics.bootstrap import paired_bootstrap
from boxless.recipe.recipe_files import dotted
from boxless.report.part import Interval, Part
from boxless.report.results import Results
from boxless.report.variants import Spread
from boxless.runs.context import Run
from boxless.runs.evaluation import load_predictions, stacked
from boxless.runs.record import now
from boxless.types import Float32Array, Float64Array


class Recovered(Part):
    """The share that one row recovers.

    Attributes:
        paper: Data set -> share of the published numbers.
        ours: Ours, with its interval over images and seeds; None where it is not clear that
            anything was lost.
    """

    paper: dict[str, float]
    ours: Figure | None


def recovered(table: PaperTable, runs: Mapping[str, Run]) -> dict[str, Recovered]:
    """Share of each of our rows but the two ends, by name."""
    if table.ends is None:
        return {}
    ends = (table.ends.low, table.ends.high)
    rows = {row.name: row for row in table.own_rows}
    drawn = {
        name: resampled([runs[row.run]], str(row.method)) for name, row in rows.items()
    }  # of the same images and seeds for all, so that shares are paired
    low, high = (drawn[name] for name in ends)
    published = [{d: n["map"] for d, n in rows[name].paper.items() if "map" in n} for name in ends]
    found = {}
    for name, row in rows.items():
        if name not in ends:
            paper = {
                data: share(numbers["map"], published[0][data], published[1][data])
                for data, numbers in row.paper.items()
                if "map" in numbers and all(data in end for end in published)
            }
            found[name] = Recovered(paper=paper, ours=_ours(drawn[name], low, high))
    return found


def share(value: float, low: float, high: float) -> float:
    """``(value - low) / (high - low)``, rounded to what the printed digits can carry."""
    return round((value - low) / (high - low), 4)


def _ours(values: Float64Array, low: Float64Array, high: Float64Array) -> Figure | None:
    """The share with its interval; None where the loss of mAP is not clear of zero."""
    lost = high - low
    if not (figure(lost).low or 0.0) > 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw may lose nothing
        return figure((values - low) / lost)


SCHEMA: Final = 1

Verdict = Literal["holds", "does not hold", "within noise"]


class OutcomeRow(Part):
    """One row of a finished table.

    Attributes:
        name: As the paper calls it.
        method: Key of its variant in the run's ``results.json``; None for other authors' numbers.
        run: Its run folder, relative to the table's.
        paper: Data set -> metric -> the paper's number.
        ours: Metric -> mean and spread over seeds.
        gain: mAP over the plain student of the same run, with its paired interval.
        recovered: Share of what was lost, where the table names its ends.
    """

    name: str
    method: str | None
    run: str | None
    paper: dict[str, dict[str, float]]
    ours: dict[str, Spread]
    gain: Interval | None
    recovered: Recovered | None = None


class Order(Part):
    """One ordering of the paper and what was found.

    Attributes:
        data: The paper's data set.
        lower: Row with the lower mAP in the paper.
        higher: Row with the higher one.
        paper: The paper's difference.
        ours: Our difference, higher minus lower, with its paired interval.
        verdict: ``holds`` where the whole interval is above zero, ``does not hold`` where it is
            below, else ``within noise``.
    """

    data: str
    lower: str
    higher: str
    paper: float
    ours: Interval
    verdict: Verdict


class Outcome(Part):
    """A finished table; the layout of its JSON file.

    Attributes:
        schema_version: Version of the layout.
        boxless: Version of the package.
        created: ISO 8601 time.
        table: Its name.
        title: What it shows.
        source: Where the paper's numbers are from.
        notes: What to know when reading it.
        data: Our data set as the user named it.
        fingerprint: Hash of its manifest.
        test_images: Test images.
        recipe: Name of the recipe.
        seeds: Students' seeds.
        rows: The rows.
        orders: All pairs of rows that the paper's mAP orders.
        ends: Rows between which shares are measured, if there are any.
    """

    schema_version: int = SCHEMA
    boxless: str = __version__
    created: str
    table: str
    title: str
    source: str
    notes: str
    data: str
    fingerprint: str
    test_images: int
    recipe: str
    seeds: tuple[int, ...]
    rows: tuple[OutcomeRow, ...]
    orders: tuple[Order, ...]
    ends: Ends | None = None


class Comparison:
    """Paired differences between variants of one table's runs, each computed once."""

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self._runs = runs
        self._predictions = {
            run.folder: load_predictions(run.folder / "evaluate") for run in runs.values()
        }
        self.interval = cache(self._interval)

    def scores(self, run: Run, key: str) -> Float32Array:
        """(S, M, K) test predictions."""
        return stacked(run, self._predictions[run.folder], key)

    def _interval(self, higher: tuple[str, str], lower: tuple[str, str]) -> Interval:
        """MAP of one (run, key) minus that of another, paired by image and seed."""
        (a_run, a), (b_run, b) = higher, lower
        first, second = self._runs[a_run], self._runs[b_run]
        labels = first.test.labels
        found = paired_bootstrap(self.scores(first, a), self.scores(second, b), labels)
        return Interval(**asdict(found))


def make_outcome(
    table: PaperTable,
    runs: Mapping[str, Run],
    results: Mapping[str, Results],
    compare: Comparison,
) -> Outcome:
    """Set finished runs beside the paper."""
    first = next(iter(runs.values()))
    shares = recovered(table, runs)
    rows = [
        _row(table, row, runs, results, compare).model_copy(
            update={"recovered": shares.get(row.name)}
        )
        for row in table.rows
    ]
    return Outcome(
        created=now(),
        table=table.name,
        title=table.title,
        source=table.source,
        notes=" ".join([*filter(None, [table.notes]), *_changed(table, runs)]),
        data=first.spec,
        fingerprint=first.manifest.fingerprint,
        test_images=len(first.test),
        recipe=first.recipe.name,
        seeds=tuple(first.seeds),
        rows=tuple(rows),
        orders=tuple(_orders(table, compare)),
        ends=table.ends,
    )


def _changed(table: PaperTable, runs: Mapping[str, Run]) -> list[str]:
    """A sentence for each setting of a run that the user set otherwise than the table."""
    said = []
    for name, settings in table.runs.items():
        found = dotted(runs[name].recipe)
        said += [
            f"Run {name} was made with {key} = {found[key]!r} instead of {value!r}."
            for key, value in settings.items()
            if found[key] != value
        ]
    return said


def _row(
    table: PaperTable,
    row: TableRow,
    runs: Mapping[str, Run],
    results: Mapping[str, Results],
    compare: Comparison,
) -> OutcomeRow:
    paper = {
        data: {name: round(value / 100, 6) for name, value in numbers.items()}
        for data, numbers in row.paper.items()
    }
    if row.method is None:
        return OutcomeRow(name=row.name, method=None, run=None, paper=paper, ours={}, gain=None)
    run = runs[row.run]
    key = row.method
    found = results[row.run].variants[key]
    gain = None if key == PLAIN else compare.interval((row.run, key), (row.run, PLAIN))
    return OutcomeRow(
        name=row.name,
        method=row.method,
        run=f"runs/{run.folder.name}",
        paper=paper,
        ours={name: found.spread(name) for name in table.metrics},
        gain=gain,
    )


def _orders(table: PaperTable, compare: Comparison) -> list[Order]:
    """Every pair of our rows that the paper's mAP orders, neighbours in the paper first."""
    orders: list[Order] = []
    for data in table.data_sets:
        known = [row for row in table.own_rows if "map" in row.paper.get(data, {})]
        known.sort(key=lambda row: row.paper[data]["map"])
        places = {row.name: place for place, row in enumerate(known)}
        pairs = [
            (lower, higher)
            for lower, higher in permutations(known, 2)
            if lower.paper[data]["map"] < higher.paper[data]["map"]
        ]
        pairs.sort(key=lambda pair: places[pair[1].name] - places[pair[0].name])
        for lower, higher in pairs:
            keys = [(row.run, str(row.method)) for row in (higher, lower)]
            ours = compare.interval(*keys)
            paper = (higher.paper[data]["map"] - lower.paper[data]["map"]) / 100
            orders.append(
                Order(
                    data=data,
                    lower=lower.name,
                    higher=higher.name,
                    paper=round(paper, 6),
                    ours=ours,
                    verdict=verdict(ours),
                )
            )
    return orders


def verdict(difference: Interval) -> Verdict:
    """What an interval of higher minus lower says about the order."""
    if difference.low > 0:
        return "holds"
    return "does not hold" if difference.high < 0 else "within noise"
