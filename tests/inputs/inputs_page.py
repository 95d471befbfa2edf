"""The table of inputs in ``docs/reliability.md``: what was given, and what the command made of it.

``python tests/inputs/inputs_page.py`` tries all cases and writes the table anew.
"""

import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- inputs: made by tests/inputs/inputs_page.py -->", "<!-- end of inputs -->"


def groups() -> dict:
    """Cases by heading."""
    import columns
    import exports
    import label_cells
    import more_exports
    import more_tables
    import pictures
    import verbs

    return {
        "Cells of tags": (*label_cells.CASES, *more_tables.CELLS),
        "Columns": columns.COLUMNS,
        "Splits and columns beside classes": (*columns.SPLITS, *more_tables.COLUMNS),
        "Files of tables": (*columns.FILES, *more_tables.FILES),
        "COCO": (*exports.COCO, *more_exports.COCO),
        "PASCAL VOC": (*exports.VOC, *more_exports.VOC),
        "Folders": (*exports.FOLDERS, *more_exports.FOLDERS),
        "Labelling tools and lists": (*exports.TOOLS, *more_exports.TOOLS),
        "Images": pictures.IMAGES,
        "Names": pictures.NAMES,
        "`predict`": (*verbs.PREDICT, *more_exports.PREDICT),
        "`train`, refused with nothing left behind": verbs.TRAIN,
        "`baseline`, the first lines": verbs.STARTS,
        "Other verbs": verbs.OTHERS,
        "Terminals of other encodings, in processes of their own": verbs.STREAMS,
    }


def code(text: str) -> str:
    """A code span that holds any text inside a table's cell."""
    if not text:
        return ""
    text = " ".join(text.split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def line(case, row) -> str:
    """A row of the page."""
    words = " ".join(f"'{w}'" if set(w) & set(" *[]|;?'") else w for w in case.words)
    given = case.given.replace("|", "\\|")
    words = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
    told = row.told if len(row.told) <= 300 else row.told[:299] + "…"
    return f"| {given} | {code(words)} | {row.code} | {code(told)} |"


def section(tried) -> str:
    """All groups as tables.

    Args:
        tried: Heading -> (case, row) pairs.
    """
    total = sum(map(len, tried.values()))
    good = sum(row.code == 0 for pairs in tried.values() for _, row in pairs)
    text = [
        f"{total} inputs, modelled on public bug reports of people who do this job: {good} are read"
        f" or done, {total - good} refused with an error that says what to do. None ended in a"
        " traceback, in none did boxless guess without saying so. Of each outcome the error and its"
        " hint are shown, or what was read: classes with their images, splits, what was taken for"
        " what, notes.",
    ]
    for heading, pairs in tried.items():
        text += ["", f"### {heading}", "", "| given | command | exit | outcome |"]
        text += ["| --- | --- | --- | --- |", *(line(case, row) for case, row in pairs)]
    return "\n".join(text) + "\n"


def written() -> str:
    """The part of the page that is made here."""
    return PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip() + "\n"


def main(*headings: str) -> None:
    """Try the groups of these headings, or all and write the page."""
    from workshop import attempt

    with tempfile.TemporaryDirectory() as place:
        tried, wrong = {}, 0
        for number, (heading, cases) in enumerate(groups().items()):
            if headings and heading not in headings:
                continue
            tried[heading] = []
            for count, case in enumerate(cases):
                folder = Path(place).resolve() / f"{number}-{count}"
                folder.mkdir()
                row = attempt(case, folder)
                tried[heading].append((case, row))
                if row.faults:
                    wrong += 1
                    print(f"{heading}: {case.given}: {row}", file=sys.stderr, flush=True)
    if headings:
        print(section(tried))
        raise SystemExit(bool(wrong))
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{section(tried)}\n{END}{after}", "utf-8")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main(*sys.argv[1:])
