"""A finished run's student as a folder for the Hugging Face Hub, with its model card.

The card says what the student is, how good beside its twin, and what it must not be used for:
Markdown with the front matter of the Hub; every figure comes from the run.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from boxless import __version__
from boxless.errors import ConfigError, MissingExtraError, RunError
from boxless.files.atomic import write_atomically
from boxless.inference.labels import DEFAULT_THRESHOLD
from boxless.inference.student_metadata import Provenance, StudentMetadata
from boxless.methods.table import PLAIN
from boxless.models.pretrained import CARD, CONFIG, WEIGHTS
from boxless.report.part import Shipped
from boxless.report.results import TEACHER
from boxless.runs.context import Run
from boxless.runs.evaluation import load_summaries
from boxless.runs.export import NAME, best_student, onnx_bytes
from boxless.runs.student_facts import student_metadata
from boxless.runs.variant import trained_as

ABOUT = ("thresholds", "temperatures", "provenance", "metrics", "version")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def write_hub_folder(run: Run, folder: Path, shipped: Shipped) -> bool:
    """Write ``model.safetensors``, ``config.json``, ``README.md`` and ``student.onnx``.

    Args:
        run: From `boxless.runs.finished.open_run`.
        folder: Where to write; its other files stay.
        shipped: Which student, from `boxless.runs.export.choose`.

    Returns:
        Whether timm alone can use the whole model, not only its backbone.

    Raises:
        RunError: The folder cannot be written.
    """
    variant = trained_as(run.recipe, shipped.variant, shipped.seed)
    model = best_student(run, variant)
    metadata = student_metadata(run, model, variant)
    whole = model.save_pretrained(
        folder, classes=run.classes, input_size=metadata.input_size, about=_about(metadata)
    )
    write_atomically(folder / NAME, onnx_bytes(model, metadata))
    write_atomically(folder / CARD, model_card(run, metadata, whole=whole).encode())
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


def _about(metadata: StudentMetadata) -> dict[str, Any]:
    values = metadata.model_dump(mode="json")
    return {name: values[name] for name in ABOUT if values[name]}


_HEAD = """---
library_name: timm
pipeline_tag: image-classification
tags:
- boxless
- multi-label
- knowledge-distillation
license: other
license_name: see-section-licence
---
"""


def model_card(run: Run, metadata: StudentMetadata, *, whole: bool) -> str:
    """Write the card."""
    source = metadata.provenance or Provenance(backbone="")
    sections = (
        _HEAD,
        _opening(metadata, source),
        "## Use\n\n" + _use(metadata, whole=whole),
        "## How good it is\n\n" + _figures(run, source),
        "## Classes and thresholds\n\n" + _classes(run, metadata),
        "## Training\n\n" + _training(run, source),
        "## Limits\n\n" + _limits(metadata),
        "## Licence\n\n" + _licence(source),
    )
    return "\n".join(sections)


def _opening(metadata: StudentMetadata, source: Provenance) -> str:
    taught = (
        " A weakly supervised detector, itself trained on the tags, taught it, in training only:"
        " Liu et al., *Multi-Label Image Classification via Knowledge Distillation from"
        " Weakly-Supervised Detection*, ACM MM 2018 (<https://arxiv.org/abs/1809.05884>)."
    )
    alone = " It was trained without the teacher that the run had, too."
    return (
        f"# {source.backbone}, {len(metadata.classes)} classes, {source.data}\n\n"
        f"A multi-label image classifier ({metadata.input_size} x {metadata.input_size} px) that"
        f" was trained on tags alone.{alone if source.variant.startswith(PLAIN) else taught} Made"
        f" with boxless {metadata.version}.\n"
    )


def _use(metadata: StudentMetadata, *, whole: bool) -> str:
    parts = [
        "Without PyTorch (`pip install boxless`):\n\n```python\nimport boxless\n\n"
        'student = boxless.load("student.onnx")\n'
        'for prediction in student.predict(["street.jpg"], boxes=True):\n'
        "    print(prediction.present, prediction.boxes)\n```\n"
    ]
    parts.append(
        "With PyTorch (`pip install 'boxless[train]'`); the model takes RGB pixels of 0 to 255,"
        f" squashed to {metadata.input_size} x {metadata.input_size}:\n\n```python\n"
        "from boxless.models.classifier import Classifier\n\n"
        'model = Classifier.from_pretrained(".")\n'
        f"logits = model(pixels)  # (N, {len(metadata.classes)})\n```\n"
    )
    what = "the whole model" if whole else "the backbone; the head is not timm's"
    options = "" if whole else ", num_classes=0"
    loading = (
        'model = timm.create_model("local-dir:.", pretrained=True)\n'
        if whole
        else f'backbone = timm.create_model("{_name(metadata)}"{options})\n'
        'state = safetensors.torch.load_file("model.safetensors")\n'
        "backbone.load_state_dict(state, strict=False)\n"
    )
    imports = "import timm\n" if whole else "import safetensors.torch\nimport timm\n"
    note = " timm takes RGB; these weights want BGR." if metadata.channels == "BGR" else ""
    divide = " Divide by the temperatures of `config.json` first." * bool(metadata.temperatures)
    parts.append(
        f"With timm alone ({what}); probabilities are the sigmoid of the logits.{divide}"
        f"{note}\n\n```python\n{imports}\n{loading}```\n"
    )
    return "\n".join(parts)


def _name(metadata: StudentMetadata) -> str:
    return metadata.provenance.backbone if metadata.provenance else ""


def _figures(run: Run, source: Provenance) -> str:
    """Student, twin and teacher: mean over the seeds, and the seed that is published."""
    found = load_summaries(run.folder / "evaluate")["variants"]
    count = len(found[source.variant])
    twin = "plain student, the same without distillation"
    labels = {PLAIN: twin, source.variant: "**this student**"}
    if source.variant == PLAIN:
        labels[run.recipe.method] = "the distilled student"
    labels[TEACHER] = "teacher (weakly supervised detector)"
    lines = [
        f"{len(run.test)} test images; mean over {count} seed{'s' * (count > 1)}, in percent. This"
        f" is seed {source.seed}, chosen on held-out images.\n",
        "| model | mAP | F1-C at 0.5 | OF1 at 0.5 | mAP of this seed |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, label in labels.items():
        entries = found.get(key, [])
        if not entries:
            continue
        own = [e for e in entries if e["seed"] == source.seed and key != TEACHER]
        cells = [_mean(entries, *path) for path in (("map",), _f1("f1_c"), _f1("of1"))]
        lines.append(f"| {label} | {' | '.join(cells)} | {_mean(own, 'map')} |")
    return "\n".join(lines) + "\n"


def _f1(name: str) -> tuple[str, str, str]:
    return "f1", "all", name


def _mean(entries: list[dict[str, Any]], *path: str) -> str:
    values = []
    for entry in entries:
        value: Any = entry["metrics"]
        for key in path:
            value = value[key]
        values.append(value)
    if not values or None in values:
        return "-"
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def _classes(run: Run, metadata: StudentMetadata) -> str:
    limits = metadata.thresholds or (DEFAULT_THRESHOLD,) * len(metadata.classes)
    heats = metadata.temperatures or (1.0,) * len(metadata.classes)
    fitted = "fitted on held-out training images" if metadata.thresholds else "not tuned"
    positives = (run.train.labels == 1).sum(0).tolist()
    lines = [
        f"A label counts as present from its threshold on ({fitted}).\n",
        "| class | threshold | temperature | training images |",
        "| --- | --- | --- | --- |",
    ]
    rows = zip(metadata.classes, limits, heats, positives, strict=True)
    for name, limit, heat, count in rows:
        plain = " ".join(name.split()).replace("|", "\\|")
        lines.append(f"| {plain} | {limit:.3f} | {heat:.2f} | {count} |")
    return "\n".join(lines) + "\n"


def _training(run: Run, source: Provenance) -> str:
    held_out = len(run.held_out) if run.held_out else 0
    untagged = len(run.pool) - len(run.train)
    more = f" and {untagged} without tags" if untagged else ""
    kind = run.spec.partition(":")[0] if ":" in run.spec else "csv"
    return (
        f"Data: `{source.data}` (`{kind}:`, fingerprint `{source.data_fingerprint}`),"
        f" {source.training_images} training images with tags{more}, {held_out} held out. Tags"
        f" alone were used, no boxes. Recipe `{source.recipe}`; teacher `{source.teacher}` at"
        f" {run.recipe.teacher.input_size} px.\n"
    )


def _limits(metadata: StudentMetadata) -> str:
    return (
        "- It knows the classes above and nothing else; an image may have none of them.\n"
        f"- Images are squashed to {metadata.input_size} x {metadata.input_size} px: small objects"
        " disappear.\n"
        "- Thresholds fit images like those of the data set; others need thresholds of their own.\n"
        "- Boxes come from class maps of a classifier that never saw a box: good for looking at,"
        " not for measuring.\n"
        "- It inherits what its tags and the first weights get wrong or leave out. Not for"
        " decisions about people.\n"
    )


def _licence(source: Provenance) -> str:
    weights = source.weights or "weights that the run does not name"
    known = source.weights_licence or "not known to boxless: ask where they come from"
    return (
        f"Training began with: {weights}. Their licence: {known}. The images may forbid uses of"
        " what was trained on them; check before you publish, and state the licence here. The code"
        " that made this, boxless, is under Apache-2.0.\n"
    )
