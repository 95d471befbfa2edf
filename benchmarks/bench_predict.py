"""`boxless predict` on 2,000 photographs beside a bare loop of Pillow and ONNX Runtime.

Both are processes of their own, started as a user would; the bare loop is what one writes in ten
lines: open, resize, normalise, one image at a time. Both take all cores and the same file.

    python benchmarks/bench_predict.py [--cpu] [--quick] [--out bench_predict.json]
"""

import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from bench_loader import photographs
from measure import Figure, interleaved, parser, publish, ratio
from serving_load import environment, write_student

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


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "predict").parse_args()
    images = 48 if options.quick else 2000
    rounds = options.rounds or (1 if options.quick else 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        student, photos, out = folder / "student.onnx", folder / "photos", folder / "labels.csv"
        write_student(student, SIZE)
        photos.mkdir()
        for n, path in enumerate(islice(cycle(photographs(folder, images)), images)):
            (photos / f"{n:05d}.jpg").symlink_to(path)
        bare = [sys.executable, "-c", BARE.replace("SIZE", str(SIZE)), student, photos, out]
        ours = [sys.executable, "-m", "boxless", "predict", student, photos, "--out", out]
        ours += ["--overwrite"]

        def run(command: list[object]) -> None:
            subprocess.run([str(word) for word in command], check=True, env=environment())

        spent = interleaved({"bare": lambda: run(bare), "ours": lambda: run(ours)}, rounds)
    figure = Figure(
        f"images/s of {images:,} photographs, {SIZE} px: boxless predict / bare loop",
        ratio(spent["bare"], spent["ours"]),
        "higher",
        1.0,
        1.5,
        {"seconds": spent},
    )
    publish("boxless predict beside a bare loop", [figure], options)


if __name__ == "__main__":
    main()
