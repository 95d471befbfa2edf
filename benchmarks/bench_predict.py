"""`boxless predict` on 2,000 photographs beside a bare loop of Pillow and ONNX Runtime.

Both are processes of their own, started as a user would; the bare loop is what one writes in ten
lines: open, resize, normalise, one image at a time. Both take all cores and the same file.

    python benchmarks/bench_predict.py [--cpu] [--quick] [--out bench_predict.json]
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnxruntime
from bench_loader import photographs
from measure import Figure, interleaved, parser, publish, ratio
from PIL import Image
from serving_load import environment, write_student

from boxless.inference.predictor import Predictor

SIZE = 224
BARE = """
import sys
from pathlib import Path
import numpy as np
import onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
with open(sys.argv[3], "w") as out:
    for path in sorted(Path(sys.argv[2]).glob("*.jpg")):
        image = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.BILINEAR)
        pixels = (np.asarray(image, np.float32) - 127) / 128
        (values,) = session.run(["probabilities"], {"image": pixels.transpose(2, 0, 1)[None]})
        print(path, *values[0], sep=",", file=out)
"""


def processes(folder: Path, student: Path, photos: Path) -> dict[str, Callable[[], object]]:
    """Both as commands, start and files of labels included."""
    out = folder / "labels.csv"
    bare = [sys.executable, "-c", BARE.replace("SIZE", str(SIZE)), student, photos, out]
    ours = [sys.executable, "-m", "boxless", "predict", student, photos, "--out", out]

    def run(command: list[str | Path]) -> None:
        subprocess.run([str(word) for word in command], check=True, env=environment())

    return {"bare": lambda: run(bare), "ours": lambda: run([*ours, "--overwrite"])}


def loops(student: Path, paths: list[str]) -> dict[str, Callable[[], object]]:
    """Both in this process, whose start is over."""
    predictor = Predictor.load(student)
    session = onnxruntime.InferenceSession(str(student), providers=["CPUExecutionProvider"])

    def bare() -> None:
        for path in paths:
            image = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            pixels = (np.asarray(image, np.float32) - 127) / 128
            session.run(["probabilities"], {"image": pixels.transpose(2, 0, 1)[None]})

    return {"bare": bare, "ours": lambda: predictor.predict(paths)}


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "predict").parse_args()
    images = 48 if options.quick else 2000
    rounds = options.rounds or (1 if options.quick else 3)
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        student, photos = folder / "student.onnx", folder / "photos"
        write_student(student, SIZE)
        photos.mkdir()
        paths = list(islice(cycle(photographs(folder, images)), images))
        for n, path in enumerate(paths):
            (photos / f"{n:05d}.jpg").symlink_to(path)
        for calls, what in (
            (processes(folder, student, photos), "boxless predict / bare loop"),
            (loops(student, paths[:64]), "the same without the start of the processes"),
        ):
            spent = interleaved(calls, rounds)
            values = ratio(spent["bare"], spent["ours"])
            figures.append(Figure(what, values, "higher", 1.0, 1.5, {"seconds": spent}))
    publish(f"images/s of {images:,} photographs at {SIZE} px", figures, options)


if __name__ == "__main__":
    main()
