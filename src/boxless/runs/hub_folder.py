"""A finished run's student as a folder for the Hugging Face Hub, with its model card."""

from pathlib import Path
from typing import Any

from boxless.files.atomic import write_atomically
from boxless.inference.student_metadata import StudentMetadata
from boxless.models.pretrained import CARD
from boxless.report.shipped import Shipped
from boxless.runs.choice import chosen_variant
from boxless.runs.context import Run
from boxless.runs.export import NAME, best_student
from boxless.runs.model_card import model_card
from boxless.runs.onnx_graph import onnx_bytes
from boxless.runs.student_facts import student_metadata

ABOUT = ("thresholds", "temperatures", "provenance", "metrics", "version")


def write_hub_folder(run: Run, folder: Path, shipped: Shipped) -> bool:
    """Write ``model.safetensors``, ``config.json``, ``README.md`` and ``student.onnx``.

    Args:
        run: From `boxless.runs.finished.open_run`.
        folder: Where to write; its other files stay.
        shipped: Which student, from `boxless.runs.choice.choose`.

    Returns:
        Whether timm alone can use the whole model, not only its backbone.

    Raises:
        RunError: The folder cannot be written.
    """
    variant = chosen_variant(run, shipped)
    model = best_student(run, variant)
    facts = student_metadata(run, model, variant)
    whole = model.save_pretrained(
        folder, classes=run.classes, input_size=facts.input_size, about=_about(facts)
    )
    write_atomically(folder / NAME, onnx_bytes(model, facts))
    write_atomically(folder / CARD, model_card(run, facts, whole=whole).encode())
    return whole


def _about(facts: StudentMetadata) -> dict[str, Any]:
    values = facts.model_dump(mode="json")
    return {name: values[name] for name in ABOUT if values[name]}
