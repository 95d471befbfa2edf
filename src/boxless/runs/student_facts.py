"""What an exported student says about itself, put together from its run."""

from typing import Any

from boxless import __version__
from boxless.inference.location import LocationSettings
from boxless.inference.student_metadata import Provenance, StudentMetadata, StudentMetrics
from boxless.methods.table import PLAIN
from boxless.metrics.calibration import Calibration
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.weights import WHEELS
from boxless.runs.calibration_step import load_calibration
from boxless.runs.context import Run
from boxless.runs.evaluation import load_summaries
from boxless.runs.location_step import load_location
from boxless.runs.record import entry_of
from boxless.runs.variant import Variant


def student_metadata(run: Run, model: Classifier, variant: Variant) -> StudentMetadata:
    """Metadata of the exported file."""
    scheme = model.backbone.scheme
    size = variant.view_size
    fitted = fitted_calibration(run, variant)
    return StudentMetadata(
        thresholds=fitted.thresholds if fitted else (),
        temperatures=fitted.temperatures if fitted else (),
        location=student_location(run, variant),
        provenance=_provenance(run, model.backbone, variant),
        metrics=_metrics(run, variant),
        classes=run.classes,
        input_size=size,
        mean=scheme.mean,
        std=scheme.std,
        channels="BGR" if scheme.channels == "BGR" else "RGB",
        resize="bilinear",
        antialias=True,
        version=__version__,
    )


def student_location(run: Run, variant: Variant) -> LocationSettings:
    """How boxes are made of the student's maps; without background for a run before that step."""
    folder = run.folder / "locate"
    if folder.exists():
        return load_location(folder, variant.key, variant.seed)
    return LocationSettings()


def fitted_calibration(run: Run, variant: Variant) -> Calibration | None:
    """Temperatures and thresholds of a student; None where none could be fitted."""
    entry = _calibration_entry(run, variant)
    if not entry.get("fitted"):
        return None
    return Calibration(tuple(entry["temperatures"]), tuple(entry["thresholds"]))


def _calibration_entry(run: Run, variant: Variant) -> dict[str, Any]:
    """What the step ``calibrate`` found; empty for a run of before that step."""
    folder = run.folder / "calibrate"
    if not folder.exists():
        return {}
    return entry_of(load_calibration(folder), variant.key, variant.seed)


def _provenance(run: Run, backbone: Backbone, variant: Variant) -> Provenance:
    weights, licence = _weights(run.recipe.student.weights, backbone)
    return Provenance(
        backbone=backbone.name,
        weights=weights,
        weights_licence=licence,
        teacher=run.recipe.teacher.backbone,
        recipe=run.recipe.name,
        variant=variant.key,
        seed=variant.seed,
        data=run.manifest.name,
        data_fingerprint=run.manifest.fingerprint,
        training_images=len(run.train),
    )


def _weights(name: str, backbone: Backbone) -> tuple[str, str]:
    """Where the first weights came from, and their licence as far as it is known."""
    if name == "random":
        return "random", ""
    if name == "wheel":
        return f"{WHEELS[backbone.name]} ({backbone.name}, ImageNet)", "Apache-2.0"
    if name == "imagenet":
        config: Any = getattr(backbone.net, "pretrained_cfg", None) or {}
        tag = ".".join(filter(None, (backbone.name, config.get("tag"))))
        return f"timm {tag}", str(config.get("license") or "")
    return name.replace("\\", "/").rpartition("/")[2], ""


def _metrics(run: Run, variant: Variant) -> StudentMetrics:
    found = load_summaries(run.folder / "evaluate")["variants"]
    own = entry_of(found, variant.key, variant.seed)
    plain = entry_of(found, PLAIN, variant.seed)
    return StudentMetrics(
        held_out_map=own.get("held_out_map"),
        test_map=own.get("metrics", {}).get("map"),
        test_f1=own.get("metrics", {}).get("f1", {}).get("all", {}).get("of1"),
        test_f1_tuned=_calibration_entry(run, variant).get("test", {}).get("of1", {}).get("after"),
        baseline_test_map=plain.get("metrics", {}).get("map"),
    )
