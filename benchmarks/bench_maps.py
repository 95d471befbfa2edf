"""Teacher maps: images a second beside a bare timm forward of the same backbone at its size.

Ours is what the step ``maps`` does: read and decode JPEGs, resize, forward, half precision, write
with checksums. timm's is the forward alone, over tensors that are ready, in the batches that suit
it best of those tried.

    python benchmarks/bench_maps.py [--cpu] [--quick] [--out bench_maps.json]
"""

import tempfile
from functools import partial
from itertools import count
from pathlib import Path

import timm
import torch
from bench_loader import photographs
from measure import Figure, interleaved, parser, publish, ratio

from boxless.data.images import load_image
from boxless.models.backbone import Backbone
from boxless.models.folding import fold_batch_norms
from boxless.models.quick_maps import quick_maps
from boxless.training.batches import ViewDataset
from boxless.training.map_store import MapShards, shard_path
from boxless.training.runtime import Runtime
from boxless.training.sharded import write_shards
from boxless.types import ImageRecord

NAME, SIZE = "tf_efficientnet_lite0", 320
BATCHES = (2, 8, 32)


def shards() -> MapShards:
    """What the step computes, of 200 images and more by ONNX Runtime; its export is not timed."""
    backbone = Backbone(NAME).eval()
    fold_batch_norms(backbone)
    runtime = Runtime(threads=torch.get_num_threads(), cpu=True)
    quick = quick_maps(backbone, SIZE, ("final",))
    return MapShards(backbone, SIZE, ("final",), lambda: runtime, quick)


@torch.no_grad()
def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "maps").parse_args()
    images = 16 if options.quick else 64
    rounds = options.rounds or (2 if options.quick else 5)
    net = timm.create_model(NAME, num_classes=0).eval()
    numbers = count()
    with tempfile.TemporaryDirectory() as name:
        paths = photographs(Path(name), images)
        records = [ImageRecord(str(n), path, "train", (1,)) for n, path in enumerate(paths)]
        dataset, work = ViewDataset(records, load_image), shards()
        pixels = torch.rand(images, 3, SIZE, SIZE)

        def bare(size: int) -> None:
            for few in pixels.split(size):
                net.forward_features(few)

        def ours() -> None:
            folder = Path(name) / str(next(numbers))
            folder.mkdir()
            write_shards(dataset, partial(shard_path, folder), work)

        calls = {f"timm, batches of {size}": (lambda size=size: bare(size)) for size in BATCHES}
        spent = interleaved({"ours": ours, **calls}, rounds)
    own = spent.pop("ours")
    best = [min(times) for times in zip(*spent.values(), strict=True)]
    facts = {"images": images, "seconds": {"ours": own, **spent}}
    publish(
        f"teacher maps of {images} photographs, {NAME} at {SIZE} px",
        [
            Figure("images/s: teacher maps / bare timm forward", ratio(best, own), "higher", 0.9,
                   1.0, facts),
        ],
        options,
    )  # fmt: skip


if __name__ == "__main__":
    main()
