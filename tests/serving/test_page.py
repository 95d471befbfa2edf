"""The page in a real browser without a window: ways in, bars, maps, faults, keys, phone."""

import shutil

import numpy as np
import pytest
from hostile import encoded, picture
from served import threaded
from tiny_student import CLASSES, write_student

from boxless.data import scene_layout
from boxless.inference.predictor import Predictor
from boxless.serving.app import create_app
from boxless.serving.pages import painted_samples
from boxless.serving.settings import ServeSettings

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no chromium is installed", allow_module_level=True)

GOOD = encoded(picture(), "PNG")
DESK, PHONE = {"width": 1200, "height": 800}, {"width": 375, "height": 667}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """One label present, two not, whatever the image: their thresholds say so."""
    path = write_student(tmp_path_factory.mktemp("page") / "student.onnx", scale=0.05)
    return Predictor.load(path, threads=1)


@pytest.fixture(scope="module")
def site(predictor):
    settings = ServeSettings()
    app = create_app(predictor, settings, samples=painted_samples(scene_layout.CLASSES)[:3])
    with threaded(app, settings.limits) as client:
        yield client


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def open_page(browser, site):
    """Opens the page; at the end nothing may have gone to another host or failed in the script."""
    contexts, troubles = [], []

    def watch(request) -> None:
        if not request.url.startswith((f"http://127.0.0.1:{site.port}/", "blob:", "data:")):
            troubles.append(request.url)

    def opened(path="/", *, viewport=DESK, scheme="light", touch=False):
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, has_touch=touch, is_mobile=touch
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", watch)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda line: troubles.append(line.text) if "Content Security" in line.text else None,
        )
        page.goto(f"http://127.0.0.1:{site.port}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def upload(page, name="street.png", data=GOOD):
    page.set_input_files("#file", files=[{"name": name, "mimeType": "image/png", "buffer": data}])


def loaded(page):
    page.wait_for_selector(".row")
    return page


HEAT = """() => {
    const canvas = document.getElementById("heat");
    if (!canvas.classList.contains("on")) return [0];
    return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
}"""
DELIVER = """([event, bytes]) => {
    const transfer = new DataTransfer(), options = { bubbles: true, cancelable: true };
    transfer.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
    document.body.dispatchEvent(event === "drop"
        ? new DragEvent("drop", { dataTransfer: transfer, ...options })
        : new ClipboardEvent("paste", { clipboardData: transfer, ...options }));
}"""


def heat(page) -> np.ndarray:
    """Pixels of the heat map, one 0 if none is shown."""
    return np.array(page.evaluate(HEAT))


def test_upload_shows_bars_with_thresholds(open_page, site):
    page = open_page()
    page.get_by_text(f"{len(CLASSES)} labels").wait_for()
    upload(page)
    loaded(page)
    labels = site.send_files(("street.png", GOOD)).json["predictions"][0]["labels"]
    assert page.locator(".row .name").all_inner_texts() == [label["name"] for label in labels]
    for label, row in zip(labels, page.locator(".row").all(), strict=True):
        fill, tick = row.locator(".track i"), row.locator(".track b")
        width = float(fill.evaluate("e => e.style.width").rstrip("%")) / 100
        assert width == pytest.approx(label["probability"], abs=1e-4)
        assert tick.evaluate("e => e.style.left") == f"{label['threshold'] * 100:g}%"
        assert ("present" in row.get_attribute("class")) == label["present"]
        assert ("below its threshold" in row.get_attribute("aria-label")) != label["present"]
    present = sum(label["present"] for label in labels)
    assert page.locator("#boxes .box").count() == present
    assert page.locator("#none").is_visible() == (present == 0)


def test_pointing_at_a_label_shows_its_map_and_box(open_page, site):
    page = open_page()
    upload(page)
    loaded(page)
    answer = site.send_files(("a.png", GOOD), query="?boxes=true&maps=true")
    boxes = {box["name"]: box for box in answer.json["predictions"][0]["boxes"]}
    assert heat(page).max() == 0
    shown = []
    for row in page.locator(".row").all():
        name = row.get_attribute("data-name")
        row.hover()
        page.wait_for_timeout(250)
        values = heat(page).reshape(-1, 4)
        assert values[:, 3].min() >= 100
        assert len(np.unique(values, axis=0)) > 4
        shown.append(values)
        outlines = page.locator("#boxes .box")
        assert outlines.count() == (name in boxes)
        if name in boxes:
            left = float(outlines.evaluate("e => parseFloat(e.style.left)"))
            assert left == pytest.approx(boxes[name]["x1"] / 40 * 100, abs=0.5)
            assert name in outlines.inner_text()
    assert not np.array_equal(shown[0], shown[1])
    page.mouse.move(5, 5)
    assert heat(page).max() == 0


def test_a_broken_image_says_what_is_wrong_and_the_page_goes_on(open_page):
    page = open_page()
    upload(page, "notes.txt", b"no image at all")
    fault = page.locator("#fault")
    fault.wait_for(state="visible")
    assert "Not an image" in fault.inner_text()
    assert fault.get_attribute("role") == "alert"
    assert page.locator(".row").count() == 0
    upload(page, "<img src=x onerror=alert(1)>.png")
    loaded(page)
    assert fault.is_hidden()
    assert page.locator("img[src=x]").count() == 0


def test_keyboard_alone(open_page):
    page = open_page()
    page.wait_for_selector("#strip button")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#strip') !== null"):
            break
    page.keyboard.press("Enter")
    loaded(page)
    while not page.evaluate("document.activeElement.classList.contains('row')"):
        page.keyboard.press("Tab")
    names = page.locator(".row .name").all_inner_texts()
    focused = "document.activeElement.dataset.name"
    assert page.evaluate(focused) == names[0]
    assert heat(page).max() > 0
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == names[1]
    page.keyboard.press("End")
    assert page.evaluate(focused) == names[-1]
    page.keyboard.press("Enter")
    assert page.locator(".row[aria-pressed=true]").get_attribute("data-name") == names[-1]
    page.keyboard.press("Escape")
    assert page.locator(".row[aria-pressed=true]").count() == 0
    assert page.locator("#spoken").inner_text() != ""


def answered(page, boxes):
    """Has the page told of labels with these boxes, in a picture of 100 x 100 pixels."""
    labels = [
        {"name": name, "probability": 0.9 - 0.05 * place, "threshold": 0.2, "present": True}
        for place, name in enumerate(boxes)
    ]
    found = [
        {"name": name, "score": 0.8} | dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
        for name, box in reversed(boxes.items())
    ]
    image = {"name": "a.png", "width": 100, "height": 100, "labels": labels, "boxes": found}
    page.route("**/v1/predict*", lambda route: route.fulfill(json={"predictions": [image]}))
    upload(page)
    return loaded(page)


def test_labels_at_one_place_share_an_outline(open_page):
    dog = {f"name {n}": (10 + n, 10, 60 + n, 60) for n in range(9)}
    page = answered(open_page(), dog | {"cat": (70, 70, 95, 95)})
    outlines = page.locator("#boxes .box")
    assert outlines.all_inner_texts() == ["name 0, name 1 +7", "cat"]
    page.locator('.row[data-name="name 5"]').hover()
    assert outlines.count() == 1
    assert "name 5" in outlines.inner_text()
    assert outlines.evaluate("e => e.style.left") == "15%"


def test_at_most_five_objects_are_outlined_at_once(open_page):
    apart = {f"name {n}": (10 * n, 0, 10 * n + 8, 90) for n in range(8)}
    page = answered(open_page(), apart)
    names = [f"name {n}" for n in range(5)]
    assert page.locator("#boxes .box").all_inner_texts() == names


def test_names_of_outlines_hide_neither_each_other_nor_leave_the_picture(open_page):
    crowd = {
        "a long name of a class": (2, 2, 40, 60),
        "another name": (3, 2, 98, 30),
        "third": (3, 3, 98, 98),
        "fourth": (60, 1, 99, 99),
    }
    page = answered(open_page(viewport=PHONE, touch=True), crowd)
    frame = page.locator("#frame").bounding_box()
    chips = [chip.bounding_box() for chip in page.locator("#boxes .box span").all()]
    assert len(chips) == len(crowd)
    for place, one in enumerate(chips):
        assert one["x"] >= frame["x"] - 1
        assert one["y"] >= frame["y"] - 1
        assert one["x"] + one["width"] <= frame["x"] + frame["width"] + 1
        for other in chips[:place]:
            beside = one["x"] >= other["x"] + other["width"] - 1
            beside |= other["x"] >= one["x"] + one["width"] - 1
            beside |= one["y"] >= other["y"] + other["height"] - 1
            beside |= other["y"] >= one["y"] + one["height"] - 1
            assert beside


def test_labels_come_before_thumbnails_in_tab_order(open_page):
    page = open_page()
    page.wait_for_selector("#strip button")
    upload(page)
    loaded(page)
    page.locator("#again").focus()
    page.keyboard.press("Tab")
    assert "row" in page.evaluate("document.activeElement.outerHTML")
    thumbnail = page.locator("#strip button").first.element_handle()
    order = page.locator(".row").last.evaluate(
        "(e, other) => e.compareDocumentPosition(other)", thumbnail
    )
    assert order & 4  # the thumbnail follows


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_drop_and_paste(open_page, event):
    page = open_page()
    page.evaluate(DELIVER, [event, list(GOOD)])
    loaded(page)
    assert page.locator("#strip [aria-current=true]").get_attribute("aria-label") == "a.png"


def test_phone(open_page):
    page = open_page(viewport=PHONE, touch=True)
    page.wait_for_selector("#strip button")
    page.locator("#strip button").first.tap()
    loaded(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    last = page.locator(".row").last
    last.scroll_into_view_if_needed()
    last.tap()
    assert last.get_attribute("aria-pressed") == "true"
    assert heat(page).max() > 0
    stage = page.locator("#stage").bounding_box()
    assert stage["y"] >= -1
    assert stage["y"] + stage["height"] <= last.bounding_box()["y"] + 1  # both are seen together
    heights = [row.bounding_box()["height"] for row in page.locator(".row").all()]
    assert min(heights) >= 44


def test_dark_and_light(open_page):
    def brightness(scheme):
        page = open_page(scheme=scheme)
        colours = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
        found = page.locator("body").evaluate(colours)
        return [sum(map(int, value[4:-1].split(","))) for value in found]

    assert brightness("light")[0] > 600 > brightness("light")[1]
    assert brightness("dark")[0] < 200 < brightness("dark")[1]


def test_documents_list_all_routes(open_page):
    page = open_page("/docs")
    page.wait_for_selector("h2")
    titles = page.locator("h2").all_inner_texts()
    for path in ("/v1/predict", "/v1/labels", "/healthz", "/readyz", "/metrics"):
        assert any(path in title for title in titles)
    assert "curl -F files=@" in page.locator("#example").inner_text()


def test_the_page_asks_for_the_key(browser, predictor):
    settings = ServeSettings(api_key="open sesame")
    app = create_app(predictor, settings, samples=painted_samples(scene_layout.CLASSES)[:1])
    with threaded(app, settings.limits) as client:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{client.port}/")
        field = page.locator("#key-input")
        field.wait_for(state="visible")
        field.fill("wrong")
        field.press("Enter")
        page.locator("#fault").wait_for(state="visible")
        field.fill("open sesame")
        field.press("Enter")
        page.locator("#key").wait_for(state="hidden")
        page.locator("#strip button").first.click()
        loaded(page)
        page.close()
