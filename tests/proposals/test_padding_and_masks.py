"""Whatever the method, a batch pads short lists and masks the padding."""

import numpy as np
import pytest
import torch
from proposal_pictures import load
from torchvision.models import detection

from boxless.proposals.proposer import make_proposer
from boxless.training.batches import ViewDataset, whole_batches

NETWORK = "fasterrcnn_mobilenet_v3_large_320_fpn"


def options(method, records, folder):
    if method == "file":
        boxes = {
            record.image_id: np.array([[0, 0, 10 + row, 20, 1] for row in range(count)])
            for count, record in enumerate(records, 1)
        }
        np.savez(folder / "b.npz", **boxes)
        return {"file": str(folder / "b.npz")}
    if method == "faster_rcnn":
        torch.manual_seed(0)
        network = getattr(detection, NETWORK)(weights=None, weights_backbone=None, num_classes=2)
        torch.save(network.state_dict(), folder / "w.pth")
        return {"weights": str(folder / "w.pth"), "architecture": NETWORK, "size": 64}
    return {} if method == "grid" else {"size": 64}


@pytest.mark.parametrize(
    "method",
    [
        "edge_boxes",
        "selective_search_fast",
        "selective_search_quality",
        "grid",
        "faster_rcnn",
        "file",
    ],
)
def test_mask_tells_boxes_from_padding(method, records, make_store, tmp_path):
    used = records[:3]
    store = make_store(use=used, proposer=make_proposer(method, **options(method, used, tmp_path)))
    counts = [len(store[record.image_id]) for record in used]
    most = max(counts)
    dataset = ViewDataset(used, load, proposals=store.__getitem__, regions=most)
    (batch,) = whole_batches(dataset, size=32, batch_size=3)
    assert batch.mask.shape == (3, most)
    assert batch.mask.sum(1).tolist() == counts
    if method == "file":
        assert counts == [1, 2, 3]
    if method == "grid":
        assert batch.mask.all()
    for row, record in enumerate(used):
        found = store[record.image_id]
        size = np.array([found.width, found.height] * 2)
        here = batch.boxes[row, : counts[row]].numpy()
        np.testing.assert_allclose(here * size, found.boxes, atol=1e-3)
        assert not batch.boxes[row, counts[row] :].any()
        assert not batch.scores[row, counts[row] :].any()
