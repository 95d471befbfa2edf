"""Figure 4: gain of AP of every class, by training frequency, as a drawing and as CSV."""

import csv
import io

from boxless.report.class_plots import by_frequency, gain_per_class, seed_gains
from boxless.report.results import BASELINE, DISTILLED, Results


def as_pair(results: Results, arm: str) -> Results:
    """The results with an arm in the place of the distilled student.

    Args:
        results: A run with the plain student and the arm.
        arm: Key of the arm.
    """
    arms = {BASELINE: results.arms[BASELINE], DISTILLED: results.arms[arm]}
    return results.model_copy(update={"arms": arms, "gain": results.gain_of(arm), "gains": {}})


def drawing(results: Results, arm: str) -> str:
    """A bar a class, as an SVG file of its own.

    Args:
        results: A run with the plain student and the arm.
        arm: Key of the arm whose gain is drawn.
    """
    svg = gain_per_class(as_pair(results, arm)) or "<svg/>"
    return svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def class_rows(results: Results, arm: str) -> str:
    """One line of CSV a class, most frequent first: AP without and with, gain, seeds' range.

    Args:
        results: A run with the plain student and the arm.
        arm: Key of the arm.

    Returns:
        Fractions; empty cells for a class without positives.
    """
    pair = as_pair(results, arm)
    before, after = (pair.arms[key].per_class_ap() for key in (BASELINE, DISTILLED))
    gains = pair.gain.per_class if pair.gain else (None,) * len(before)
    scatter = seed_gains(pair)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heading = ("class", "training_images", "ap_without", "ap_with", "gain")
    writer.writerow((*heading, "least_gain", "most_gain"))
    for k in by_frequency(pair):
        ends = (min(scatter[k]), max(scatter[k])) if scatter[k] else (None, None)
        numbers = (pair.data.train_positives[k], before[k], after[k], gains[k], *ends)
        writer.writerow((pair.data.classes[k], *numbers))
    return file.getvalue()
