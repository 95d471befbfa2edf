"""Inputs as people have them: each is read as it is meant, or refused with what to do."""

import pytest
from inputs_page import code, groups, line, written
from workshop import Row, attempt

ALL = [(heading, case) for heading, cases in groups().items() for case in cases]


@pytest.mark.parametrize(
    "case", [case for _, case in ALL], ids=[f"{heading}: {case.given}" for heading, case in ALL]
)
def test_outcome(case, tmp_path):
    row = attempt(case, tmp_path)
    assert not row.faults, row.told


def test_the_page_has_every_case_and_no_other():
    """``python tests/inputs/inputs_page.py`` writes it anew."""
    rows = [text for text in written().splitlines() if text.startswith("| ")]
    rows = [text for text in rows if not text.startswith(("| given |", "| --- |"))]
    assert len(rows) == len(ALL) >= 150
    for (_, case), row in zip(ALL, rows, strict=True):
        start = line(case, Row(case.code, "")).removesuffix(" |")
        assert row.startswith(start), row
        for text in case.right:
            assert code(text).strip("`") in row or row.endswith("…` |"), row


def test_no_case_leaves_open_what_is_right():
    assert not [case.given for _, case in ALL if not any(case.right)]
