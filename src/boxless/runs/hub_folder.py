"""A finished run's student as a folder for the Hugging Face Hub, with its model card."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from boxless import __version__
from boxless.errors import ConfigError, MissingExtraError, RunError
from boxless.files.atomic import write_atomically
from boxless.inference.student_metadata import StudentMetadata
from boxless.models.pretrained import CARD, CONFIG, WEIGHTS
from boxless.report.shipped import Shipped
from boxless.runs.context import Run
from boxless.runs.export import NAME, best_student
from boxless.runs.model_card import model_card
from boxless.runs.onnx_graph import onnx_bytes
from boxless.runs.student_facts import student_metadata
from boxless.runs.variant import trained_as

ABOUT = ("thresholds", "temperatures", "provenance", "metrics", "version")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


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
    variant = trained_as(run.recipe, shipped.variant, shipped.seed)
    model = best_student(run, variant)
    facts = student_metadata(run, model, variant)
    whole = model.save_pretrained(
        folder, classes=run.classes, input_size=facts.input_size, about=_about(facts)
    )
    write_atomically(folder / NAME, onnx_bytes(model, facts))
    write_atomically(folder / CARD, model_card(run, facts, whole=whole).encode())
    return whole


def push_folder(folder: Path, repository: str) -> str:
    """Upload such a folder to the Hugging Face Hub; a new repository is private.

    Returns:
        Address of the model's page.

    Raises:
        ConfigError: That is no name of a repository.
        MissingExtraError: ``huggingface_hub`` is not installed.
        RunError: The Hub refuses, or cannot be reached.
    """
    require_repository(repository)
    from huggingface_hub import HfApi  # noqa: PLC0415  (optional)

    api = HfApi()
    try:
        page = api.create_repo(repository, exist_ok=True, private=True)
        api.upload_folder(
            folder_path=str(folder),
            repo_id=repository,
            allow_patterns=[WEIGHTS, CONFIG, CARD, NAME],
            commit_message=f"A student of boxless {__version__}",
        )
    except Exception as error:  # the library's own, and those of whichever it speaks HTTP with
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{repository} cannot be written on the Hugging Face Hub: {reason}",
            hint="is there a network? Log in with a token that may write (`hf auth login`), and"
            " look at the name",
        ) from error
    return str(page)


def require_repository(repository: str) -> None:
    """Check what pushing needs, before any work.

    Raises:
        ConfigError: That is no name of a repository.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigError(f"expected --push OWNER/NAME, found {repository!r}")
    if find_spec("huggingface_hub") is None:
        raise MissingExtraError("huggingface_hub", "hub")


def _about(facts: StudentMetadata) -> dict[str, Any]:
    values = facts.model_dump(mode="json")
    return {name: values[name] for name in ABOUT if values[name]}
