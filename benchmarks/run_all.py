"""Run every benchmark in this folder, one after the other, and say which failed.

A benchmark is a script ``bench_NAME.py`` that needs no arguments, knows ``--quick``, prints its
numbers, writes them as ``bench_NAME.json`` and exits with 0. They share the machine's cores, so
they never run at the same time.

    python benchmarks/run_all.py [--quick]    all of them
    python benchmarks/run_all.py NAME [NAME]  some of them
    python benchmarks/run_all.py --list       their names and first docstring lines
"""

import argparse
import ast
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PREFIX = "bench_"


def benchmarks(folder: Path) -> dict[str, Path]:
    """Benchmarks of a folder by name, in alphabetical order."""
    return {path.stem.removeprefix(PREFIX): path for path in sorted(folder.glob(f"{PREFIX}*.py"))}


def summary(path: Path) -> str:
    """First line of a script's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "(no docstring)"
    return text.splitlines()[0]


def machine() -> str:
    """What the numbers were measured on, in a line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    python = platform.python_version()
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, OMP_NUM_THREADS {threads}, "
        f"Python {python}"
    )


def run(paths: dict[str, Path], arguments: Sequence[str] = ()) -> dict[str, int]:
    """Run benchmarks, each with the same arguments, and return their exit codes by name."""
    codes = {}
    for name, path in paths.items():
        print(f"\n== {name}: {summary(path)}", flush=True)
        start = time.perf_counter()
        command = [sys.executable, str(path), *arguments]
        codes[name] = subprocess.run(command, check=False).returncode
        seconds = time.perf_counter() - start
        print(f"== {name}: exit {codes[name]} after {seconds:.0f} s", flush=True)
    return codes


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Command line; the exit code is 1 if a benchmark failed and 2 for an unknown name."""
    parser = argparse.ArgumentParser(description="Run the benchmarks of boxless.")
    parser.add_argument("names", nargs="*", help="benchmarks to run; all where none is named")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    parser.add_argument("--quick", action="store_true", help="only see that they work")
    options = parser.parse_args(arguments)
    known = benchmarks(folder)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; known: {', '.join(known) or 'none'}")
    if options.list:
        for name, path in known.items():
            print(f"{name:20} {summary(path)}")
        return 0
    print(machine())
    chosen = {name: known[name] for name in options.names or known}
    codes = run(chosen, ["--quick"] if options.quick else [])
    failed = [name for name, code in codes.items() if code]
    print(f"\n{len(codes) - len(failed)} of {len(codes)} benchmarks ran to the end", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
