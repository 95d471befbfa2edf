"""What all speed benchmarks share: interleaved timing, figures with bar and aim, table and JSON."""

import argparse
import json
import os
import platform
import resource
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import active_children
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from boxless.data.manifest import Manifest
from boxless.data.sources import load_manifest


@dataclass(frozen=True)
class Figure:
    """One figure, measured several times.

    Attributes:
        name: What it is, with unit or "a / b" for a ratio.
        values: One value a round.
        better: Which direction is good; None = only reported.
        bar: What must be reached.
        aim: What is aimed at.
        facts: Whatever belongs to it: seconds of both sides, bytes, the bound.
    """

    name: str
    values: Sequence[float]
    better: Literal["higher", "lower"] | None = None
    bar: float | None = None
    aim: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def reached(self, goal: float | None) -> bool | None:
        """Whether the median reaches a goal; None where there is none."""
        if goal is None or self.better is None:
            return None
        middle = statistics.median(self.values)
        return middle >= goal if self.better == "higher" else middle <= goal

    def as_json(self) -> dict[str, Any]:
        """Plain values for the JSON file."""
        return {
            "name": self.name,
            "min": min(self.values),
            "median": statistics.median(self.values),
            "max": max(self.values),
            "rounds": len(self.values),
            "better": self.better,
            "bar": self.bar,
            "aim": self.aim,
            "bar_reached": self.reached(self.bar),
            "aim_reached": self.reached(self.aim),
            **({"facts": dict(self.facts)} if self.facts else {}),
        }


def cpu_time() -> float:
    """CPU seconds of this process and of its children, those that still run (Linux) too."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    alive = (_running_time(child.pid) for child in active_children())
    return sum(found.ru_utime + found.ru_stime for found in spent) + sum(alive)


def _running_time(pid: int | None) -> float:
    """CPU seconds of a process that runs; 0 where the system does not say."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Clock:
    """What is counted: wall-clock time or, with ``--cpu``, CPU time; see `cpu_time`."""

    now: Callable[[], float] = staticmethod(time.perf_counter)

    @classmethod
    def name(cls) -> str:
        """The clock, for the JSON file."""
        return "CPU time" if cls.now is cpu_time else "wall-clock time"


class _UseCpuTime(argparse.Action):
    def __call__(self, *_: object) -> None:
        Clock.now = staticmethod(cpu_time)


def seconds(call: Callable[[], Any], repeats: int = 1) -> float:
    """Time of one call, the mean over `repeats` in a row; see `Clock`."""
    start = Clock.now()
    for _ in range(repeats):
        call()
    return (Clock.now() - start) / repeats


def interleaved(
    calls: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    repeats: Mapping[str, int] | None = None,
) -> dict[str, list[float]]:
    """Time several calls in turn, so that all of them see the same disturbances.

    Args:
        calls: By name.
        rounds: How often each is timed, after one call that is not.
        repeats: Calls in a row a round, for short ones; the mean counts.

    Returns:
        Seconds by name, one value a round.
    """
    for call in calls.values():
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(seconds(call, (repeats or {}).get(name, 1)))
    return found


def ratio(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Ratios round by round."""
    return [a / b for a, b in zip(first, second, strict=True)]


def parser(text: str | None, name: str) -> argparse.ArgumentParser:
    """Arguments that every speed benchmark knows."""
    options = argparse.ArgumentParser(description=(text or name).splitlines()[0])
    options.add_argument("--quick", action="store_true", help="a few seconds, to see that it works")
    options.add_argument(
        "--cpu",
        nargs=0,
        action=_UseCpuTime,
        help="count CPU time, which other processes disturb less; set OMP_NUM_THREADS=1 with it",
    )
    options.add_argument("--rounds", type=int, default=0, help="0 = the benchmark's own choice")
    options.add_argument("--out", type=Path, default=Path(f"bench_{name}.json"))
    return options


def publish(title: str, figures: Sequence[Figure], options: argparse.Namespace) -> None:
    """Print the table and write the JSON file."""
    table = Table(title=title)
    for column in ("figure", "bar", "aim", "min", "median", "max", ""):
        table.add_column(column, justify="left" if column in ("figure", "") else "right")
    for figure in figures:
        values = (min(figure.values), statistics.median(figure.values), max(figure.values))
        table.add_row(
            figure.name,
            *(_goal(figure, goal) for goal in (figure.bar, figure.aim)),
            *(f"{value:.4g}" for value in values),
            _verdict(figure),
        )
    Console(width=130).print(table)
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "quick": options.quick,
        "clock": Clock.name(),
        "machine": machine(),
        "figures": [figure.as_json() for figure in figures],
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.out}", file=sys.stderr)


def machine() -> dict[str, Any]:
    """What the numbers were measured on, and how busy it was just then."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "python": platform.python_version(),
    }
    for name in ("torch", "torchvision", "onnxruntime", "numpy", "PIL"):
        if name in sys.modules:
            facts[name] = sys.modules[name].__version__
    return facts


def voc_mini() -> Path | None:
    """Folder of the real photographs beside the project, if they are at hand."""
    root = Path(os.environ.get("BOXLESS_DATA", "../shared/data"))
    folder = root / "voc-mini" / "VOCdevkit" / "VOC2007"
    return folder.resolve() if folder.is_dir() else None


def some_images(spec: str, images: int) -> Manifest:
    """The first training images of a data set and eight others, so that no step sees more."""
    manifest = load_manifest(spec)
    parts = (manifest.split("train").image_ids[images:], manifest.split("test").image_ids[8:])
    return manifest.without([*parts[0], *parts[1]])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _goal(figure: Figure, goal: float | None) -> str:
    if goal is None:
        return ""
    return f"{'>=' if figure.better == 'higher' else '<='} {goal:g}"


def _verdict(figure: Figure) -> str:
    if figure.reached(figure.bar) is None:
        return "report"
    if not figure.reached(figure.bar):
        return "bar missed"
    return "bar reached" if figure.reached(figure.aim) is False else "reached"
