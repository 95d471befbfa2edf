"""``boxless train --dry-run``: the forecast of a run, printed."""

from typing import TYPE_CHECKING

from boxless.files.console import plain_console, plain_table

if TYPE_CHECKING:
    from boxless.runs.forecast import Forecast


def show_forecast(found: "Forecast") -> None:
    """Print steps, time, disk and what is shipped, on stdout."""
    from rich.filesize import decimal

    from boxless.files.overall import roughly
    from boxless.runs.forecast import shipped
    from boxless.runs.pace import busy

    console, seconds = plain_console(), found.estimate.seconds
    table = plain_table("step", ">images x passes", ">about")
    for place, item in enumerate(found.items, start=1):
        name = item.step.name
        images = found.images(item)
        time = "done" if item.done else roughly(seconds[name])
        table.add_row(f"[{place}/{len(found.items)}] {name}", f"{images:,}" if images else "", time)
    console.print(table)
    pace = found.pace
    console.print(
        f"time:    about {roughly(found.estimate.total)} on this machine as it is now; per image"
        f" {1000 * pace.propose:.0f} ms for regions, {1000 * pace.look:.0f} ms for the teacher,"
        f" {1000 * pace.learn:.0f} ms for an update of the student"
    )
    if told := busy():
        console.print(f"         {told}")
    largest = max(found.disk, key=lambda name: found.disk[name])
    console.print(
        f"disk:    about {decimal(sum(found.disk.values()))} in {found.run.folder} ({largest}"
        f" {decimal(found.disk[largest])}); {decimal(found.free)} are free"
    )
    console.print(f"ships:   {shipped(found)}")
    console.print("nothing was written; the same command without --dry-run does it")
