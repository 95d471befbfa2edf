"""The Dockerfile, without Docker: what it copies, pins and starts is there."""

import json
import re

import pytest
from documents import ROOT

from boxless.cli.app import command_line

TEXT = (ROOT / "Dockerfile").read_text("utf-8")


def stages():
    """Each stage's name, what it starts from, and its instructions in order."""
    found = {}
    for line in re.sub(r"^#.*\n", "", TEXT, flags=re.M).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            start, _, name = rest.partition(" AS ")
            instructions = found[name] = [("FROM", start)]
        elif word and found:
            instructions.append((word, rest))
    return found


def inherited(name):
    """Instructions of a stage and of those it is built upon."""
    own = stages()[name]
    start = own[0][1]
    return [*(inherited(start) if start in stages() else []), *own]


@pytest.mark.parametrize("name", ["train", "serve"])
def test_no_image_runs_as_root(name):
    users = [rest for word, rest in inherited(name) if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")


@pytest.mark.parametrize("name", ["train", "serve"])
def test_what_is_started_parses(name):
    last = {word: rest for word, rest in inherited(name) if word in ("ENTRYPOINT", "CMD")}
    program, *words = json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"])
    assert program == "boxless"
    command_line().parse_args(words, exit_on_error=False, print_error=False)


def test_what_is_copied_is_there_and_not_ignored():
    allowed = (ROOT / ".dockerignore").read_text("utf-8").split()
    sources = []
    for word, rest in (line for stage in stages().values() for line in stage):
        if word == "COPY" and "--from" not in rest:
            sources += rest.split()[:-1]
    assert "src" in sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed


def test_every_stage_that_is_named_is_defined_before():
    names = list(stages())
    for place, (name, lines) in enumerate(stages().items()):
        for word, rest in lines:
            for source in re.findall(r"--from=(\S+)", rest):
                assert source in names[:place], name
            if word == "FROM" and not rest.startswith("python:${PYTHON}-slim"):
                assert rest in names[:place], name


def test_packages_are_pinned_and_no_cache_is_kept():
    installs = [rest for stage in stages().values() for _, rest in stage if "pip install" in rest]
    assert len(installs) == 2
    assert all("-c constraints.txt" in line and "--no-cache-dir" in line for line in installs)
    extras = set(re.findall(r"\[([^]]*)]", " ".join(installs)))
    known = (ROOT / "pyproject.toml").read_text("utf-8")
    assert extras == {"train,serve", "serve"}
    assert all(f"\n{extra} = [" in known for extra in ("train", "serve"))
