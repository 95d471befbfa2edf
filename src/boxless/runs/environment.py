"""What a result was made with: versions, machine, threads."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "boxless", "torch", "torchvision", "timm", "accelerate", "opencv-contrib-python-headless",
    "numpy", "pillow", "simplejpeg", "onnx", "onnxruntime",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Versions and machine, for results and `boxless doctor`."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpu": cpu_name(),
        "cores": str(os.cpu_count()),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def torch_environment() -> dict[str, str]:
    """Threads and accelerator of torch; imports it."""
    import torch  # noqa: PLC0415  (seconds)

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return {"threads": str(torch.get_num_threads()), "accelerator": device}


def cpu_name() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
