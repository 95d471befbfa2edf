"""``boxless experiments``: the paper's tables, one command a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxless.experiments.planning import RunPlan
    from boxless.experiments.tables import PaperTable

app = App(name="experiments", help="The paper's tables and figure 4, one command a table.")

Overrides = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]
Reuse = Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=False)]


@app.command(name="list")
def list_tables() -> None:
    """List the paper's tables and figures."""
    from boxless.experiments.tables import load_table, table_names

    table = Table("experiment", "what it shows", "paper's data", "rows", "runs")
    for name in table_names():
        found = load_table(name)
        rows = f"{len(found.own_rows)} of {len(found.rows)}"
        sets = ", ".join(found.data_sets)
        table.add_row(name, found.title, sets, rows, str(len(found.run_names)))
    console = Console()
    console.print(table)
    console.print("rows: how many are trained; the others are numbers of other authors")


@app.command
def show(table: str) -> None:
    """Show the rows of a table, what makes each, and the paper's numbers.

    Args:
        table: One that `boxless experiments list` shows.
    """
    from boxless.experiments.tables import load_table
    from boxless.report.tables import METRIC_COLUMNS

    found = load_table(table)
    columns = [(data, metric) for metric in found.metrics for data in found.data_sets]
    headings = [f"{METRIC_COLUMNS[metric]}\n{data}" for data, metric in columns]
    shown = Table("row", "method", "run", *headings, title=f"{table}: {found.title}")
    for row in found.rows:
        numbers = [row.paper.get(data, {}).get(metric) for data, metric in columns]
        texts = ["" if number is None else f"{number:.1f}" for number in numbers]
        shown.add_row(row.name, row.method or "", row.run if row.method else "", *texts)
    console = Console()
    console.print(shown)
    for name, settings in found.runs.items():
        console.print(f"run {name}: {', '.join(f'{k} = {v!r}' for k, v in settings.items())}")
    console.print(f"numbers: {found.source}. {found.notes}")


@app.command
def run(
    table: str,
    *overrides: Overrides,
    data: str,
    out: Path,
    recipe: str = "voc-lite0",
    seeds: int | None = None,
    reuse: Reuse = None,
    dry_run: bool = False,
) -> None:
    """Run what a table lacks and print ours beside the paper's.

    Rows that differ in their method alone are variants of one run; other rows have a run of their
    own, and take steps with equal settings from each other. Stop it at any time; the same command
    resumes. Tables with one --out share runs.

    Examples:
        boxless experiments run table4 --data voc:VOCdevkit/VOC2007 --seeds 3 --out runs/paper

        boxless experiments run table5 --data coco:COCO --recipe coco-vgg16 --out runs/paper
        --faster_rcnn.proposals.detector_weights detector.pth

    Args:
        table: One that `boxless experiments list` shows.
        overrides: Dotted settings for all runs; for one run alone with its name in front.
        data: The data set, as for `boxless train`.
        out: Folder for the tables; runs lie below it.
        recipe: A built-in recipe or a TOML file.
        seeds: Students per row.
        reuse: Another run folder whose finished steps may be taken (may be given several times).
        dry_run: Print rows, runs, the steps still to do and their estimated time, and stop.
    """
    from boxless.cli.overrides import parse_overrides
    from boxless.errors import ConfigError
    from boxless.experiments.planning import Request, make_runs, plan_runs
    from boxless.experiments.tables import load_table
    from boxless.runs.start import require_training

    found = load_table(table)
    settings = parse_overrides(overrides)
    if seeds is not None:
        settings["run.seeds"] = str(seeds)
    for folder in (out, *(reuse or ())):
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file", hint="name a folder")
    for folder in reuse or ():
        if not folder.is_dir():
            raise ConfigError(f"--reuse {folder}: no such folder", hint="name a run folder")
    request = Request(data, recipe, settings, out, tuple(reuse or ()))
    runs = make_runs(found, request)
    if dry_run:
        folders = {name: made.folder.name for name, made in runs.items()}
        _print_plan(found, folders, plan_runs(runs, request.reuse))
        return
    require_training()
    from boxless.experiments.runner import finish_runs, write_table

    finish_runs(runs, request)
    _show(out, table, write_table(found, runs, out))


def _print_plan(table: "PaperTable", folders: dict[str, str], plans: "Sequence[RunPlan]") -> None:
    from boxless.report.wording import duration

    console = Console()
    rows = Table("row", "method", "run", title=f"{table.name}: {table.title}")
    for row in table.rows:
        if row.method is None:
            rows.add_row(escape(row.name), "(paper only)", "")
        else:
            rows.add_row(escape(row.name), row.method, folders[row.run])
    console.print(rows)
    for plan in plans:
        console.print(
            f"run {plan.run.folder}: {len(plan.done)} steps done, {len(plan.shared)} taken from"
            f" other runs, {len(plan.todo)} to do",
            soft_wrap=True,
        )
        if plan.shared:
            console.print(f"  taken: {', '.join(plan.shared)}", soft_wrap=True)
        if plan.todo:
            known = plan.estimate.seconds
            texts = [f"{n} ({duration(known[n]) if n in known else '?'})" for n in plan.todo]
            console.print(f"  to do: {', '.join(texts)}", soft_wrap=True)
    console.print(_time_to_do(plans), soft_wrap=True)


def _time_to_do(plans: "Sequence[RunPlan]") -> str:
    """All runs' estimates in a sentence."""
    from boxless.report.wording import duration

    steps = sum(len(plan.todo) for plan in plans)
    unknown = sum(len(plan.estimate.unknown) for plan in plans)
    total = sum(plan.estimate.total for plan in plans)
    if not steps:
        return "time to do: none"
    if unknown == steps:
        return "time to do: unknown, for no step like these has been finished here"
    rest = f", and {unknown} of {steps} steps of unknown time" if unknown else ""
    return f"time to do: about {duration(total)}{rest}, by the pace of the steps done before"


def _show(out: Path, table: str, files: "Sequence[Path]") -> None:
    from boxless.experiments.outcome import Outcome
    from boxless.experiments.rendering import notes, terminal_orders, terminal_table

    outcome = Outcome.model_validate_json((out / f"{table}.json").read_text("utf-8"))
    console = Console()
    console.print(terminal_table(outcome))
    console.print(notes(outcome), markup=False)
    console.print(terminal_orders(outcome))
    for file in files:
        console.print(str(file), soft_wrap=True, markup=False)
