"""Which share of what was lost a row recovers: (mAP - low) / (high - low), ours and the published.

mAP alone says little about a loss for missing tags: how much they cost depends on the data and the
network. The share sets a row between the same student with the missing tags called absent and the
one with all tags.
"""

from collections.abc import Mapping

import numpy as np

from boxless.experiments.learning_curve import Figure, figure, resampled
from boxless.experiments.tables import PaperTable
from boxless.report.part import Part
from boxless.runs.context import Run
from boxless.types import Float64Array


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
