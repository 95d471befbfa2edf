"""docs/results-schema.md names every field of the models, and no other run-level key."""

import re
from pathlib import Path

import pytest

from boxless.report import part, results, variants

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "results-schema.md").read_text("utf-8")
MODELS = [
    results.Results, results.Data, results.Gain, part.Shipped, part.Interval,
    results.Step, results.Profile, results.Recall, results.RecallRow,
    variants.VariantResult, variants.SeedResult,    variants.Metrics, variants.F1Table,
    variants.F1, variants.Localization, variants.Spread, part.SeedCalibration,
    part.CalibrationFigures, part.BeforeAfter, part.CurvePair,
    part.Curve, part.SeedMapLocalization, part.MapLocalization,
]  # fmt: skip


def keys(model):
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_described(model):
    assert {key for key in keys(model) if f"`{key}`" not in TEXT} == set()


def test_the_run_table_lists_exactly_the_run_keys():
    section = TEXT.partition("## The run")[2].partition("## data")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == keys(results.Results)
