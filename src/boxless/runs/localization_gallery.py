"""Which pictures of class maps the report shows."""

from boxless.report.localization_pictures import LocalizedImage
from boxless.runs.context import Run
from boxless.runs.gallery import file_name
from boxless.runs.location_step import load_examples, load_location, shown_keys
from boxless.types import PRESENT

_NAMES = ("teacher", "without distillation", "with distillation")


def localization_items(run: Run) -> list[LocalizedImage]:
    """The first true class of some test images, as teacher and both students see it."""
    folder = run.folder / "locate"
    found = load_examples(folder)
    named = dict(zip(shown_keys(run.recipe), _NAMES, strict=True))
    keys = [key for key in named if key in found]
    settings = {key: load_location(folder, key, run.recipe.run.seed) for key in keys}
    items = []
    for place, row in enumerate(found["rows"].tolist()):
        record = run.test.records[row]
        true = [k for k, value in enumerate(record.labels) if value == PRESENT]
        if not keys or not true:
            continue
        boxes = tuple(box.xyxy for box in record.boxes or () if box.label == true[0])
        items.append(
            LocalizedImage(
                image=run.images(record.path),
                name=run.classes[true[0]],
                label=true[0],
                truth=boxes,
                maps=tuple((named[key], found[key][place], settings[key]) for key in keys),
                caption=file_name(record.image_id),
            )
        )
    return items
