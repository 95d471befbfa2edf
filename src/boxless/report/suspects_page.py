"""The page beside a table of suspicious tags."""

from collections.abc import Sequence
from pathlib import Path

from boxless.files.atomic import write_atomically
from boxless.report.html import render_page
from boxless.report.suspect_cards import Card


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
