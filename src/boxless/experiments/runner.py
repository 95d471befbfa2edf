"""Bring a table's runs to their end and write the table."""

from collections.abc import Mapping
from pathlib import Path

from boxless.experiments import curve_view
from boxless.experiments.learning_curve import Grid, make_curve
from boxless.experiments.object_size import SizeGain, gain_by_size
from boxless.experiments.outcome import Comparison, make_outcome
from boxless.experiments.page import ClassGains, page
from boxless.experiments.per_class import as_pair, class_rows, drawing
from boxless.experiments.planning import Request, distinct, take_finished
from boxless.experiments.rendering import comma_separated, latex, markdown, sizes_markdown
from boxless.experiments.tables import TAGS, PaperTable
from boxless.files.atomic import write_atomically
from boxless.files.console import plain_console
from boxless.methods.table import PLAIN
from boxless.proposals.proposer import make_proposer
from boxless.report.results import TEACHER, Results, read_results
from boxless.runs.context import Run
from boxless.runs.execute import execute
from boxless.runs.outlook import outlook
from boxless.runs.proposal_step import proposer_settings
from boxless.runs.reporting import write_results


def finish_runs(runs: Mapping[str, Run], request: Request) -> None:
    """Carry out what the runs still lack, one after the other; stop and start at any time.

    Raises:
        ConfigError: A run's proposer lacks something; found before any work.
        DataError: A run has too few images; likewise.
        RunError: A run folder was made with other settings.
    """
    todo = distinct(runs)
    for run in todo:
        _ = run.train, run.test  # images enough for each, before hours of work on the first
        if run.proposes and not outlook(run)[0].done:
            config = run.recipe.proposals
            make_proposer(config.method, **proposer_settings(config))
    console = plain_console(stderr=True)
    sources = [*request.reuse, *(run.folder for run in todo)]
    for run in todo:
        console.print(f"run {run.folder}", style="bold")
        for name in take_finished(run, sources):
            console.print(f"{name}: taken from another run", style="dim")
        execute(run)


def write_table(table: PaperTable, runs: Mapping[str, Run], out: Path) -> list[Path]:
    """Write a finished table in all its forms.

    Returns:
        The files: HTML, Markdown, CSV, LaTeX and JSON; figure 4 also as SVG with its classes as
        CSV.
    """
    results = {name: read_results(run.folder / "results.json") for name, run in runs.items()}
    compare = Comparison(runs)
    outcome = make_outcome(table, runs, results, compare)
    row = table.own_rows[-1]
    key = str(row.method)
    drawn = ""
    texts: dict[str, str] = {}
    sizes: list[SizeGain] = []
    if table.per_class:
        texts, sizes = _figure(table.name, runs[row.run], results[row.run], key, compare)
        drawn = f"\n![{table.title}]({table.name}.svg)\n"
    classes = ClassGains(row.name, as_pair(results[row.run], key)) if key != TEACHER else None
    folders = {f"runs/{run.folder.name}": results[name] for name, run in runs.items()}
    texts = {
        f"{table.name}.html": page(outcome, folders, classes, sizes),
        f"{table.name}.md": markdown(outcome) + drawn + sizes_markdown(sizes),
        **texts,
        f"{table.name}.csv": comma_separated(outcome),
        f"{table.name}.tex": latex(outcome),
        f"{table.name}.json": outcome.model_dump_json(indent=2) + "\n",
    }
    return _write(out, {name: text.encode() for name, text in texts.items()})


def write_curve(grid: Grid, runs: Mapping[str, Run], out: Path) -> list[Path]:
    """Write a finished learning curve in all its forms.

    Returns:
        The files: HTML, Markdown, CSV, JSON, and the plot as SVG and PNG.
    """
    curve = make_curve(grid, runs)
    folders = {
        f"runs/{run.folder.name}": read_results(run.folder / "results.json")
        for run in distinct(runs)
    }
    texts = {
        "html": curve_view.page(curve, folders),
        "md": curve_view.markdown(curve),
        "csv": curve_view.comma_separated(curve),
        "svg": curve_view.standalone_plot(curve),
        "json": curve.model_dump_json(indent=2) + "\n",
    }
    files = {f"{TAGS}.{kind}": text.encode() for kind, text in texts.items()}
    written = _write(out, {**files, f"{TAGS}.png": curve_view.picture(curve)})
    for run in distinct(runs):
        write_results(run, [step.name for step in run.results.steps])  # its report shows the curve
    return written


def _write(out: Path, files: Mapping[str, bytes]) -> list[Path]:
    for name, content in files.items():
        write_atomically(out / name, content)
    return [out / name for name in files]


def _figure(
    name: str, run: Run, results: Results, key: str, compare: Comparison
) -> tuple[dict[str, str], list[SizeGain]]:
    """Figure 4 as files of its own, and the gain by object size."""
    files = {f"{name}.svg": drawing(results, key), f"{name}-classes.csv": class_rows(results, key)}
    return files, gain_by_size(run, compare.scores(run, key), compare.scores(run, PLAIN))
