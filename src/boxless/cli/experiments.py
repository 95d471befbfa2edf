"""``boxless experiments``: the paper's tables and the learning curve, one command each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from boxless.files.console import plain_console, plain_table
from boxless.files.progress import roughly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxless.experiments.learning_curve import Grid
    from boxless.experiments.planning import Request, RunPlan
    from boxless.experiments.tables import PaperTable

app = App(
    name="experiments",
    help="The paper's tables, figure 4 and the learning curve of tags.",
    help_format="markdown",
)

Overrides = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]
Reuse = Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=False)]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class CurveOptions:
    """What the learning curve of tags tries.

    Attributes:
        counts: The learning curve's numbers of tagged images, rising; all: all of them.
        draws: The learning curve's draws of those images.
        oracle: Whether the learning curve shows the oracle, which needs the untagged images' true
            tags: name a data set in --untagged, or none.
    """

    counts: str = "100,200,400,800"
    draws: int = 3
    oracle: bool = True


CURVE = CurveOptions()


@app.command(name="list")
def list_tables() -> None:
    """List the paper's tables and figures, and the learning curve."""
    from boxless.experiments.tables import TAGS, load_table, table_names

    table = plain_table("experiment", "what it shows", "paper's data", "rows", "runs")
    for name in table_names():
        found = load_table(name)
        rows = f"{len(found.own_rows)} of {len(found.rows)}"
        sets = ", ".join(found.data_sets)
        table.add_row(name, found.title, sets, rows, str(len(found.run_names)))
    table.add_row(TAGS, "How many tags distilling saves: mAP against their number", "", "", "many")
    console = plain_console()
    console.print(table)
    console.print("rows: how many are trained; the others are numbers of other authors")


@app.command
def show(table: str) -> None:
    """Show the rows of a table, what makes each, and the paper's numbers.

    Args:
        table: One that `boxless experiments list` shows.
    """
    from boxless.experiments.tables import TAGS, load_table
    from boxless.report.tables import METRIC_COLUMNS

    if table == TAGS:
        plain_console().print(
            "tags: a curve, not rows. Each number of tags in --counts is drawn --draws times; plain"
            " student, the recipe's own method, teacher and oracle are trained on each draw. See"
            " `boxless experiments run --help`."
        )
        return
    found = load_table(table)
    columns = [(data, metric) for metric in found.metrics for data in found.data_sets]
    headings = [f"{METRIC_COLUMNS[metric]}\n{data}" for data, metric in columns]
    shown = plain_table("row", "method", "run", *headings, title=f"{table}: {found.title}")
    for row in found.rows:
        numbers = [row.paper.get(data, {}).get(metric) for data, metric in columns]
        texts = ["" if number is None else f"{number:.1f}" for number in numbers]
        shown.add_row(row.name, row.method or "", row.run if row.method else "", *texts)
    console = plain_console()
    console.print(shown)
    for name, settings in found.runs.items():
        console.print(f"run {name}: {', '.join(f'{k} = {v!r}' for k, v in settings.items())}")
    console.print(f"numbers: {found.source}. {found.notes}")


@app.command
def run(
    experiment: str,
    data: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "voc-lite0",
    seeds: int | None = None,
    untagged: str | None = None,
    tags: int | None = None,
    curve: CurveOptions = CURVE,
    reuse: Reuse = None,
    dry_run: bool = False,
) -> None:
    """Run what a table or the learning curve lacks and print it.

    Rows that differ in their method alone are variants of one run; other rows have a run of their
    own, and take steps with equal settings from each other. Stop it at any time; the same command
    resumes. Tables with one --out share runs.

    For example:

        boxless experiments run table4 voc:VOCdevkit/VOC2007 --seeds 3 --out runs/paper

        boxless experiments run table5 coco:COCO --recipe coco-vgg16 --out runs/paper
        --faster_rcnn.proposals.detector_weights detector.pth

        boxless experiments run tags voc:VOC2007 --untagged photos/ --seeds 3 --out runs/tags

    Args:
        experiment: One that `boxless experiments list` shows.
        data: The data set, as for `boxless train`.
        overrides: Dotted settings for all runs; for one run alone with its name in front.
        out: Folder for the tables; runs lie below it.
        recipe: A built-in recipe or a TOML file.
        seeds: Students per row; by default the recipe's, for the learning curve 3.
        untagged: Further training images without tags: a folder, a pattern or a data set.
        tags: Training images that keep their tags (not for the experiment tags, see counts).
        curve: What the learning curve tries.
        reuse: Another run folder whose finished steps may be taken (may be given several times).
        dry_run: Print rows, runs, the steps still to do and their estimated time, and stop.
    """
    from boxless.cli.options import parse_overrides
    from boxless.experiments.planning import Request
    from boxless.experiments.tables import TAGS, load_table

    settings = parse_overrides(overrides)
    given = {"run.seeds": seeds, "data.untagged": untagged, "data.tags": tags}
    settings |= {key: json.dumps(value) for key, value in given.items() if value is not None}
    if experiment == TAGS:
        settings.setdefault("run.seeds", "3")
    _require_folders(out, reuse or ())
    request = Request(data, recipe, settings, out, tuple(reuse or ()))
    grid = _grid(request, curve) if experiment == TAGS else None
    table = grid.table() if grid else load_table(experiment)
    (_print_todo if dry_run else _finish)(table, request, grid)


def _print_todo(table: "PaperTable", request: "Request", grid: "Grid | None") -> None:
    from boxless.experiments.planning import make_runs, plan_runs

    runs = make_runs(table, request)
    if not grid:
        _print_rows(table, {name: made.folder.name for name, made in runs.items()})
    _print_plan(plan_runs(runs, request.reuse))


def _finish(table: "PaperTable", request: "Request", grid: "Grid | None") -> None:
    from boxless.experiments.planning import make_runs
    from boxless.runs.start import require_training

    runs = make_runs(table, request)
    require_training()
    from boxless.experiments.runner import finish_runs, write_curve, write_table

    finish_runs(runs, request)
    if grid:
        _show_curve(write_curve(grid, runs, request.out))
    else:
        _show(request.out, table.name, write_table(table, runs, request.out))


def _require_folders(out: Path, reuse: "Sequence[Path]") -> None:
    from boxless.errors import ConfigError

    for folder in (out, *reuse):
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file", hint="name a folder")
    for folder in reuse:
        if not folder.is_dir():
            raise ConfigError(f"--reuse {folder}: no such folder", hint="name a run folder")


def _grid(request: "Request", curve: CurveOptions) -> "Grid":
    """The runs of the learning curve."""
    from boxless.errors import ConfigError
    from boxless.experiments.learning_curve import Grid, parse_counts
    from boxless.recipe.recipe_files import load_recipe

    given = request.overrides
    if curve.draws < 1:
        raise ConfigError(f"expected --draws of at least 1, found {curve.draws}")
    if "data.tags" in given:
        raise ConfigError(
            f"the learning curve tries several numbers of tags, found --tags {given['data.tags']}",
            hint="name them with --counts 100,200,400",
        )
    own: dict[str, str] = {
        name: given[name] for name in ("method", "data.untagged") if name in given
    }
    found = load_recipe(request.recipe, own)
    pooled = bool(found.data.untagged)
    return Grid(parse_counts(curve.counts), curve.draws, found.method, curve.oracle, pooled)


def _print_rows(table: "PaperTable", folders: dict[str, str]) -> None:
    rows = plain_table("row", "method", "run", title=f"{table.name}: {table.title}")
    for row in table.rows:
        if row.method is None:
            rows.add_row(row.name, "(paper only)", "")
        else:
            rows.add_row(row.name, row.method, folders[row.run])
    plain_console().print(rows)


def _print_plan(plans: "Sequence[RunPlan]") -> None:
    console = plain_console()
    for plan in plans:
        console.print(
            f"run {plan.run.folder}: {len(plan.done)} steps done, {len(plan.shared)} taken from"
            f" other runs, {len(plan.todo)} to do",
        )
        if plan.shared:
            console.print(f"  taken: {', '.join(plan.shared)}")
        if plan.todo:
            known = plan.estimate.seconds
            texts = [f"{n} ({roughly(known[n]) if n in known else '?'})" for n in plan.todo]
            console.print(f"  to do: {', '.join(texts)}")
    console.print(_time_to_do(plans))


def _time_to_do(plans: "Sequence[RunPlan]") -> str:
    """All runs' estimates in a sentence."""
    steps = sum(len(plan.todo) for plan in plans)
    unknown = sum(len(plan.estimate.unknown) for plan in plans)
    total = sum(plan.estimate.total for plan in plans)
    if not steps:
        return "time to do: none"
    if unknown == steps:
        return "time to do: unknown, for no step like these has been finished here"
    rest = f", and {unknown} of {steps} steps of unknown time" if unknown else ""
    return f"time to do: about {roughly(total)}{rest}, by the pace of the steps done before"


def _show_curve(files: "Sequence[Path]") -> None:
    from boxless.experiments.curve_view import notes, savings, terminal_table
    from boxless.experiments.learning_curve import Curve

    texts = {file.suffix: file for file in files}
    curve = Curve.model_validate_json(texts[".json"].read_text("utf-8"))
    console = plain_console()
    console.print(terminal_table(curve))
    for line in (*savings(curve), notes(curve)):
        console.print(line)
    for file in files:
        console.print(str(file))


def _show(out: Path, table: str, files: "Sequence[Path]") -> None:
    from boxless.experiments.outcome import Outcome
    from boxless.experiments.rendering import notes, terminal_orders, terminal_table

    outcome = Outcome.model_validate_json((out / f"{table}.json").read_text("utf-8"))
    console = plain_console()
    console.print(terminal_table(outcome))
    console.print(notes(outcome))
    console.print(terminal_orders(outcome))
    for file in files:
        console.print(str(file))
