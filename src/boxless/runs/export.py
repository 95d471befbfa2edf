"""Export the student to one ONNX file and check it against PyTorch on real images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from boxless.data.manifest import Manifest
from boxless.errors import RunError
from boxless.files.atomic import write_atomically
from boxless.inference.predictor import Predictor
from boxless.models.classifier import Classifier
from boxless.runs import build
from boxless.runs.choice import choose
from boxless.runs.context import Run
from boxless.runs.onnx_graph import ExportedStudent, onnx_bytes
from boxless.runs.student_facts import student_metadata
from boxless.runs.variant import Variant, trained_as
from boxless.training.batches import whole_batches
from boxless.types import Float32Array

NAME = "student.onnx"
PARITY_LIMIT = 1e-4
PARITY_IMAGES = 64
ODD_BATCH = 7


def export_student(run: Run, folder: Path) -> dict[str, Any]:
    """Write ``student.onnx`` of the student that is best on held-out images; see `choose`."""
    found = choose(run)
    variant = trained_as(run.recipe, found.variant, found.seed)
    model = best_student(run, variant)
    about = student_metadata(run, model, variant)
    write_atomically(folder / NAME, onnx_bytes(model, about))
    difference = parity(run, model, folder / NAME, variant)
    require_parity(difference, PARITY_LIMIT)
    return {
        "shipped": found.model_dump(mode="json"),
        "bytes": (folder / NAME).stat().st_size,
        "largest_difference": difference,
        "images_compared": min(PARITY_IMAGES, len(run.test)),
    }


def best_student(run: Run, variant: Variant) -> Classifier:
    """A trained student, on the CPU."""
    return build.trained_student(run.recipe, len(run.classes), variant, run.folder)


def parity(run: Run, model: Classifier, path: Path, variant: Variant) -> float:
    """Largest difference between the file's and PyTorch's probabilities on test images.

    PyTorch's images come the way that training takes, the file's the way that prediction takes.
    """
    predictor = Predictor.load(path)
    part = run.test.without(run.test.image_ids[PARITY_IMAGES:])
    wanted = torch_probabilities(run, model, part, predictor.metadata.temperatures, variant)
    squares = [predictor.prepare(run.images(record.path)).pixels for record in part.records]
    # Batches of an odd size, so that a batch size frozen into the graph would show.
    starts = range(0, len(squares), ODD_BATCH)
    found = [predictor.probabilities(np.stack(squares[s : s + ODD_BATCH])) for s in starts]
    return float(np.abs(np.concatenate(found) - wanted).max())


def require_parity(difference: float, limit: float) -> None:
    """Refuse a file that answers differently.

    Raises:
        RunError: The difference is above the limit.
    """
    if not difference <= limit:
        raise RunError(
            f"the exported student differs from PyTorch by {difference:.2g} in probability,"
            f" more than {limit:g}",
            hint="please report this with the output of `boxless doctor`",
        )


@torch.no_grad()
def torch_probabilities(
    run: Run, model: Classifier, part: Manifest, temperatures: Sequence[float], variant: Variant
) -> Float32Array:
    """Probabilities (M, K) of the student in PyTorch, float32 on the CPU."""
    graph = ExportedStudent(model.cpu(), temperatures).eval()
    side = variant.view_size
    batches = whole_batches(run.dataset(part), size=side, batch_size=ODD_BATCH)
    rows = [graph(model.backbone.normalize(batch.pixels.float()))[0] for batch in batches]
    return np.asarray(torch.cat(rows).numpy(), np.float32)
