"""Which pictures of class maps the report shows."""

from boxless.runs.context import Run
from boxless.runs.location_step import SHOWN, load_examples, load_location
from boxless.report.localization_pictures import LocalizedImage
from boxless.types import PRESENT

_NAMES = {
    "teacher": "teacher",
    "baseline": "without distillation",
    "distilled": "with distillation",
}


def looking_items(run: Run) -> list[LocalizedImage]:
    """The first true class of some test images, as teacher and both students see it.

    Args:
        run: The run, its step ``locate`` done.
    """
    folder = run.folder / "locate"
    found = load_examples(folder)
    arms = [arm for arm in SHOWN if arm in found]
    settings = {arm: load_location(folder, arm, run.recipe.run.seed) for arm in arms}
    items = []
    for place, row in enumerate(found["rows"].tolist()):
        record = run.test.records[row]
        true = [k for k, value in enumerate(record.labels) if value == PRESENT]
        if not arms or not true:
            continue
        boxes = tuple(box.xyxy for box in record.boxes or () if box.label == true[0])
        items.append(
            LocalizedImage(
                image=run.images(record.path),
                name=run.classes[true[0]],
                label=true[0],
                truth=boxes,
                maps=tuple((_NAMES[arm], found[arm][place], settings[arm]) for arm in arms),
                caption=record.image_id,
            )
        )
    return items
