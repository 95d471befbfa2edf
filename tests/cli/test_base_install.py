"""The base install in a fresh environment: it predicts real images as PyTorch does, without it.

Needs the package index (about 50 MB of wheels); skips with a message where there is none.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from boxless.data.images import load_image
from boxless.data.resize import resize_square

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ABSENT = (
    "torch", "torchvision", "timm", "accelerate", "cv2", "onnx", "matplotlib", "scipy", "pyarrow",
    "fastapi", "pandas", "sklearn",
)  # fmt: skip
MOST_MEGABYTES = 300

SCRIPT = """
import json, sys
from importlib.util import find_spec

import boxless

absent = json.loads(sys.argv[3])
student = boxless.load(sys.argv[1])
images = json.loads(sys.argv[2])
found = student.predict(images, boxes=True)
found[0].save(sys.argv[4])
print(json.dumps({
    "file": boxless.__file__,
    "probabilities": [p.probabilities.tolist() for p in found],
    "boxes": sum(len(p.boxes) for p in found),
    "installed": [name for name in absent if find_spec(name)],
    "imported": [name for name in absent if name in sys.modules],
}))
"""


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Python of a new environment with `pip install .` and nothing else."""
    folder = tmp_path_factory.mktemp("base") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]  # the one that is there already
    install = [*pip, "install", "-q", "--no-compile", "-c", ROOT / "constraints.txt", ROOT]
    done = subprocess.run(
        install, capture_output=True, text=True, check=False, env=clean_environment()
    )
    if done.returncode and ("Connection" in done.stderr or "Temporary failure" in done.stderr):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Real photographs where there are some, drawn scenes as files elsewhere."""
    from PIL import Image

    data = Path(os.environ.get("BOXLESS_DATA", ROOT.parent / "shared" / "data"))
    folder = data / "voc-mini" / "VOCdevkit" / "VOC2007" / "JPEGImages"
    found = sorted(folder.glob("*.jpg"))[:24]
    if not found:
        target = tmp_path_factory.mktemp("scenes")
        for n in range(24):
            pixels = load_image(f"scenes:v2,seed=0,size=160,split=test,index={n}")
            Image.fromarray(pixels).save(target / f"{n:02}.png")
        found = sorted(target.iterdir())
    return [str(path) for path in found]


@pytest.fixture(scope="module")
def wanted(finished_run, images):
    """What PyTorch says, (24, K)."""
    import torch

    from boxless.runs.export import ExportedStudent, best_student, choose
    from boxless.runs.finished import open_run
    from boxless.runs.student_facts import student_metadata
    from boxless.runs.variant import trained_as

    run = open_run(finished_run)
    shipped = choose(run)
    variant = trained_as(run.recipe, shipped.variant, shipped.seed)
    model = best_student(run, variant)
    about = student_metadata(run, model, variant)
    pixels = np.stack([resize_square(load_image(path), about.input_size) for path in images])
    inputs = model.backbone.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    with torch.no_grad():
        probabilities, _ = ExportedStudent(model, about.temperatures).eval()(inputs)
    return probabilities.numpy()


def test_python(base, finished_run, images, wanted, tmp_path):
    picture = tmp_path / "drawn.png"
    words = [finished_run / "export" / "student.onnx", json.dumps(images), json.dumps(ABSENT)]
    done = subprocess.run(
        [base, "-c", SCRIPT, *words, picture],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert str(base.parents[1]) in told["file"]  # the installed package, not this folder
    np.testing.assert_allclose(told["probabilities"], wanted, atol=1e-4)
    assert (told["installed"], told["imported"]) == ([], [])
    assert picture.stat().st_size > 1000


def test_command(base, finished_run, images, wanted, tmp_path):
    boxless = base.with_name("boxless")
    out = tmp_path / "labels.csv"
    done = subprocess.run(
        [boxless, "predict", finished_run, *images, "--top", "999", "--out", out, "--draw",
         tmp_path / "drawn"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "drawn").iterdir())) == len(images)
    with out.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["path"] == images[0]]
    told = sorted({row["label"]: float(row["probability"]) for row in rows}.values())
    np.testing.assert_allclose(told, np.sort(wanted[0]), atol=1e-4)
    missing = subprocess.run(
        [boxless, "predict", finished_run, images[0], "--out", tmp_path / "x.parquet"],
        capture_output=True, text=True, check=False, env=clean_environment(),
    )  # fmt: skip
    assert missing.returncode == 2
    assert "boxless[parquet]" in missing.stderr


def test_size(base, capsys):
    """What the documents say of the installed size holds."""
    (packages,) = (base.parents[1] / "lib").glob("python3*/site-packages")
    own = [p for p in packages.iterdir() if not p.name.startswith(("pip", "setuptools"))]
    files = [f for p in own for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    with capsys.disabled():
        print(f"\nbase install: {size:.0f} MB")
    assert size < MOST_MEGABYTES
