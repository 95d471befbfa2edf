"""The report of a run, and the page of suspicious tags: HTML files that load nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from boxless.files.atomic import write_atomically
from boxless.methods.table import PLAIN
from boxless.report import calibration_view, plots, wording
from boxless.report.gallery import (
    Card,
    GalleryItem,
    LocalizedImage,
    draw_regions,
    jpeg_url,
    label_rows,
    localization_urls,
)
from boxless.report.part import Interval
from boxless.report.results import TEACHER, Results
from boxless.report.tables import COLUMNS, METHOD_COLUMNS, method_rows, table_notes, table_rows
from boxless.report.variants import mean_or_none

FILE_NAME: Final = "report.html"
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class TagsCurve:
    """The learning curve over numbers of tags that a run is a part of.

    Attributes:
        plot: SVG that follows the page's colors.
        page: Address of the curve's own page, relative to the report.
    """

    plot: str
    page: str


def write_report(
    folder: Path,
    results: Results,
    *,
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    gallery: Sequence[GalleryItem],
    localized: Sequence[LocalizedImage] = (),
    suspects: Sequence[Card] = (),
    tags: TagsCurve | None = None,
) -> Path:
    """Write the report of a run, atomically.

    Args:
        folder: The run folder; it exists.
        results: What the run found out.
        curves: Training events by name, see `plots.learning_curves`; may be empty.
        gallery: Pictures to show; may be empty.
        localized: Pictures with class maps; may be empty.
        suspects: Pictures of suspicious tags; may be empty.
        tags: The learning curve that the run is a part of, if it is.

    Returns:
        Path of ``report.html``: a single file that loads nothing from anywhere.

    Raises:
        ShapeError: A gallery item's image, boxes or scores do not fit each other.
        RunError: The file cannot be written.
    """
    text = render_page(
        "report.html.j2",
        results=results,
        created=readable_time(results.created),
        strip=interval_strip(results.gain.map) if results.gain else None,
        columns=COLUMNS,
        rows=table_rows(results),
        notes=table_notes(results),
        method_columns=METHOD_COLUMNS,
        methods=method_rows(results),
        plots=_plots(results, curves),
        classes=list(_class_rows(results)),
        calibration_columns=calibration_view.CALIBRATION_COLUMNS,
        calibration=calibration_view.calibration_rows(results),
        localization_columns=calibration_view.LOCALIZATION_COLUMNS,
        localized=calibration_view.localization_rows(results),
        pictured=[(item, localization_urls(item)) for item in localized],
        tags=tags,
        located={key: variant for key, variant in results.variants.items() if variant.localization},
        gallery=[(item, jpeg_url(draw_regions(item)), label_rows(item)) for item in gallery],
        suspects=suspects,
        settings=list(flatten(results.recipe)),
        environment=list(flatten(results.environment)),
        mean_gain=mean_or_none(results.gain.per_class) if results.gain else None,
        total_seconds=sum(step.seconds for step in results.steps),
    )
    path = folder / FILE_NAME
    write_atomically(path, text.encode())
    return path


def _plots(
    results: Results, curves: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, str | None]:
    return {
        "variants": plots.map_per_variant(results),
        "gain": plots.gain_per_class(results),
        "classes": plots.dumbbell(results),
        "curves": plots.learning_curves(curves),
        "reliability": calibration_view.reliability_plot(results),
    }


def render_page(template: str, **values: Any) -> str:
    """A page in the style of reports: it loads nothing, and follows the reader's light or dark.

    Args:
        template: File beside this module.
        values: What the template shows, beside `wording` and the style, which it has always.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(wording=wording, style=style, **values)


def interval_strip(gain: Interval) -> dict[str, float]:
    """Where zero, the mean and the ends of an interval lie on a strip.

    Returns:
        ``zero``, ``low``, ``high`` and ``mean`` in percent of the strip's width, in (0, 100).
    """
    least, most = min(gain.low, 0.0), max(gain.high, 0.0)
    margin = max(0.12 * (most - least), 0.001)
    width = most - least + 2 * margin
    marks = {"zero": 0.0, "low": gain.low, "high": gain.high, "mean": gain.mean}
    return {name: 100 * (at - least + margin) / width for name, at in marks.items()}


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and texts, in their own order.

    Yields:
        Name and text of every plain value.
    """
    for key, item in value.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(item, Mapping) and item:
            yield from flatten(item, name)
        elif isinstance(item, list | tuple):
            yield name, ", ".join(str(part) for part in item) or wording.NOTHING
        else:
            yield name, wording.NOTHING if item is None else str(item)


def readable_time(created: str) -> str:
    """ISO 8601 time for people, such as ``1 May 2026, 14:05``; other texts as they are."""
    try:
        return datetime.fromisoformat(created).strftime("%d %B %Y, %H:%M").lstrip("0")
    except ValueError:
        return created


def _class_rows(results: Results) -> Iterator[dict[str, str]]:
    """One row per class, most frequent first: counts, AP of the main variants, gain, detection."""
    known = [key for key in (PLAIN, results.method, TEACHER) if key in results.variants]
    ap = {key: results.variants[key].per_class_ap() for key in known}
    teacher = results.variants.get(TEACHER)
    found = teacher.localization if teacher else None
    for k in plots.by_frequency(results):
        row = {
            "class": results.data.classes[k],
            "training images": f"{results.data.train_positives[k]:,}",
        }
        row |= {f"AP, {key}": wording.percent(ap[key][k]) for key in known}
        if results.gain is not None:
            row["gain"] = wording.points(results.gain.per_class[k])
        if found is not None:
            row["detection AP, teacher"] = wording.percent(found.per_class_detection_ap[k])
            row["CorLoc, teacher"] = wording.percent(found.per_class_corloc[k])
        yield row


def write_suspects_page(
    file: Path, name: str, *, suspects: Sequence[Card], to_tag: Sequence[Card], listed: int
) -> None:
    """Write the page: a single file that loads nothing from anywhere.

    Args:
        file: The HTML file.
        name: Of the data set.
        suspects: Pictures of the first suspicious tags.
        to_tag: Pictures of the images to tag next; may be empty.
        listed: How many suspicious tags the table beside the page has.
    """
    text = render_page(
        "suspects.html.j2",
        name=name,
        suspects=suspects,
        to_tag=to_tag,
        listed=listed,
    )
    write_atomically(file, text.encode())
