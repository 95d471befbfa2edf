"""Fuzz the readers with atheris (libFuzzer): each target for some seconds, in its own process.

    make fuzz SECONDS=60
    python fuzz/run.py --seconds 60 --out fuzz.json [TARGET …]

Prints how often each target was executed. An input that is answered with anything but an error of
boxless is written to ``fuzz/findings`` and ends the command with 1.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def fuzz_one(name: str, words: list[str]) -> None:
    """Fuzz one target; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["boxless", "defusedxml"]):
        from targets import TARGETS
    target = TARGETS[name]
    atheris.Setup([sys.argv[0], *words], target)
    atheris.Fuzz()


def run_target(name: str, seconds: int) -> tuple[int, float, str]:
    """Executions, wall time, and what was found; in a process of its own."""
    from targets import TARGETS

    findings = HERE / "findings"
    findings.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[name].seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        words = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=4096"]
        prefix = f"-artifact_prefix={findings}/{name.replace(' ', '-')}-"
        command = [sys.executable, __file__, "--one", name, *words, prefix, folder]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
    found = "" if done.returncode == 0 else done.stderr[-3000:]
    return int(counts[-1]) if counts else 0, time.monotonic() - began, found


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        fuzz_one(sys.argv[2], sys.argv[3:])
        return
    from targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    asked = parser.parse_args()
    rows, bad = {}, False
    for name in asked.targets or TARGETS:
        executions, seconds, found = run_target(name, asked.seconds)
        rows[name] = {"executions": executions, "seconds": round(seconds, 1), "found": bool(found)}
        print(f"{name:12} {executions:>10,} executions in {seconds:5.0f} s"
              f"  {'FOUND' if found else 'nothing found'}", flush=True)  # fmt: skip
        if found:
            bad = True
            print(found, file=sys.stderr)
    total = sum(row["executions"] for row in rows.values())
    print(
        f"in all {total:,} executions; targets with findings:"
        f" {sum(row['found'] for row in rows.values())}"
    )
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps({"targets": rows, "executions": total}, indent=1))
    raise SystemExit(bad)


if __name__ == "__main__":
    main()
