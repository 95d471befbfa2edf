"""Nodes of a Ray cluster killed at random moments of an extraction: are the stores still the same?

A cluster of two nodes on this machine; in each round one is killed while boxes are proposed and
another one joins afterwards. Every store is compared with that of the local engine, byte for byte.

    python benchmarks/bench_node_kills.py [--quick] [--out bench_node_kills.json]
"""

import os
import random
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from bench_engines import photographs
from measure import Figure, parser, publish
from ray.cluster_utils import Cluster

from boxless.data.images import load_image
from boxless.files.engine import Engine
from boxless.files.ray_engine import engine_beyond
from boxless.proposals.extract import extract
from boxless.proposals.proposer import make_proposer
from boxless.types import ImageRecord

NODE = {"num_cpus": 1, "object_store_memory": 100 * 1024**2}


def propose(records: list[ImageRecord], folder: Path, **options: object) -> dict[str, bytes]:
    """A store in shards of 32; its files."""
    extract(
        records,
        make_proposer("edge_boxes", max_boxes=200, size=200),
        folder,
        manifest_fingerprint="m",
        load_image=load_image,
        shard_size=32,
        **options,  # type: ignore[arg-type]
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def survived(
    cluster: Cluster, engine: Engine, records: list[ImageRecord], folder: Path, moment: float
) -> tuple[dict[str, bytes], float]:
    """Files of a store during whose making a node was killed, and the seconds that took."""
    node = cluster.add_node(**NODE)
    due = moment * len(records)

    def kill(done: int, _: int) -> None:
        nonlocal node
        if done >= due and node is not None:
            cluster.remove_node(node, allow_graceful=False)
            node = None

    began = time.perf_counter()
    files = propose(records, folder, engine=engine, progress=kill)
    return files, time.perf_counter() - began


def main() -> None:
    """Kill, compare and publish."""
    options = parser(__doc__, "node_kills").parse_args()
    rounds = options.rounds or (1 if options.quick else 10)
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photographs").mkdir()
        records = photographs(folder / "photographs", 128)
        wanted = propose(records, folder / "local", workers=1)
        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        same, seconds = [], []
        with engine_beyond("ray", address=cluster.address) as engine:
            if engine is None:
                raise SystemExit("Ray is needed")
            engine.images_per_unit = 4
            for number in range(rounds):
                moment = chance.uniform(0.02, 0.8)
                found, spent = survived(cluster, engine, records, folder / f"ray{number}", moment)
                same.append(float(found == wanted))
                seconds.append(spent)
                print(f"killed at {moment:.0%}: {'same' if same[-1] else 'DIFFERS'}, {spent:.1f} s")
        cluster.shutdown()
    figures = [
        Figure(f"stores that are the same, of {rounds}", [sum(same)], "higher", bar=rounds),
        Figure("seconds a store", seconds),
    ]
    publish(
        f"Nodes killed while boxes are proposed on {len(records)} photographs", figures, options
    )


if __name__ == "__main__":
    main()
