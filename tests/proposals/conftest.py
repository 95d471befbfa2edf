import pytest
from proposal_pictures import load, write_pictures

from boxless.proposals.extract import extract
from boxless.proposals.proposer import make_proposer


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 10)


@pytest.fixture
def make_store(records, tmp_path):
    """Extract into tmp_path / "store" with small shards; keywords override."""

    def make(folder=None, use=records, proposer=None, **options):
        settings = {"manifest_fingerprint": "m1", "load_image": load, "workers": 1, "shard_size": 4}
        return extract(
            use,
            proposer or make_proposer("edge_boxes", max_boxes=60, size=96),
            folder or tmp_path / "store",
            **{**settings, **options},
        )

    return make
