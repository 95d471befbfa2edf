"""One small Ray cluster for all tests; they are skipped where Ray is not installed."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"


def patiently(start):
    """Start something of Ray's, which gives up after 30 s: too few on a busy machine."""
    for attempts_left in (2, 1, 0):
        try:
            return start()
        except Exception:
            if not attempts_left:
                raise
    return None


@pytest.fixture(scope="session")
def cluster():
    """Two nodes of one core each; the first is this process's, the second may be killed."""
    pytest.importorskip("ray.data")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    places = [str(SOURCE), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    before, os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH"), os.pathsep.join(places)
    node = {"num_cpus": 1, "object_store_memory": 100 * 1024**2}
    cluster = patiently(
        lambda: Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    )
    patiently(lambda: cluster.add_node(**node))
    try:
        yield cluster
    finally:
        if "ray" in sys.modules and sys.modules["ray"].is_initialized():
            sys.modules["ray"].shutdown()
        cluster.shutdown()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
