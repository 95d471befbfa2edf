"""Which student is shipped, chosen on held-out images, never on test; its ONNX file, checked."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boxless.data.manifest import Manifest
from boxless.errors import ConfigError, RunError, unknown_name
from boxless.files.atomic import write_atomically
from boxless.files.seals import sealed
from boxless.inference.predictor import Predictor
from boxless.inference.student_file import INPUT, MAPS, OUTPUT
from boxless.inference.student_metadata import StudentMetadata
from boxless.methods.table import ORACLE
from boxless.metrics.bootstrap import paired_bootstrap
from boxless.metrics.inputs import known
from boxless.models.classifier import Classifier
from boxless.report.part import Interval, Reason, Shipped
from boxless.runs import build
from boxless.runs.context import Run
from boxless.runs.evaluation import load_predictions, load_summaries, stacked
from boxless.runs.student_facts import student_metadata
from boxless.runs.variant import Variant, by_key, trained_as
from boxless.training.batches import whole_batches
from boxless.types import Float32Array


def choose(run: Run, key: str = "") -> Shipped:
    """The student to ship, and why.

    Among the plain student and the distilled ones of the recipe's size the method with the highest
    held-out mAP, mean over the seeds; the recipe's own where methods tie or nothing is held out. Of
    its seeds the one that is best on held-out images.

    Args:
        run: The run, evaluated.
        key: METHOD or METHOD@SIZE that the user asks for; empty = choose.

    Raises:
        ConfigError: The run has no such student.
    """
    students, own = by_key(run.recipe), run.recipe.method
    if key and key not in students:
        raise ConfigError(
            unknown_name("variant", key, students), hint="the run's results.json lists them all"
        )
    entries = load_summaries(run.folder / "evaluate")["variants"]
    # Other sizes answer another question, and the oracle has seen tags that nobody gave.
    candidates = [name for name, seeds in students.items() if seeds[0].usual and name != ORACLE]
    figures = {name: _mean(entries[name]) for name in dict.fromkeys((*candidates, key or own))}
    why: Reason = "asked for" if key else "chosen"
    if not key and figures[own] is None:
        key, why = own, "nothing held out"
    best = key or max(candidates, key=lambda name: (figures[name] or 0.0, name == own))
    found = Shipped(
        variant=best,
        seed=max(entries[best], key=lambda entry: known(entry["held_out_map"]) or 0.0)["seed"],
        why=why,
        images=len(run.held_out or ()),
        held_out_map={name: figure for name, figure in figures.items() if figure is not None},
    )
    return found.model_copy(update={"margin": _margin(run, found)})


def _margin(run: Run, found: Shipped) -> Interval | None:
    """By how much the shipped variant leads its rival on held-out images, paired."""
    if run.held_out is None or found.rival is None or found.variant not in found.held_out_map:
        return None
    predictions = load_predictions(run.folder / "evaluate")
    own, rival = (stacked(run, predictions, k, "held_out") for k in (found.variant, found.rival))
    return Interval(**asdict(paired_bootstrap(own, rival, run.held_out.labels)))


def _mean(entries: list[dict[str, Any]]) -> float | None:
    """Held-out mAP over seeds; None where a seed has none."""
    values = [known(entry["held_out_map"]) for entry in entries]
    there = [value for value in values if value is not None]
    return mean(there) if len(there) == len(values) else None


OPSET = 18


class ExportedStudent(nn.Module):
    """What is exported: normalised image in, probabilities and class maps out.

    Args:
        classifier: The trained student.
        temperatures: K divisors of the logits; () = none.
    """

    scales: Tensor | None

    def __init__(self, classifier: Classifier, temperatures: Sequence[float] = ()) -> None:
        super().__init__()
        self.classifier = classifier
        scales = 1 / torch.tensor(temperatures) if temperatures else None
        self.register_buffer("scales", scales)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and class maps.

        Args:
            image: (N, 3, S, S) normalised.

        Returns:
            (N, K) ``sigmoid(logit / temperature)``, and (N, K, h, w) logits cell by cell, before
            the temperature.
        """
        features = self.classifier.final_maps(image)
        logits = self.classifier.classify(features)
        if self.scales is not None:
            logits = logits * self.scales
        return logits.sigmoid(), self.classifier.evidence(features)


def onnx_bytes(classifier: Classifier, about: StudentMetadata) -> bytes:
    """Content of the ONNX file.

    Args:
        classifier: The trained student; moved to the CPU.
        about: Goes into the file; its temperatures go into the graph too.

    Raises:
        RunError: PyTorch could not export the network.
    """
    program = torch.onnx.export(
        ExportedStudent(classifier.cpu(), about.temperatures).eval(),
        (torch.zeros(2, *about.input_shape),),
        input_names=[INPUT],
        output_names=[OUTPUT, MAPS],
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RunError("torch.onnx.export gave no program")
    return with_metadata(program.model_proto, about)


def with_metadata(proto: Any, about: StudentMetadata) -> bytes:
    """Serialise an ONNX model with a student's metadata instead of its own.

    Args:
        proto: ``onnx.ModelProto``; changed.
        about: What the file says about itself.
    """
    import onnx  # noqa: PLC0415  (slow to import, needed here alone)

    graph = proto.graph
    named = (*graph.input, *graph.output, *graph.initializer, *graph.value_info)
    for part in (proto, graph, *graph.node, *named):  # PyTorch notes paths of this machine in them
        del part.metadata_props[:]
    for key, value in about.to_props().items():
        proto.metadata_props.add(key=key, value=value)
    buffer = io.BytesIO()
    onnx.save(proto, buffer)
    return sealed(buffer.getvalue(), ".onnx")


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
