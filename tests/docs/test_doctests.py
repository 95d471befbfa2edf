"""Every public name exists, is documented, and its example runs."""

import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

PUBLIC = {
    "boxless.losses": """
        AsymmetricLoss AttentionTransferLoss BoostLU ClassAwareLoss EntropyMaximizationLoss HintLoss
        LargeLoss RegionTransferLoss SigmoidDistillationLoss TagLoss balanced_weights detector_loss
        objectness select_by_nms trusted_weights
    """,
    "boxless.metrics": """
        Calibration F1Report Interval MeanAP MultiLabelMetrics MultiLabelReport average_precision
        correct_localization detection_average_precision expected_calibration_error f1_report
        fit_calibration mean_average_precision multi_label_report paired_bootstrap pointing_game
        tag_suspicion
    """,
    "boxless.models": "Backbone ClassMapOutput ClassMaps Classifier DetectorOutput"
    " WeaklySupervisedDetector",
    "boxless.proposals": "ProposalStore Proposals edge_boxes",
}
"""The inventory: removing a public name is a change that users notice, and fails here first."""

RESULTS = {"Calibration", "F1Report", "Interval", "MeanAP", "MultiLabelReport", "Proposals"}
"""What functions return; the function's example shows it."""

NAMES = [(room, name) for room, names in PUBLIC.items() for name in names.split()]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("room", PUBLIC)
def test_inventory(room):
    assert sorted(importlib.import_module(room).__all__) == sorted(PUBLIC[room].split())


@pytest.mark.parametrize(("room", "name"), NAMES)
def test_documented(room, name):
    thing = getattr(importlib.import_module(room), name)
    text = inspect.getdoc(thing) or ""
    assert not inspect.ismodule(thing)
    assert len(text.splitlines()) > 3
    if name not in RESULTS:
        assert ">>>" in text, f"{room}.{name} has no example"


@pytest.mark.parametrize(("room", "name"), NAMES)
def test_example(room, name):
    thing = getattr(importlib.import_module(room), name)
    finder, runner = (
        doctest.DocTestFinder(recurse=False),
        doctest.DocTestRunner(optionflags=OPTIONS),
    )
    for example in finder.find(thing, name, globs={}):
        if example.examples:
            assert runner.run(example).failed == 0


@pytest.mark.parametrize(
    ("room", "works"),
    [
        ("boxless.metrics", True),
        ("boxless.proposals", True),
        ("boxless.losses", False),
        ("boxless.models", False),
    ],
)
def test_without_torch(room, works):
    code = (
        "import sys\nfrom boxless.errors import MissingExtraError\nsys.modules['torch'] = None\n"
        f"try:\n    import {room}\n    print('works')\n"
        "except MissingExtraError as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("works" if works else "pip install 'boxless[train]'")
