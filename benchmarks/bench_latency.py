"""mAP against milliseconds on one core: exported students, with ONNX Runtime, one image at a time.

A student is a run folder (its exported file and its results: every method at that input size, which
all take equally long) or a file ``student.onnx`` (what its metadata say of it and its plain twin).
``GROUP=PATH`` names the line that it belongs to, such as "200 tags"; a group's students form one
line per method, or per method named after ``@``. Dots are means over the seeds, bars the lowest and
the highest seed. ``@teacher`` is a teacher of class maps that looks at as many pixels as the
student: a linear layer on frozen features, as fast as the student.

    python benchmarks/bench_latency.py "200 tags=runs/200-128" "200 tags=runs/frozen-128@teacher"

Without names all of ``runs/latency/GROUP/RUN`` are taken, those called ``frozen…`` as teachers.
docs/reproduction.md has the commands that train them.
"""

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from measure import machine

from boxless.inference.student_file import INPUT, OUTPUT, StudentFile, find_student, open_student
from boxless.methods.table import PLAIN
from boxless.report.results import TEACHER, read_results

Maps = dict[str, tuple[float, ...]]
"""mAP on the test images of each seed, by method."""

LABELS = {PLAIN: "plain fine-tuning", TEACHER: "frozen network, linear layer"}
RUNS = Path("runs/latency")
COLOURS = ("#8b929b", "#0072b2", "#c77700", "#8e4b86", "#2f7d5b", "#c2410c")


@dataclass(frozen=True)
class Student:
    """An exported student.

    Attributes:
        group: Line it belongs to.
        path: As it was given.
        backbone: timm name.
        input_size: Side of its input in pixels.
        megabytes: Size of the file.
        maps: How good it is, and other students of that size.
        milliseconds: Time for one image, one value a round.
    """

    group: str
    path: str
    backbone: str
    input_size: int
    megabytes: float
    maps: Maps
    milliseconds: list[float]

    @property
    def middle(self) -> float:
        """Median time for one image, ms."""
        return statistics.median(self.milliseconds)


def maps_of(path: Path, student: StudentFile, only: Sequence[str]) -> Maps:
    """MAP of a run's students of the exported one's size, else what the file says."""
    if (path / "results.json").is_file():
        results = read_results(path / "results.json")
        size = student.metadata.input_size
        own = {key: one for key, one in results.variants.items() if one.input_size == size}
        named = {TEACHER if key == TEACHER else one.method: one for key, one in own.items()}
        wanted = only or [name for name in named if name != TEACHER]
        return {name: tuple(named[name].values("map")) for name in wanted}
    said, variant = student.metadata.metrics, student.metadata.provenance.variant.split("@")[0]
    found = {PLAIN: said.baseline_test_map, variant: said.test_map}
    known = {name: (value,) for name, value in found.items() if value is not None}
    if not known:
        raise SystemExit(
            f"{path}: expected results.json beside export/, or a file that knows its test mAP;"
            " found neither: name the folder of a finished run"
        )
    return known


def measure(given: Sequence[str], rounds: int, images: int) -> list[Student]:
    """Time all students in turn, so that all meet the same disturbances."""
    files, only = [], []
    for text in given:
        group, _, rest = text.rpartition("=")
        name, _, methods = rest.partition("@")
        only.append([method for method in methods.split(",") if method])
        files.append((group, Path(name), open_student(find_student(Path(name)), threads=1)))
    times: list[list[float]] = [[] for _ in files]
    for turn in range(rounds + 1):
        for (_, _, file), spent in zip(files, times, strict=True):
            side = file.metadata.input_size
            pixels = np.random.default_rng(turn).normal(size=(1, 3, side, side)).astype(np.float32)
            each = []
            for _ in range(images):
                start = time.perf_counter()
                file.session.run([OUTPUT], {INPUT: pixels})
                each.append(1000 * (time.perf_counter() - start))
            if turn:  # the first is not counted
                spent.append(statistics.median(each))
    return [
        Student(
            group,
            str(path),
            file.metadata.provenance.backbone,
            file.metadata.input_size,
            find_student(path).stat().st_size / 1e6,
            maps_of(path, file, methods),
            spent,
        )
        for (group, path, file), methods, spent in zip(files, only, times, strict=True)
    ]


def draw(students: Sequence[Student], path: Path) -> None:
    """A panel per group, a line per method, milliseconds on a logarithmic axis."""
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, NullLocator  # noqa: PLC0415

    groups = list(dict.fromkeys(student.group for student in students))
    methods = list(dict.fromkeys(name for student in students for name in student.maps))
    methods.sort(key=lambda name: (name == PLAIN) - (name == TEACHER))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "latency", "font.size": 9.5}):
        figure = Figure(figsize=(1.2 + 4 * len(groups), 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for group, axes in zip(groups, panels, strict=True):
            shown = [student for student in students if student.group == group]
            for method in methods:
                _line(axes, shown, method, COLOURS[methods.index(method) % len(COLOURS)])
            _sides(axes, shown)
            axes.set_title(group)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.margins(0.12)
            axes.grid(visible=True, alpha=0.25)
        panels[0].set_ylabel("mAP on test images in %")
        panels[-1].legend(frameon=False, loc="lower right")
        figure.supxlabel("milliseconds per image, one core, ONNX Runtime", fontsize=9.5)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Title": "mAP against milliseconds"})


def _line(axes: Any, students: Sequence[Student], method: str, colour: str) -> None:
    own = sorted((s for s in students if method in s.maps), key=lambda s: s.input_size)
    seeds = [[100 * value for value in s.maps[method]] for s in own]
    means = [statistics.mean(values) for values in seeds]
    reach = [[m - min(v), max(v) - m] for m, v in zip(means, seeds, strict=True)]
    if own:
        label = LABELS.get(method, f"distilled ({method})")
        axes.errorbar(
            [student.middle for student in own], means, np.array(reach).T,
            fmt="o-", markersize=4, color=colour, label=label, capsize=3,
        )  # fmt: skip


def _sides(axes: Any, students: Sequence[Student]) -> None:
    """Each input size once, over the best student that has it."""
    for side in sorted({student.input_size for student in students}):
        same = [student for student in students if student.input_size == side]
        best = max(statistics.mean(values) for s in same for values in s.maps.values())
        axes.annotate(
            f"{side} px", (statistics.median(s.middle for s in same), 100 * best),
            xytext=(0, 9), textcoords="offset points", ha="center", fontsize=8,
        )  # fmt: skip


def at_hand() -> list[str]:
    """Finished runs below `RUNS`, as they are named on the command line."""
    found = sorted(path.parent for path in RUNS.glob("*/*/results.json"))
    return [
        f"{run.parent.name}={run}" + ("@" + TEACHER if run.name.startswith("frozen") else "")
        for run in found
    ]


def main() -> None:
    """Time, draw and write."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("students", nargs="*", metavar="[GROUP=]PATH[@METHOD,…]")
    options.add_argument("--quick", action="store_true", help="one round")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--images", type=int, default=20, help="per round; their median counts")
    options.add_argument("--plot", type=Path, default=Path("docs/images/latency.svg"))
    options.add_argument("--out", type=Path, default=Path("bench_latency.json"))
    chosen = options.parse_args()
    given = chosen.students or at_hand()
    if not given:
        print(f"no finished runs below {RUNS}/GROUP/: nothing to measure")
        sys.exit(0)
    students = measure(given, 1 if chosen.quick else chosen.rounds, chosen.images)
    draw(students, chosen.plot)
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "machine": machine(),
        "students": [asdict(student) for student in students],
    }
    chosen.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for s in students:
        means = ", ".join(f"{k} {100 * statistics.mean(v):.1f} %" for k, v in s.maps.items())
        low, high = min(s.milliseconds), max(s.milliseconds)
        print(f"{s.group or s.path}: {s.backbone} {s.input_size} px, {s.megabytes:.1f} MB,"
              f" {s.middle:.2f} ms ({low:.2f} to {high:.2f}); {means}")  # fmt: skip


if __name__ == "__main__":
    main()
