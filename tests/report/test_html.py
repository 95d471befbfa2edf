"""The page is whole, loads nothing, and shows what the results say."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from boxless.inference.labels import Label
from boxless.report.gallery import GalleryItem
from boxless.report.html import TagsCurve, flatten, interval_strip, write_report
from boxless.report.results import parse_results

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, ids, addresses and text, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.addresses, self.words = [], [], [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"src", "href", "action", "data", "srcset", "xlink:href"}:
                self.addresses.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def item(boxes=10, truth=("class 0",)):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 20, (boxes, 2))
    return GalleryItem(
        image=rng.integers(0, 255, (48, 64, 3), dtype=np.uint8),
        boxes=np.hstack([corner, corner + 20]).astype(np.float32),
        box_scores=np.linspace(1, 0.1, boxes, dtype=np.float32),
        truth=truth,
        before=(Label("class 0", 0.41), Label("class 1", 0.63)),
        after=(Label("class 0", 0.83, 0.7), Label("class 1", 0.21)),
        caption="picture <7>",
    )


CURVES = {
    "teacher": [{"update": i, "epoch": i / 10, "loss": 1 / (i + 1), "lr": 0.1} for i in range(20)],
    "stage1/seed-0": [{"update": 0, "loss": float("nan")}, {"update": 1, "loss": 0.5}],
}


def write(tmp_path, value, *, curves=CURVES, gallery=None):
    gallery = [item()] if gallery is None else gallery
    path = write_report(tmp_path, parse_results(value), curves=curves, gallery=gallery)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    return text, page


def test_the_page_loads_nothing_from_anywhere(make, tmp_path):
    text, page = write(tmp_path, make())
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "script" not in page.tags
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_ids_are_unique_and_every_reference_has_its_target(make, tmp_path):
    text, page = write(tmp_path, make())
    assert len(page.ids) == len(set(page.ids))
    wanted = re.findall(r"url\(#([^)]*)\)", text)
    wanted += [address[1:] for address in page.addresses if address.startswith("#")]
    assert set(wanted) <= set(page.ids)


def test_the_page_shows_the_numbers(make, tmp_path):
    _, page = write(tmp_path, make())
    for words in (
        "mAP rises from 61.0 % to 66.0 %", "61.0 ± 1.4", "+5.0", "+2.1 to +7.9", "18.3", "41.2",
        "57.3", "87.1", "student.levels 8, 16", "fingerprint 3f2a91", "skipped", "1 min 01 s",
        "✗ wrong", "○ missed", "✓ right",
    ):  # fmt: skip
        assert words in page.text, words


def test_plots_follow_the_theme(make, tmp_path):
    text, page = write(tmp_path, make())
    assert page.tags.count("svg") == 5
    assert "var(--after" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"#0[1-9]0[1-9]0[1-9]\b", text)


def test_everything_is_escaped(make, tmp_path):
    value = make()
    evil = "<script>alert('$x$')</script>"
    value["data"]["classes"][1] = evil
    value["data"]["name"] = '"><img src=x>'
    value["variants"]["teacher"]["label"] = "<q>&"
    value["recipe"]["<i>"] = "<u>"
    value["environment"]["cpu"] = "</table>"
    value["steps"][0]["name"] = '"><s>'
    text, page = write(
        tmp_path, value, curves={"<em>": CURVES["teacher"]}, gallery=[item(truth=(evil,))]
    )
    assert not {"script", "q", "em", "u", "s"} & set(page.tags)
    assert page.tags.count("img") == 1
    assert "<script" not in text
    assert evil in page.text


def test_what_both_students_miss_is_folded(make, tmp_path):
    missed = item(truth=("class 0", "tiny thing"))
    text, _ = write(tmp_path, make(), gallery=[missed])
    folded = re.search(r"<summary>.*?missed by both: ([^<]*)</summary>", text)
    assert folded[1] == "tiny thing"
    before_it = text[: folded.start()].rpartition("<figcaption>")[2]
    assert "class 0" in before_it
    assert "tiny thing" not in before_it
    assert 'style="left:70.00%" title="threshold 70 %"' in text
    assert 'loading="lazy"' not in text  # a printed page has its pictures


def test_the_curve_over_tags_is_shown_where_there_is_one(make, tmp_path):
    curve = TagsCurve('<svg id="curve"></svg>', "../../tags.html")
    path = write_report(tmp_path, parse_results(make()), curves={}, gallery=[], tags=curve)
    page = Page(path.read_text("utf-8"))
    assert {"tags", "curve"} <= set(page.ids)
    assert "../../tags.html" in page.addresses
    write(tmp_path, make())
    assert "tags" not in Page(path.read_text("utf-8")).ids


def test_names_are_whole_in_plots(make, tmp_path):
    value = make()
    name = "student with distillation (a very long way to distil, in two phases)"
    value["variants"]["regions"]["label"] = name
    text, _ = write(tmp_path, value)
    drawn = text[text.index('aria-label="mAP of each variant and seed"') :]
    drawn = drawn[: drawn.index("</svg>")]
    words = " ".join(re.findall(r">([^<>\n]+)</t", drawn))
    assert name in words


def test_a_picture_without_boxes(make, tmp_path):
    _, page = write(tmp_path, make(), gallery=[item(boxes=0)])
    assert page.tags.count("img") == 1


def test_a_single_seed_without_gain_curves_or_gallery(make, tmp_path):
    value = make(seeds=1, gain=False) | {"recall": None, "steps": [], "environment": {}}
    value["variants"]["teacher"]["localization"] = None
    text, page = write(tmp_path, value, curves={}, gallery=[])
    assert "compares nothing" in page.text
    assert 'id="learning"' not in text
    assert 'id="regions"' not in text
    assert page.tags.count("svg") == 1


def test_a_class_without_positives_is_a_dash(make, tmp_path):
    value = make()
    for variant in value["variants"].values():
        for seed in variant["seeds"]:
            seed["metrics"]["per_class_ap"][2] = None
    value["gain"]["per_class"][2] = None
    _, page = write(tmp_path, value)
    assert "class 2 30 \N{EN DASH} \N{EN DASH} \N{EN DASH} \N{EN DASH}" in page.text


@pytest.mark.slow
def test_eighty_classes_are_all_named(make, tmp_path):
    _, page = write(tmp_path, make(classes=80))
    names = re.findall(r"class \d+", page.text)
    assert len(set(names)) == 80


def test_the_strip_orders_its_marks(make):
    value = make()
    marks = interval_strip(parse_results(value).gain.map)
    assert 0 < marks["zero"] < marks["low"] < marks["mean"] < marks["high"] < 100
    value["gain"]["map"] |= {"low": 0.0, "high": 0.0, "mean": 0.0}
    assert set(interval_strip(parse_results(value).gain.map).values()) == {50.0}


def test_flatten_keeps_order_and_shows_empty_values():
    nested = {"b": {"y": 1, "x": None}, "a": [], "c": {}}
    dash = "\N{EN DASH}"
    assert list(flatten(nested)) == [("b.y", "1"), ("b.x", dash), ("a", dash), ("c", "{}")]


def test_a_bad_gallery_item_writes_no_page(make, tmp_path):
    bad = item()
    object.__setattr__(bad, "box_scores", bad.box_scores[:3])
    with pytest.raises(Exception, match="one score for each of the 10 boxes"):
        write_report(tmp_path, parse_results(make()), curves={}, gallery=[bad])
    assert list(tmp_path.iterdir()) == []
