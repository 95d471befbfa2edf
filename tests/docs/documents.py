"""What the documents tell a reader to type: their Python blocks and their commands."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = r"(?:sh|bash|console)"


def blocks(path, info):
    """Fenced blocks of a document with such an info string."""
    return re.findall(rf"^ *```{info}\n(.*?)^ *```", path.read_text("utf-8"), re.M | re.S)


def commands():
    """(document, words after ``boxless``) of every command in a shell block."""
    found = []
    for path in DOCUMENTS:
        values = {}
        for line in "".join(blocks(path, SHELL)).replace("\\\n", " ").splitlines():
            if loop := re.match(r"for (\w+) in ([^;]*)", line):
                values[loop[1]] = loop[2].split()[0]
            if assigned := re.match(r'(\w+)="([^"]*)"$', line):
                values[assigned[1]] = assigned[2]
            for name, value in values.items():
                line = line.replace(f"${name}", value)  # noqa: PLW2901
            words = shlex.split(line, comments=True)
            if "boxless" in words[:-1] and "install" not in words:
                found.append((path.name, words[words.index("boxless") + 1 :]))
    return found
