"""Pictures of suspicious tags, in a run's report and on a page of their own."""

import numpy as np
import pytest
from test_html import Page

from boxless.data.suspects import Suspect, ToTag
from boxless.report.gallery import Card
from boxless.report.html import write_report, write_suspects_page
from boxless.report.results import parse_results
from boxless.types import ImageRecord


def picture(side=900):
    return np.random.default_rng(0).integers(0, 255, (side, side // 2, 3), np.uint8)


def record(image_id):
    return ImageRecord(image_id, f"/photos/{image_id}", "train", (1, 0))


@pytest.fixture
def suspects():
    wrong = Suspect(record("a<b>.png"), "cat & <dog>", 1, 0.034, 1)
    missing = Suspect(record("c.png"), "cow", 0, 0.97, 2)
    return [Card(picture(), one) for one in (wrong, missing)]


def read(file):
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    return page


def test_the_page_says_what_is_suspicious_and_why(suspects, tmp_path):
    file = tmp_path / "suspects.html"
    images = [Card(picture(), ToTag(record("d.png"), 1, (("cow", 0.51), ("cat", 0.2))))]
    write_suspects_page(file, "my <photos>", suspects=suspects, to_tag=images, listed=1234)
    page = read(file)
    for words in (
        "Tags of my <photos> to check", "cat & <dog> probably wrong tag", "1 · a<b>.png",
        "tagged, teacher 3 %", "cow probably missing tag", "not tagged, teacher 97 %", "1,234",
        "cow 51 %, cat 20 %",
    ):  # fmt: skip
        assert words in page.text, words
    assert page.tags.count("img") == 3
    assert 'loading="lazy"' not in file.read_text(encoding="utf-8")  # printed with its pictures


def test_nothing_to_tag_is_not_spoken_of(suspects, tmp_path):
    write_suspects_page(tmp_path / "s.html", "x", suspects=suspects, to_tag=(), listed=2)
    assert "to tag next" not in read(tmp_path / "s.html").text


def test_pictures_are_small(suspects):
    assert len(suspects[0].url) < 100_000
    assert len(Card(picture(40), suspects[0].about).url) < 5_000


@pytest.mark.parametrize("shown", [True, False])
def test_the_report_has_a_section_where_there_are_some(make, suspects, tmp_path, shown):
    path = write_report(
        tmp_path,
        parse_results(make()),
        curves={},
        gallery=[],
        suspects=suspects if shown else (),
    )
    page = read(path)
    assert ("suspects" in page.ids) is shown
    assert ("#suspects" in page.addresses) is shown
    assert ("cow probably missing tag" in page.text) is shown
