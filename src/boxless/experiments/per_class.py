"""Figure 4: gain of AP of every class, by training frequency, as a drawing and as CSV."""

import csv
import io

from boxless.methods.table import PLAIN
from boxless.report.plots import by_frequency, gain_per_class, seed_gains
from boxless.report.results import Results


def as_pair(results: Results, key: str) -> Results:
    """The results with a variant in the place of the distilled student."""
    chosen = {PLAIN: results.variants[PLAIN], key: results.variants[key]}
    changes = {"method": key, "variants": chosen, "gain": results.gain_of(key), "gains": {}}
    return results.model_copy(update=changes)


def drawing(results: Results, key: str) -> str:
    """A bar per class, as an SVG file of its own."""
    svg = gain_per_class(as_pair(results, key)) or "<svg/>"
    return svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def class_rows(results: Results, key: str) -> str:
    """One line of CSV per class, most frequent first: AP without and with, gain, seeds' range.

    Returns:
        Fractions; empty cells for a class without positives.
    """
    pair = as_pair(results, key)
    before, after = (pair.variants[name].per_class_ap() for name in (PLAIN, pair.method))
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
