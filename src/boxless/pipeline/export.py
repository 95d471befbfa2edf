"""Export the student to one ONNX file and check it against PyTorch on real images."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boxless import __version__
from boxless.atomic import write_atomically
from boxless.data.resize import resize_square
from boxless.errors import RunError
from boxless.inference.predictor import Predictor
from boxless.inference.student_file import StudentMetadata
from boxless.models.classifier import Classifier
from boxless.pipeline import build
from boxless.pipeline.context import Run
from boxless.pipeline.evaluation import load_predictions, load_summaries
from boxless.training.files import WEIGHTS

NAME = "student.onnx"
PARITY_LIMIT = 1e-4
PARITY_IMAGES = 64
ODD_BATCH = 7
OPSET = 18


class _Exported(nn.Module):
    """The graph that is exported: normalised image in, probabilities out."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier.forward_inputs(image).sigmoid()


def export_student(run: Run, folder: Path) -> dict[str, Any]:
    """Write ``student.onnx`` for the seed that is best on held-out images."""
    seed = best_seed(run)
    weights = run.folder / "stage2" / f"seed-{seed}" / WEIGHTS
    model = build.trained_student(run.recipe, len(run.classes), weights)
    write_atomically(folder / NAME, onnx_bytes(model, run))
    difference = parity(run, folder / NAME, seed)
    if difference > PARITY_LIMIT:
        raise RunError(
            f"the exported student differs from PyTorch by {difference:.2g} in probability,"
            f" more than {PARITY_LIMIT:g}",
            hint="please report this with the output of `boxless doctor`",
        )
    return {
        "seed": seed,
        "bytes": (folder / NAME).stat().st_size,
        "largest_difference": difference,
        "images_compared": min(PARITY_IMAGES, len(run.test)),
    }


def best_seed(run: Run) -> int:
    """The seed whose distilled student is best on held-out images (never on test)."""
    summary = load_summaries(run.folder / "evaluate")
    entries = summary["arms"]["distilled"]
    return int(max(entries, key=lambda e: e["held_out_map"] or 0.0)["seed"])


def onnx_bytes(model: Classifier, run: Run) -> bytes:
    """The ONNX file's content, with metadata."""
    import onnx  # noqa: PLC0415  (slow to import, needed here alone)

    size = build.student_view(run.recipe)
    program = torch.onnx.export(
        _Exported(model.cpu()).eval(),
        (torch.zeros(2, 3, size, size),),
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RunError("torch.onnx.export gave no program")
    proto = program.model_proto
    for key, value in _metadata(model, run, size).items():
        proto.metadata_props.add(key=key, value=value)
    buffer = io.BytesIO()
    onnx.save(proto, buffer)
    return buffer.getvalue()


def _metadata(model: Classifier, run: Run, size: int) -> dict[str, str]:
    scheme = model.backbone.scheme
    about = StudentMetadata(
        classes=run.classes,
        input_size=size,
        mean=scheme.mean,
        std=scheme.std,
        channels="BGR" if scheme.channels == "BGR" else "RGB",
        resize="bilinear",
        antialias=True,
        version=__version__,
    )
    extra = {"backbone": model.backbone.name, "recipe": run.recipe.name}
    return {f"boxless.{k}": json.dumps(v) for k, v in extra.items()} | about.to_props()


def parity(run: Run, path: Path, seed: int) -> float:
    """Largest difference between onnxruntime and PyTorch's probabilities on test images."""
    records = run.test.records[:PARITY_IMAGES]
    predictor = Predictor.load(path)
    size = predictor.metadata.input_size
    images = np.stack([resize_square(run.images(record.path), size) for record in records])
    # Batches of an odd size, so that a batch size frozen into the graph would show.
    starts = range(0, len(images), ODD_BATCH)
    found = np.concatenate([predictor.probabilities(images[s : s + ODD_BATCH]) for s in starts])
    expected = load_predictions(run.folder / "evaluate")[f"distilled.{seed}.test"]
    return float(np.abs(found - expected[: len(records)]).max())
