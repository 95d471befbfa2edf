"""The site of these pages: all in its contents, every link leads somewhere, offline.

`make docs` builds it with warnings as errors; here nothing of Sphinx is needed.
"""

import re
import runpy
from importlib import import_module
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT
from test_doctests import PUBLIC

DOCS = ROOT / "docs"
PAGES = [path for path in DOCUMENTS if DOCS in path.parents]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def contents(page):
    """Names, relative to docs/, of what the table of contents of a page lists."""
    found = []
    for block in re.findall(r"```\{toctree}\n(.*?)```", page.read_text("utf-8"), re.S):
        for line in re.findall(r"^[^:\n].*$", block, re.M):
            pattern = re.sub(r".*<(.*)>", r"\1", line)
            where = page.parent.relative_to(DOCS) / pattern
            matches = [*DOCS.glob(f"{where}.md"), *DOCS.glob(f"{where}.ipynb")]
            found += [path.relative_to(DOCS) for path in matches] or [where]
    return found


def test_every_page_is_in_the_contents_once():
    listed = [*contents(DOCS / "index.md"), *contents(DOCS / "api" / "index.md")]
    pages = [path.relative_to(DOCS) for path in [*PAGES, *DOCS.glob("notebooks/*.ipynb")]]
    pages.remove(Path("index.md"))
    assert sorted(listed) == sorted(pages)


def anchors(path):
    """What a link may end in: GitHub's names of the headings, which the site has too."""
    heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text("utf-8"), flags=re.S | re.M)
    for link in LINK.findall(text):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_pages_are_short():
    prose = {path.name: re.sub(r"(?m)^\|.*\n", "", path.read_text("utf-8")) for path in PAGES}
    assert [name for name, text in prose.items() if len(text.splitlines()) > 300] == []


@pytest.mark.parametrize("room", ["boxless", *PUBLIC])
def test_public_names_are_in_the_reference(room):
    page = (DOCS / "api" / f"{room.rpartition('.')[2]}.md").read_text("utf-8")
    named = set(re.findall(r"\.\. auto(?:class|function):: (\w+)$", page, re.M))
    assert named == {name for name in import_module(room).__all__ if not name.startswith("_")}


def test_nothing_is_asked_of_other_hosts():
    settings = runpy.run_path(str(DOCS / "conf.py"))
    assert "sphinx.ext.intersphinx" not in settings["extensions"]
    assert settings["nb_ipywidgets_js"] == {}
    texts = "".join(path.read_text("utf-8") for path in PAGES)
    assert not re.search(r"!\[[^]]*]\(https?:", texts)
