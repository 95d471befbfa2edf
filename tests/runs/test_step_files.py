"""Files that steps leave behind: read whole, or named with the way out."""

import json

import pytest

from boxless.errors import StoreError
from boxless.runs.calibration_step import FILE_NAME, load_calibration
from boxless.runs.location_step import load_localization


def test_a_calibration_is_read_back(tmp_path):
    entry = {"seed": 2, "temperatures": [1.5, 2.0], "thresholds": [0.3, 0.4]}
    (tmp_path / FILE_NAME).write_text(json.dumps({"variants": {"distilled": [entry]}}))
    assert load_calibration(tmp_path) == {"distilled": [entry]}


@pytest.mark.parametrize("text", [None, "{", "[]", '{"variants": {"distilled": [{"seed": 1}]}}'])
@pytest.mark.parametrize(
    ("load", "name"), [(load_calibration, FILE_NAME), (load_localization, "location.json")]
)
def test_a_missing_or_damaged_file_is_named(tmp_path, load, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(StoreError, match=rf"{name}.*missing or damaged") as caught:
        load(tmp_path)
    assert f"--force {tmp_path.name}" in caught.value.hint
