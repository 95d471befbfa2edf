"""``boxless train`` and the verbs of its steps."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from boxless.errors import ConfigError
from boxless.files.console import plain_console, plain_table

if TYPE_CHECKING:
    from boxless.runs.forecast import Forecast
    from boxless.runs.start import Order

Overrides = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]
Spec = Annotated[str, Parameter(help="The data set; or the folder of a run, to resume it.")]
OWN_METHOD = ""


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class RunOptions:
    """What all verbs that work on a run take.

    Attributes:
        out: Run folder; everything is written below it. Left out where RUN is given for SPEC.
        recipe: A built-in recipe or a TOML file; auto: the run folder's own, or one chosen for your
            images and this machine, with its reasons.
        seeds: Students per variant.
        methods: Further ways to distill, compared with the recipe's own, separated by commas:
            hinton, attention, fitnets, fitnets-hinton, class-aware, hint-class-aware, regions-nms,
            regions; or oracle, the plain student with the true tags of the untagged images.
        force: A step to do again with all that depends on it (may be given several times):
            proposals, maps, teacher, cache, hint, evaluate, calibrate, locate, export, report, or a
            method, such as plain or regions.
    """

    out: Path | None = None
    recipe: str = "auto"
    seeds: int | None = None
    methods: Annotated[str | None, Parameter(negative=())] = None
    force: Annotated[list[str] | None, Parameter(negative=(), consume_multiple=False)] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class TrainOptions(RunOptions):
    """What ``boxless train`` takes beside.

    Attributes:
        untagged: Further images without tags, which distilling learns from too: a folder, a
            pattern such as 'photos/**/*.jpg', or a data set, whose tags are not read.
        tags: How many training images keep their tags; the others count as untagged.
        dry_run: Say what would be done, how long it takes here (tried for a few seconds), the disk
            it needs and what is shipped; write nothing.
        profile: Measure where the time of the updates goes, of the steps that are trained now, and
            show it in the report.
    """

    untagged: str | None = None
    tags: int | None = None
    dry_run: Annotated[bool, Parameter(negative=())] = False
    profile: Annotated[bool, Parameter(negative=())] = False


RUN = RunOptions()
TRAIN = TrainOptions()


def train(spec: str, *overrides: Overrides, options: TrainOptions = TRAIN) -> None:
    """From tags to a distilled, evaluated, exported classifier, in one command.

    Proposes regions, trains the teacher on the tags, caches what it knows, trains the student with
    and without distillation, evaluates both, fits thresholds on held-out images, exports ONNX and
    writes a report. Stop it at any time; the same command, or `boxless train RUN`, resumes where it
    stopped. Finished steps are skipped.

    Any setting of the recipe can be given as `--section.key VALUE`, a list as VALUE,VALUE; `boxless
    recipes show NAME --full` lists them all. Two that are wanted often:

        boxless train csv:tags.csv --out runs/mine --student.input_size 160

        boxless train csv:tags.csv --out runs/mine --stage2.optim.epochs 8 --run.workers 4

    `--method NAME` chooses how the student is distilled: regions (the paper's), regions-nms,
    hint-class-aware, class-aware, fitnets-hinton, fitnets, attention or hinton.

    For example:

        boxless train csv:tags.csv --untagged photos/ --out runs/mine --dry-run

        boxless train csv:tags.csv --untagged photos/ --out runs/mine

        boxless train scenes: --recipe demo --out runs/demo

        boxless train voc:VOCdevkit/VOC2007 --methods hinton,fitnets,attention --out runs/compare

    Args:
        spec: The data set: voc:DIR, coco:DIR, nus-wide:DIR, csv:FILE, list:FILE, scenes: and
            others, or a path alone, such as tags.csv, that leaves no doubt which; or the folder of
            a run, to resume it.
        overrides: Dotted settings.
        options: As `TrainOptions` says.
    """
    order = _order(spec, overrides, options)
    if options.dry_run:
        run = order.open()  # which says first what is not installed
        from boxless.runs.forecast import forecast

        _show_forecast(forecast(run))
        return
    _carry_out(order, "report", options)
    _show(order.out)


def teacher(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Propose regions and train the teacher; see `boxless train --help`."""
    _carry_out(_order(spec, overrides, options), "teacher", options)


def cache(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Run up to the cache of what the teacher knows; see `boxless train --help`."""
    _carry_out(_order(spec, overrides, options), "cache", options)


def baseline(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Train the student without distillation only; see `boxless train --help`."""
    _carry_out(_order(spec, overrides, options), "plain", options, only=True)


def distill(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Train the distilled student, and the teacher if need be; see `boxless train --help`."""
    _carry_out(_order(spec, overrides, options), OWN_METHOD, options, only=True)


def evaluate(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Run up to the evaluation of all variants; see `boxless train --help`."""
    _carry_out(_order(spec, overrides, options), "evaluate", options)


def calibrate(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Run up to temperatures and thresholds of all variants; see `boxless train --help`."""
    _carry_out(_order(spec, overrides, options), "calibrate", options)


def locate(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Run up to where all variants look; see `boxless train --help`."""
    _carry_out(_order(spec, overrides, options), "locate", options)


def report(spec: Spec, *overrides: Overrides, options: RunOptions = RUN) -> None:
    """Write results.json and report.html again; see `boxless train --help`."""
    order = _order(spec, overrides, options)
    _carry_out(order, "report", options, again="report")
    _show(order.out)


def _order(spec: str, tokens: tuple[str, ...], options: RunOptions) -> "Order":
    """What was asked for, from the words of the command line."""
    from boxless.cli.options import parse_overrides
    from boxless.runs.start import Order, run_and_data

    overrides = parse_overrides(tokens)
    profile = False
    if options.seeds is not None:
        overrides["run.seeds"] = str(options.seeds)
    if options.methods is not None:
        names = (name.strip() for name in options.methods.split(","))
        overrides["methods"] = json.dumps([name for name in names if name])
    if isinstance(options, TrainOptions):
        profile = options.profile
        if options.untagged is not None:
            overrides["data.untagged"] = json.dumps(options.untagged)
        if options.tags is not None:
            overrides["data.tags"] = str(options.tags)
    out, data = run_and_data(spec, options.out)
    return Order(data, out, options.recipe, overrides, profile)


def _carry_out(
    order: "Order", until: str, options: RunOptions, *, only: bool = False, again: str = ""
) -> None:
    """Bring a run to a step."""
    from boxless.files.launched import launched
    from boxless.runs.start import carry_out

    if launched().count > 1:
        _refuse_forced_restarts(options.force or [])
    forced = [*(options.force or []), *([again] if again else [])]
    carry_out(order, until=until, force=forced, only=only)


def _refuse_forced_restarts(force: list[str]) -> None:
    """A launcher that starts a command again would throw a forced step away again."""
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if restarts != "0" and set(force) - {"report"}:
        raise ConfigError(
            f"--force with --max-restarts {restarts}: each restart would throw away what the last"
            " attempt has done",
            hint="give --force without --max-restarts, for as long as the step takes to begin; then"
            " the same command without --force resumes it",
        )


def _show(out: Path) -> None:
    from boxless.files.launched import launched
    from boxless.report.results import read_results
    from boxless.report.tables import methods_table, results_table
    from boxless.report.wording import cautions, headroom, shipped

    if launched().rank:
        return
    console = plain_console()
    results = read_results(out / "results.json")
    console.print(results_table(results))
    compared = methods_table(results)
    if compared is not None:
        console.print(compared)
    for line in (headroom(results), shipped(results.shipped), *cautions(results.shipped)):
        console.print(line, end="\n" if line else "")
    console.print(f"report:  {out / 'report.html'}")
    console.print(f"results: {out / 'results.json'}")
    console.print(f"student: {out / 'export' / 'student.onnx'}")
    console.print(f"try it:  boxless predict {out} IMAGE")


def _show_forecast(found: "Forecast") -> None:
    """Print steps, time, disk and what is shipped, on stdout."""
    from rich.filesize import decimal

    from boxless.files.progress import roughly
    from boxless.runs.forecast import busy, shipped

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
