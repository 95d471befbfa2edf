"""Kill whole runs of the real command line at random moments of every step, and go on with each.

    python benchmarks/kill_campaign.py --kills 200 --seed 0 --out kill_campaign.json
    python benchmarks/kill_campaign.py --kills 400 --resume --out kill_campaign.json   (200 more)

A run is started, killed in a step, started again by the same command, killed again, and so on
through all steps to its end. Signals: SIGKILL and SIGTERM to the process, SIGINT to its group, as
Ctrl-C in a terminal. Moments: a random time of the step, or just before a random change of the file
system by it. A share of the processes is the plain ``python -m boxless``; the others are forked
from one that has everything imported and differ in nothing else (``tests/cli/preloaded.py``).

After each kill: nothing is damaged (``boxless verify``), no finished step was touched, checkpoints
hold the weights, the optimiser and the random state of the undisturbed run after as many updates,
no worker process lives on, and SIGINT told how to go on. At the end: every file of the run equals
the undisturbed run's byte by byte, but for those that tell how long something took.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from kill_checks import Trace, damaged_files, finished_steps, survivors, touched_steps
from measure import machine

TESTS = Path(__file__).resolve().parents[1] / "tests" / "cli"
sys.path.insert(0, str(TESTS))

from command_line import Done, Preloaded, environment, train_words  # noqa: E402
from same_run import differences  # noqa: E402

STEPS = (
    "proposals", "teacher", "maps", "cache", "students/plain/32px/seed-0",
    "features/regions/32px/seed-0", "students/regions/32px/seed-0",
    "evaluate", "calibrate", "locate", "export", "report",
)  # fmt: skip
START, BETWEEN = "start-up", "between steps"
SIGNALS = {"SIGKILL": 0.45, "SIGTERM": 0.35, "SIGINT": 0.2}
SECONDS = 600  # a safety net: other work may hold the machine
_STEP = re.compile(r"^(\S+) (begins|goes on|done in .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Kill:
    """One process that was killed.

    Attributes:
        life: Number of the run.
        step: What it was doing.
        signal: Name of the signal.
        moment: "time" or "change" (of the file system).
        process: "plain" or "preloaded".
        faults: What was wrong afterwards.
    """

    life: int
    step: str
    signal: str
    moment: str
    process: str
    faults: list[str]


class Plain:
    """Starts ``python -m boxless``; the same interface as `Preloaded`."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "plain.log"

    def start(self, *words: str) -> int:
        """Start a command; returns its process id."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "boxless", *words],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # a shell that works in the background makes its commands deaf to it
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
            )
        return self._process.pid

    def wait(self) -> Done:
        """Wait for the command's end."""
        code = self._process.wait(SECONDS)
        text = self.log.read_text("utf-8")
        return Done(code, text, text)


def recorded_seconds(step: Path) -> float:
    """What a finished step took."""
    return float(json.loads((step / "step.json").read_bytes())["seconds"])


def doing(log: str) -> str:
    """What a command was doing when its log ended."""
    lines = _STEP.findall(log)
    if not lines:
        return START
    step, what = lines[-1]
    return BETWEEN if what.startswith("done") else step


def wait_until(pid: int, true: Callable[[], bool]) -> None:
    """Wait until something is so, or the process has ended."""
    end = time.monotonic() + SECONDS
    while not true() and time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] in "ZX":
                return
        except OSError:
            return
        time.sleep(0.001)


class Campaign:
    """Undisturbed runs to compare with, and runs that are killed.

    Args:
        folder: Where runs and logs go.
        seed: Of all random choices.
        plain: Share of the kills that hit ``python -m boxless``.
        preloaded: Starts commands; by default a new one.
        whole: An undisturbed run; by default it is made in the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        plain: float = 0.1,
        preloaded: Preloaded | None = None,
        whole: Path | None = None,
    ) -> None:
        self.folder, self.seed, self.plain = folder, seed, plain
        folder.mkdir(parents=True, exist_ok=True)
        self.preloaded, self.subprocess = preloaded or Preloaded(folder), Plain(folder)
        self.whole = whole or folder / "undisturbed"
        if not (self.whole / "report.html").exists():
            self._must_end(self.subprocess, train_words(self.whole))
        traced, trace = folder / "traced", folder / "trace"
        if not (traced / "report.html").exists():
            trace.mkdir()
            self._must_end(self.preloaded, self.words(traced, 0), trace=trace)
            if other := differences(traced, self.whole):
                raise SystemExit(f"two undisturbed runs differ in {other}")
        self.trace = Trace.read(trace, traced, STEPS)
        self.seconds = {
            # of the faster one: a run that waits for its signal for too long has ended before
            step: min(max(0.1, recorded_seconds(run / step)) for run in (self.whole, traced))
            for step in STEPS
        }

    @staticmethod
    def _must_end(runner: Plain | Preloaded, words: tuple[str, ...], **options: object) -> None:
        runner.start(*words, **options)
        done = runner.wait()
        if done.code:
            raise SystemExit(f"the undisturbed run failed:\n{done.err}")

    @staticmethod
    def words(out: Path, pause: float, workers: int = 0) -> tuple[str, ...]:
        """The command; neither setting changes what it computes."""
        settings = ("--run.checkpoint_seconds", pause, "--run.workers", workers)
        return train_words(out, *settings)

    def life(self, number: int, most: int) -> tuple[list[Kill], list[str]]:
        """Kill one run in every step until it has ended.

        Args:
            number: Of the run.
            most: Kills after which it is left in peace.

        Returns:
            The kills, and what is wrong with the run that came of it.
        """
        dice = random.Random(f"{self.seed}-{number}")
        out = self.folder / f"life-{number}"
        words = self.words(out, dice.choice((0, 0, 0.05, 0.3)), dice.choice((0, 0, 0, 2)))
        places = [START, START] + [step for step in STEPS for _ in range(dice.randint(1, 2))]
        kills: list[Kill] = []
        for place in places[:most]:
            if (out / place / "step.json").exists() and place in finished_steps(out):
                continue
            kill = self._kill(out, words, place, number, dice)
            if kill is None:
                break
            kills.append(kill)
        done = finished_steps(out)
        self.preloaded.start(*words)
        ended = self.preloaded.wait()
        faults = touched_steps(done, finished_steps(out)) if ended.code == 0 else [ended.err]
        if not faults:
            faults = [f"differs: {name}" for name in differences(out, self.whole)]
        if not faults and not any(kill.faults for kill in kills):
            shutil.rmtree(out)
        return kills, faults

    def _kill(
        self, out: Path, words: tuple[str, ...], place: str, life: int, dice: random.Random
    ) -> Kill | None:
        """Start the command, kill it in a step, and look; None if it ended by itself."""
        name = dice.choices(list(SIGNALS), list(SIGNALS.values()))[0]
        plain = dice.random() < self.plain
        at_change = not plain and place != START and name != "SIGINT" and dice.random() < 0.5
        if place == START and name == "SIGINT":
            name = "SIGKILL"  # until Python itself has started there is nobody to answer
        before = finished_steps(out)
        runner = self.subprocess if plain else self.preloaded
        how = getattr(signal, name)
        if at_change:
            change = dice.randint(1, self.trace.changes[place])
            options = {"after": change, "below": out, "since": out / place, "signal": how}
            pid = self.preloaded.start(*words, **options)
        else:
            pid = runner.start(*words)
            self._strike(pid, runner, place, how, dice)
        done = runner.wait()
        if done.code == 0:
            return None
        expected = 130 if name == "SIGINT" else -how
        faults = [] if done.code == expected else [f"exit code {done.code}:\n{done.err}"]
        if name == "SIGINT" and ("Traceback" in done.err or "run the same command" not in done.err):
            faults.append(f"SIGINT was answered with:\n{done.err}")
        faults += survivors(pid) + damaged_files(out) + self.trace.strange_checkpoints(out)
        faults += touched_steps(before, finished_steps(out))
        moment = "change" if at_change else "time"
        return Kill(life, doing(done.err), name, moment, "plain" if plain else "preloaded", faults)

    def _strike(
        self, pid: int, runner: Plain | Preloaded, place: str, how: int, dice: random.Random
    ) -> None:
        """Send a signal at a random time of a step."""
        log, longest = runner.log, 4.0 if runner is self.subprocess else 0.4
        if place != START:
            longest = self.seconds[place]
            wait_until(pid, lambda: log.exists() and doing(log.read_text("utf-8")) == place)
        end = time.monotonic() + dice.uniform(0, longest)
        wait_until(pid, lambda: time.monotonic() >= end)
        try:
            os.killpg(pid, how) if how == signal.SIGINT else os.kill(pid, how)
        except ProcessLookupError:  # it has ended by itself
            return


def table(kills: list[Kill]) -> str:
    """Kills by step and signal."""
    count = Counter((kill.step, kill.signal) for kill in kills)
    rows = [f"{'step':18}" + "".join(f"{name:>9}" for name in SIGNALS) + f"{'all':>7}"]
    for step in (START, *STEPS, BETWEEN):
        numbers = [count[step, name] for name in SIGNALS]
        rows.append(f"{step:18}" + "".join(f"{n:9}" for n in numbers) + f"{sum(numbers):7}")
    sums = [sum(count[step, name] for step in (START, *STEPS, BETWEEN)) for name in SIGNALS]
    return "\n".join([*rows, f"{'all':18}" + "".join(f"{n:9}" for n in sums) + f"{sum(sums):7}"])


def report(kills: list[Kill], lives: list[list[str]], seed: int) -> dict[str, object]:
    """All figures, for the JSON file."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "seed": seed,
        "runs": len(lives),
        "runs_equal": sum(not faults for faults in lives),
        "kills": len(kills),
        "survived": sum(not kill.faults for kill in kills),
        "plain": sum(kill.process == "plain" for kill in kills),
        "at_changes": sum(kill.moment == "change" for kill in kills),
        "lives": lives,
        "each": [asdict(kill) for kill in kills],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="in all, those resumed included")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="begin no further run after so long")
    parser.add_argument("--plain", type=float, default=0.1, help="share of plain processes")
    parser.add_argument("--resume", action="store_true", help="go on from --out")
    parser.add_argument("--work", type=Path, help="folder for runs, kept; else a temporary one")
    parser.add_argument("--out", type=Path, default=Path("kill_campaign.json"))
    asked = parser.parse_args()
    kills: list[Kill] = []
    lives: list[list[str]] = []
    if asked.resume and asked.out.exists():
        known = json.loads(asked.out.read_bytes())
        kills, lives = [Kill(**entry) for entry in known["each"]], known["lives"]
    end = time.monotonic() + (asked.seconds or float("inf"))
    with tempfile.TemporaryDirectory() as name:
        campaign = Campaign(asked.work or Path(name), seed=asked.seed, plain=asked.plain)
        while len(kills) < asked.kills and time.monotonic() < end:
            new, faults = campaign.life(len(lives), asked.kills - len(kills))
            kills += new
            lives.append(faults)
            wrong = [*faults, *(fault for kill in new for fault in kill.faults)]
            print(
                f"run {len(lives)}: {len(new)} kills, {len(kills)} in all, {len(wrong)} faults",
                flush=True,
            )
            print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
            asked.out.write_text(json.dumps(report(kills, lives, asked.seed), indent=1) + "\n")
        campaign.preloaded.close()
    print(table(kills))
    bad = sum(bool(kill.faults) for kill in kills) + sum(bool(faults) for faults in lives)
    print(f"{len(kills)} kills of {len(lives)} runs; {bad} left something wrong")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
