"""Predictions for people: names, bars and boxes in the terminal."""

from typing import TYPE_CHECKING

from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from boxless.files.console import plain_console
from boxless.inference.result_files import ResultWriter

if TYPE_CHECKING:
    from boxless.inference.prediction import Prediction


class Table(ResultWriter):
    """The file's name and, below it, one line per label; failures are listed at the end."""

    def __init__(self) -> None:
        self._console = plain_console()

    def write(self, prediction: "Prediction") -> None:
        """Print one image."""
        self._console.print(str(prediction.path), style="bold")
        if not prediction.labels:
            self._console.print("  no label above the threshold", style="dim")
            return
        grid = Grid.grid(padding=(0, 1))
        for label in prediction.labels:
            bar = ProgressBar(total=1.0, completed=label.probability, width=20)
            style = "" if label.present else "dim"
            boxes = [box for box in prediction.boxes if box.name == label.name]
            places = "; ".join(f"{b.x1:.0f},{b.y1:.0f} to {b.x2:.0f},{b.y2:.0f}" for b in boxes)
            cells = (f"{label.probability:.3f}", bar, Text(label.name, style), Text(places, "dim"))
            grid.add_row(" ", *cells)
        self._console.print(grid)
