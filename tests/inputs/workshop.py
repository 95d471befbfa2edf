"""Where an input is tried: a folder of its own, and the real command line in this process."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

Content = str | bytes | Callable[[Path], object] | None  # None: no such file
ENVIRONMENT = {"COLUMNS": "200", "NO_COLOR": "1", "BOXLESS_API_KEY": ""}


@dataclass(frozen=True)
class Case:
    """An input, and what has to become of it.

    ``right`` are texts that the outcome must hold; ``files`` what lies in the folder, by path.
    ``stays`` are files that must be the same afterwards; ``gone`` are paths that must not be there.
    """

    given: str
    words: tuple[str, ...]
    right: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    code: int = 0
    needs: bool = False  # show what training would stumble over
    stays: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    stdin: bytes = b""
    environ: Mapping[str, str] = field(default_factory=dict)  # in a process of its own
    to: str = ""  # what follows this text differs between machines


@dataclass(frozen=True)
class Row:
    """What happened: exit code (None: a traceback), what the user was told, what is wrong."""

    code: int | None
    told: str
    faults: tuple[str, ...] = ()


@cache
def picture(number: int = 0, size: tuple[int, int] = (32, 24)) -> bytes:
    """A JPEG whose content depends on the number."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
    return saved(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), "JPEG")


def saved(image: Image.Image, kind: str, **options) -> bytes:
    """An image as a file of that kind."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


FOUR = {f"{name}.jpg": picture(number) for number, name in enumerate("abcd")}
PARTS = ("train", "train", "test", "test")


def table(*rows, mark=",") -> str:
    """Rows as a CSV file, quoted where that is needed."""
    file = io.StringIO()
    csv.writer(file, delimiter=mark, lineterminator="\n").writerows(rows)
    return file.getvalue()


def words_of(text) -> tuple[str, ...]:
    return tuple(shlex.split(text)) if isinstance(text, str) else tuple(text)


def case(given, words, *right, files=None, **options) -> Case:
    return Case(given, words_of(words), right, files or {}, **options)


def check(given, text, *right, files=None, spec="csv:t.csv", name="t.csv", **options) -> Case:
    """``data check`` of a table beside four images."""
    files = {**FOUR, name: text, **(files or {})}
    return Case(given, ("data", "check", spec), right, files, **options)


def refused(given, text, *right, **options) -> Case:
    return check(given, text, *right, code=2, **options)


def write(folder: Path, files: Mapping[str, Content]) -> None:
    for name, content in files.items():
        if content is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def _place(folder: Path, stdin: bytes):
    """Standing in a folder, with streams that are kept."""
    here, environ = Path.cwd(), dict(os.environ)
    streams = sys.stdin, sys.stdout, sys.stderr
    texts = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    os.chdir(folder)
    os.environ.update(ENVIRONMENT)
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    sys.stdout, sys.stderr = texts
    try:
        yield lambda: [text.buffer.getvalue().decode() for text in texts]
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        os.chdir(here)
        os.environ.clear()
        os.environ.update(environ)


def attempt(case: Case, folder: Path) -> Row:
    """Write the files, run the command, and say what happened."""
    write(folder, case.files)
    before = {name: (folder / name).read_bytes() for name in case.stays}
    words = [*case.words, "--json"] if case.words[:2] == ("data", "check") else [*case.words]
    code, out, err = (_elsewhere if case.environ else _here)(case, words, folder)
    faults = [f"{n} was changed" for n, old in before.items() if (folder / n).read_bytes() != old]
    faults += [f"{name} is there" for name in case.gone if (folder / name).exists()]
    told = err if code is None else _refusal(err) if code else _read(case, out, err)
    told = told.replace(f"{folder}/", "").replace(str(folder), ".")
    told = "".join(c if c.isprintable() or c == "\u200d" else ascii(c)[1:-1] for c in told)
    if case.to in told:
        told = told[: told.index(case.to) + len(case.to)] if case.to else told
    faults += [f"exit code {code}, not {case.code}"] if code != case.code else []
    faults += [f"does not say {text!r}" for text in case.right if text not in told]
    return Row(code, told, tuple(faults))


def _here(case: Case, words: list[str], folder: Path) -> tuple[int | None, str, str]:
    """Exit code and streams of the command in this process; no code: the error nobody foresaw."""
    from boxless.cli.app import main

    with _place(folder, case.stdin) as streams:
        try:
            main(words)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0, *streams()
        except Exception as error:
            return None, "", f"{type(error).__name__}: {error}"
        return 0, *streams()


def _elsewhere(case: Case, words: list[str], folder: Path) -> tuple[int | None, str, str]:
    environ = {**os.environ, **ENVIRONMENT, **case.environ}
    command = [sys.executable, "-m", "boxless", *words]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
    encoding = case.environ.get("PYTHONIOENCODING", "utf-8")
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    return (None, "", err) if "Traceback" in err else (done.returncode, out, err)


def _refusal(err: str) -> str:
    """The first line of the error, and of its hint; all of what could not be read."""
    lines = err.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("error: ")]
    if not starts:
        return "; ".join(lines)
    first = starts[0]
    hint = next((n for n, line in enumerate(lines) if n > first and line.startswith("  -> ")), None)
    details = [line.strip() for line in lines[first + 1 : hint]][:1]
    hints = [] if hint is None else [lines[hint].strip()]
    return " ".join((*lines[first : first + 1], *details, *hints))


def _read(case: Case, out: str, err: str) -> str:
    """What was read, made or said."""
    if case.words[:2] != ("data", "check"):
        lines = [line.strip() for line in (*out.splitlines(), *err.splitlines()) if line.strip()]
        openings = [one for one in lines if one.startswith(("read as:", "note:", "for training:"))]
        return "; ".join(openings or lines[:4])
    report = json.loads(out)
    counts = (f"{c['name']} {sum(c['present'].values())}" for c in report["classes"])
    unknown = sum(sum(c["unknown"].values()) for c in report["classes"])
    parts = ", ".join(f"{name} {count}" for name, count in report["images"].items())
    told = [", ".join(counts) + (f"; unknown {unknown}" if unknown else ""), parts]
    told += [*report["reading"], *report["notes"]]
    told += report["needs"] if case.needs else []
    told += [f"the same file in two splits: {' = '.join(ids)}" for ids in report["duplicates"]]
    if "untagged" in report:
        told.append(f"{report['untagged']['images']} untagged")
        for one, other, split in report["untagged"]["duplicates"]:
            told.append(f"{one} shows the same picture as {other} ({split})")
    return "; ".join(told)
