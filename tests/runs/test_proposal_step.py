"""From the recipe's settings to a proposer, and to what a finished step depends on."""

import pytest

from boxless.errors import ConfigError
from boxless.proposals.proposer import METHODS, make_proposer
from boxless.recipe.recipe_files import load_recipe
from boxless.recipe.sections import ProposalsConfig
from boxless.runs import plan
from boxless.runs.proposal_step import proposer_settings

COMMON = {"max_boxes": 7, "min_box_size": 3.0, "size": 99}
DETECTOR = {"detector": "net", "detector_weights": "w.pth", "detector_size": 320}


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("edge_boxes", COMMON),
        ("selective_search_fast", COMMON),
        ("selective_search_quality", COMMON),
        ("grid", {"max_boxes": 7}),
        ("file", {"max_boxes": 7, "file": "b.npz", "outside": "clip"}),
        (
            "faster_rcnn",
            {
                "max_boxes": 7,
                "min_box_size": 3.0,
                "architecture": "net",
                "weights": "w.pth",
                "size": 320,
            },
        ),
    ],
)
def test_each_method_gets_its_settings(method, expected):
    files = {"file": "b.npz", "outside": "clip"}
    config = ProposalsConfig(method=method, **COMMON, **DETECTOR, **files)
    assert proposer_settings(config) == expected


def test_recipe_knows_every_method():
    for method in METHODS:
        assert ProposalsConfig(method=method).method == method


def test_a_method_without_its_file_is_refused():
    with pytest.raises(ConfigError, match="needs a file"):
        make_proposer("file", **proposer_settings(ProposalsConfig(method="file")))


def test_settings_of_unused_methods_do_not_matter():
    recipe = load_recipe("demo")

    def settings(**changes):
        config = ProposalsConfig(**changes)
        changed = recipe.model_copy(update={"proposals": config})
        found = plan._proposal_settings(changed)
        assert found.pop("data.skip_bad") is False
        return found

    plain = settings()
    names = {"method", "max_boxes", "min_box_size", "size"}
    assert set(plain) == {f"proposals.{name}" for name in names}
    assert settings(file="x.npz", detector_size=9) == plain
    assert settings(method="file", file="x.npz") != settings(method="file", file="y.npz")
    assert "proposals.detector_weights" in settings(method="faster_rcnn")
