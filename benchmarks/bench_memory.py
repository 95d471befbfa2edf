"""Peak memory of a whole training run at 2,000 and at 100,000 generated images.

Each run has a process of its own: grid proposals, teacher's maps, teacher, cache, plain student and
both stages on small JPEGs (hard links to a few) with made-up tags, with a tiny network and a few
updates a step, so that what grows with the data is all there is to see. No images are kept, as
`run.cache_gib` is a budget of the user's. Peak memory is the largest resident set; mapped files,
which the system may drop, count too.

    python benchmarks/bench_memory.py [--quick] [--out bench_memory.json]
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import Figure, parser, publish
from PIL import Image

from boxless.data.sources import load_manifest
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.execute import execute

RECIPE = """
name = "memory"
[data]
image_cache = "off"
[proposals]
method = "grid"
max_boxes = 60
min_box_size = 4.0
[teacher]
backbone = "test_resnet"
input_size = 32
level = "stride16"
pooling = "align"
bins = 2
regions = 60
trainable = "head"
[teacher.optim]
epochs = {epochs}
[student]
backbone = "test_resnet"
input_size = 32
[stage1]
levels = ["stride16"]
bins = 2
regions = 60
[stage1.optim]
epochs = {epochs}
[stage2.optim]
epochs = {epochs}
[run]
leaks = "allow"  # the same few pictures again and again
"""
UPDATES, BATCH, CLASSES = 30, 16, 20
LINKS = 20_000  # hard links that any file system allows to one file


def peak_mib() -> float:
    """Largest resident set of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def own_mib() -> float | None:
    """What is resident now and no mapped file, MiB; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")]
    return found[0] if found else None


def write_data(folder: Path, images: int) -> None:
    """A table of images and tags, and the images."""
    rng = np.random.default_rng(0)
    sources = []
    for n in range(1 + images // LINKS):
        sources.append(folder / f"source-{n}.jpg")
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(sources[-1])
    lines = ["path,split,labels"]
    for n in range(images + 8):
        place = folder / f"images-{n // 1000}" / f"{n:06d}.jpg"
        place.parent.mkdir(exist_ok=True)
        place.hardlink_to(sources[n % len(sources)])
        tags = ";".join(
            f"class {k}" for k in range(CLASSES) if k == n % CLASSES or n % (k + 7) == 0
        )
        lines.append(f"{place.relative_to(folder)},{'train' if n < images else 'test'},{tags}")
    (folder / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(images: int, folder: Path) -> dict[str, Any]:
    """One run in this process; the peak after each part of it."""
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(epochs=UPDATES * BATCH / images), encoding="utf-8")
    start = time.perf_counter()
    manifest = load_manifest(f"csv:{folder / 'tags.csv'}")
    peaks = {"manifest": peak_mib()}
    run = Run(folder / "run", "csv:", load_recipe(str(recipe)), manifest)
    for verb in ("proposals", "maps", "teacher", "cache", "plain", "regions"):
        execute(run, until=verb)
        peaks[verb] = peak_mib()
    seconds = time.perf_counter() - start
    return {"images": images, "peak_mib": peaks, "own_mib": own_mib(), "seconds": seconds}


def in_own_process(images: int) -> dict[str, Any]:
    """`measure` in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), images)
        command = [sys.executable, __file__, "--measure", str(images), folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run and publish."""
    options = parser(__doc__, "memory")
    options.add_argument("--measure", nargs=2, metavar=("IMAGES", "FOLDER"), help="internal")
    chosen = options.parse_args()
    if chosen.measure:
        images, folder = chosen.measure
        print(json.dumps(measure(int(images), Path(folder))))
        return
    counts = (100, 400) if chosen.quick else (2_000, 100_000)
    few, many = (in_own_process(count) for count in counts)
    growth = many["peak_mib"]["regions"] / few["peak_mib"]["regions"]
    publish(
        f"peak memory of a run at {counts[0]:,} and {counts[1]:,} images",
        [
            Figure(
                f"peak at {counts[1]:,} images / at {counts[0]:,}",
                [growth],
                "lower",
                1.10,
                None,
                {"runs": [few, many]},
            )
        ],
        chosen,
    )


if __name__ == "__main__":
    main()
