"""``boxless train`` and the verbs of its steps."""

import json
import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from boxless.errors import ConfigError
from boxless.files.console import plain_console

Overrides = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]
Methods = Annotated[str | None, Parameter(negative=())]
OWN_METHOD = ""
Profile = Annotated[bool, Parameter(negative=())]
Force = Annotated[list[str] | None, Parameter(negative=(), consume_multiple=False)]


def train(
    spec: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "auto",
    seeds: int | None = None,
    untagged: str | None = None,
    tags: int | None = None,
    methods: Methods = None,
    force: Force = None,
    profile: Profile = False,
) -> None:
    """From tags to a distilled, evaluated, exported classifier, in one command.

    Proposes regions, trains the detector (teacher) on the tags, caches what it knows, trains the
    student with and without distillation, evaluates both, fits thresholds on held-out images,
    exports ONNX and writes a report. Stop it at any time; the same command goes on where it
    stopped. Finished steps are skipped.

    Any setting of the recipe can be given: `--teacher.optim.epochs 4 --student.input_size 160`
    (`boxless recipes show NAME` lists them all). `--method NAME` chooses how the student is
    distilled: regions (the paper's), regions-nms, hint-class-aware, class-aware, fitnets-hinton,
    fitnets, attention or hinton.

    For example:

        boxless train scenes: --recipe demo --out runs/demo

        boxless train voc:VOCdevkit/VOC2007 --recipe voc-lite0 --seeds 3 --out runs/voc

        boxless train voc:VOCdevkit/VOC2007 --methods hinton,fitnets,attention --out runs/compare

        boxless train csv:tags.csv --recipe voc-lite0 --out runs/mine --teacher.input_size 384

        boxless train csv:tags.csv --untagged photos/ --recipe voc-lite0 --out runs/few

    Args:
        spec: The data set: voc:DIR, coco:DIR, nus-wide:DIR, csv:FILE, list:FILE or scenes:
        overrides: Dotted settings.
        out: Run folder; everything is written below it.
        recipe: A built-in recipe or a TOML file; auto: the run folder's own, or voc-lite0.
        seeds: Students per variant.
        untagged: Further images without tags, which distilling learns from too: a folder, a
            pattern such as 'photos/**/*.jpg', or a data set, whose tags are not read.
        tags: How many training images keep their tags; the others count as untagged.
        methods: Further ways to distill, compared with the recipe's own, separated by commas:
            hinton, attention, fitnets, fitnets-hinton, class-aware, hint-class-aware, regions-nms,
            regions; or oracle, the plain student with the true tags of the untagged images.
        force: A step to do again with all that depends on it (may be given several times):
            proposals, maps, teacher, cache, hint, evaluate, calibrate, locate, export, report, or a
            method, such as plain or regions.
        profile: Measure where the time of the updates goes, of the steps that are trained now, and
            show it in the report.
    """
    run_until(
        "report",
        spec,
        overrides,
        out,
        recipe,
        seeds,
        force,
        methods=methods,
        untagged=untagged,
        tags=tags,
        profile=profile,
    )
    _show(out)


def teacher(
    spec: str, *overrides: Overrides, out: Path, recipe: str = "auto", force: Force = None
) -> None:
    """Propose regions and train the teacher; see `boxless train --help`."""
    run_until("teacher", spec, overrides, out, recipe, None, force)


def cache(
    spec: str, *overrides: Overrides, out: Path, recipe: str = "auto", force: Force = None
) -> None:
    """Run up to the cache of what the teacher knows; see `boxless train --help`."""
    run_until("cache", spec, overrides, out, recipe, None, force)


def baseline(
    spec: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "auto",
    seeds: int | None = None,
    force: Force = None,
) -> None:
    """Train the student without distillation only; see `boxless train --help`."""
    run_until("plain", spec, overrides, out, recipe, seeds, force, only=True)


def distill(
    spec: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "auto",
    seeds: int | None = None,
    force: Force = None,
) -> None:
    """Train the distilled student, and the teacher if need be; see `boxless train --help`."""
    run_until(OWN_METHOD, spec, overrides, out, recipe, seeds, force, only=True)


def evaluate(
    spec: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "auto",
    seeds: int | None = None,
    methods: Methods = None,
    force: Force = None,
) -> None:
    """Run up to the evaluation of all variants; see `boxless train --help`."""
    run_until("evaluate", spec, overrides, out, recipe, seeds, force, methods=methods)


def calibrate(
    spec: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "auto",
    seeds: int | None = None,
    methods: Methods = None,
    force: Force = None,
) -> None:
    """Run up to temperatures and thresholds of all variants; see `boxless train --help`."""
    run_until("calibrate", spec, overrides, out, recipe, seeds, force, methods=methods)


def locate(
    spec: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "auto",
    seeds: int | None = None,
    methods: Methods = None,
    force: Force = None,
) -> None:
    """Run up to where all variants look; see `boxless train --help`."""
    run_until("locate", spec, overrides, out, recipe, seeds, force, methods=methods)


def report(
    spec: str,
    *overrides: Overrides,
    out: Path,
    recipe: str = "auto",
    seeds: int | None = None,
    methods: Methods = None,
    force: Force = None,
) -> None:
    """Write results.json and report.html again; see `boxless train --help`."""
    again = [*(force or []), "report"]
    run_until("report", spec, overrides, out, recipe, seeds, again, methods=methods)
    _show(out)


def run_until(
    verb: str,
    spec: str,
    tokens: tuple[str, ...],
    out: Path,
    recipe: str,
    seeds: int | None,
    force: list[str] | None,
    *,
    only: bool = False,
    methods: str | None = None,
    untagged: str | None = None,
    tags: int | None = None,
    profile: bool = False,
) -> None:
    """Bring a run folder to a step.

    Args:
        verb: The last step; `OWN_METHOD` for the student of the recipe's own method.
        spec: Data set.
        tokens: Dotted settings as typed.
        out: Run folder.
        recipe: Name, path or ``auto``.
        seeds: Students per variant, or None for the recipe's.
        force: Steps to do again.
        only: Carry out this step alone (and what it needs), not all before it.
        methods: Names of methods to compare, separated by commas, or None for the recipe's.
        untagged: Further images without tags, or None for the recipe's.
        tags: Training images that keep their tags, or None for the recipe's.
        profile: Have training steps measure where their time goes.
    """
    from boxless.cli.overrides import parse_overrides
    from boxless.files.launched import launched
    from boxless.runs.start import Order, carry_out

    overrides = parse_overrides(tokens)
    if seeds is not None:
        overrides["run.seeds"] = str(seeds)
    if methods is not None:
        names = (name.strip() for name in methods.split(","))
        overrides["methods"] = json.dumps([name for name in names if name])
    if untagged is not None:
        overrides["data.untagged"] = json.dumps(untagged)
    if tags is not None:
        overrides["data.tags"] = str(tags)
    if launched().count > 1:
        _refuse_forced_restarts(force or [])
    order = Order(spec, out, recipe, overrides, profile)
    carry_out(order, until=verb, force=force or (), only=only)


def _refuse_forced_restarts(force: list[str]) -> None:
    """A launcher that starts a command again would throw a forced step away again."""
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if restarts != "0" and set(force) - {"report"}:
        raise ConfigError(
            f"--force with --max-restarts {restarts}: each restart would throw away what the last"
            " attempt has done",
            hint="give --force without --max-restarts, for as long as the step takes to begin; then"
            " the same command without --force goes on",
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
