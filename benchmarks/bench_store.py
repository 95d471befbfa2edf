"""Proposal store: time to read the boxes of one image at random, and bytes an image.

A store of 500 random boxes an image, measured as finely as a proposer's, read in random order in a
process that has opened it; the first read of each shard, which verifies its checksum, is shown
apart. The bound is a plain NumPy slice of arrays in memory.

    python benchmarks/bench_store.py [--quick] [--out bench_store.json]
"""

import tempfile
from pathlib import Path

import numpy as np
from measure import Figure, parser, publish, seconds

from boxless.proposals.extract import extract
from boxless.proposals.precision import half, on_lattice
from boxless.proposals.store import ProposalStore
from boxless.types import Float32Array, ImageRecord, Proposals, UInt8Array

BOXES, WIDTH, HEIGHT = 500, 640, 427


class RandomBoxes:
    """A proposer that does not look."""

    name = "random"

    def __init__(self) -> None:
        self.settings: dict[str, int | float | str] = {}
        self._rng = np.random.default_rng(0)

    def __call__(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """Random boxes of at least 20 pixels a side, best first."""
        del image
        low = self._rng.random((BOXES, 2)) * [WIDTH - 30, HEIGHT - 30]
        high = np.minimum(low + 20 + 200 * self._rng.random((BOXES, 2)), [WIDTH, HEIGHT])
        scores = np.sort(self._rng.random(BOXES))[::-1]
        boxes = np.concatenate([low, high], 1).astype(np.float32)
        return on_lattice(boxes, WIDTH, HEIGHT), half(scores)


def build(folder: Path, images: int) -> ProposalStore:
    """A store of made-up boxes, through the same code as any other."""
    blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    records = [ImageRecord(f"{n:06d}", str(n), "train", (1,)) for n in range(images)]
    return extract(
        records,
        RandomBoxes(),
        folder,
        manifest_fingerprint="benchmark",
        load_image=lambda _: blank,
        workers=1,
    )


def read_all(store: ProposalStore, ids: list[str]) -> None:
    """Look up the boxes of each image."""
    for image_id in ids:
        store[image_id]


def slice_all(arrays: list[tuple[Float32Array, Float32Array]]) -> None:
    """The bound: the same answers from arrays in memory."""
    for boxes, scores in arrays:
        Proposals(boxes[:], scores[:], 1, 1)


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "store").parse_args()
    images = 50 if options.quick else 4000
    rounds = options.rounds or (2 if options.quick else 9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        build(folder, images)
        size = sum(path.stat().st_size for path in folder.iterdir())
        store = ProposalStore.open(folder)
        ids = np.random.default_rng(1).permutation(list(store)).tolist()
        first = seconds(lambda: [store[image_id] for image_id in ids]) / images
        plain = [(np.array(store[i].boxes), np.array(store[i].scores)) for i in ids]
        spent, bound = [], []
        for _ in range(rounds):
            spent.append(1e6 * seconds(lambda: read_all(store, ids)) / images)
            bound.append(1e6 * seconds(lambda: slice_all(plain)) / images)
    facts = {
        "images": images,
        "first_read_us": 1e6 * first,
        "slice_in_memory_us": bound,
        "raw_float32_bytes": BOXES * 5 * 4,
    }
    publish(
        f"proposal store, {images:,} images of {BOXES} boxes",
        [
            Figure("random read of one image, us", spent, "lower", 20, None, facts),
            Figure("first read, checksum and box checks included, us", [1e6 * first]),
            Figure("KiB an image", [size / images / 1024], "lower", 5, None),
        ],
        options,
    )


if __name__ == "__main__":
    main()
