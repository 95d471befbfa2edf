"""Boxes of a Faster R-CNN whose weights are at hand as a file.

S. Ren et al., "Faster R-CNN", NeurIPS 2015; the networks are torchvision's. The paper's table 5
compares such boxes with EdgeBoxes. They come from a detector trained on boxes, so a teacher that
uses them no longer learns from tags alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from boxless.errors import ConfigError, MissingExtraError, unknown_name
from boxless.metrics.boxes import rescale
from boxless.models.weight_files import ARCHIVES, read_archive, read_safetensors
from boxless.proposals.index import Setting, file_stamp, stamped_sha256
from boxless.proposals.precision import half
from boxless.proposals.selection import AT_LEAST, diverse_order, require_ranges, top_up, usable
from boxless.types import Float32Array, UInt8Array

try:
    import torch
    from torchvision.models import detection
except ImportError as error:
    raise MissingExtraError("torchvision", "train") from error


RECIPE = 2  # raise it when a change of code changes boxes: old stores then no longer fit
ARCHITECTURES = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
)
TWINS = 0.9  # IoU above which the weaker of two boxes is dropped: classes share their boxes
CLASSES_KEY = "roi_heads.box_predictor.cls_score.weight"


@dataclass(frozen=True, slots=True)
class FasterRcnn:
    """Proposer that runs a detector.

    First come the detections of all classes with their confidence as score (from 0.05 on, after
    torchvision's suppression within a class at IoU 0.5); then, up to ``max_boxes``, the region
    proposal network's boxes in its own order, with scores that fall evenly from the lowest
    detection's towards 0. Of two boxes with an IoU above 0.9 the later is dropped.

    It runs in one process, on an accelerator if there is one.

    Attributes:
        weights: File with the network's state dict: ``.safetensors``, or torchvision's ``.pth``
            (read with ``weights_only``, so no code in it is run).
        architecture: One of ``ARCHITECTURES``, as the weights need it.
        max_boxes: Most boxes per image, at least 1.
        size: The image goes in with its longer side at this many pixels, 32 to 2048.
        min_box_size: Shortest side of a box, in pixels of the original image; in small images an
            eighth of the shorter side.

    Raises:
        ConfigError: The weights are missing or of another architecture, or a value is out of range.
        MissingExtraError: torchvision is not installed.
    """

    name: ClassVar = "faster_rcnn"
    in_process: ClassVar = True  # the network is not loaded once per process
    weights: str = ""
    architecture: str = ARCHITECTURES[0]
    max_boxes: int = 500
    size: int = 640
    min_box_size: float = 20.0

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(unknown_name("detector", self.architecture, ARCHITECTURES))
        if not self.weights or not Path(self.weights).is_file():
            found = f"no such file {self.weights!r}" if self.weights else "none given"
            raise ConfigError(
                f"Faster R-CNN needs its weights as a file, found {found}",
                hint=f"give torchvision's state dict of {self.architecture} (.pth or .safetensors)"
                " with --detector-weights FILE; nothing is downloaded",
            )
        require_ranges(self, max_boxes=(1, 100_000), size=(32, 2048), min_box_size=(0, 10_000))

    @property
    def settings(self) -> dict[str, Setting]:
        """The values behind the boxes; the weights by checksum, not by path."""
        return {
            "architecture": self.architecture,
            "weights_sha256": stamped_sha256(file_stamp(Path(self.weights))),
            "max_boxes": self.max_boxes,
            "size": self.size,
            "min_box_size": self.min_box_size,
            "recipe": RECIPE,
        }

    def __call__(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """See `Proposer.__call__`."""
        height, width = image.shape[:2]
        network = load_network(self.architecture, self.weights, self.size, self.max_boxes)
        boxes, scores = detect(network, image)
        boxes, scores = usable(boxes, half(scores), width, height, self.min_box_size)
        order = diverse_order(boxes, (TWINS,), self.max_boxes)
        at_least = min(AT_LEAST, self.max_boxes)
        return top_up(boxes[order], scores[order], width, height, at_least)


@torch.inference_mode()
def detect(network: Any, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
    """Detections of torchvision's ``FasterRCNN``, then boxes of its region proposal network.

    Boxes (R, 4) are in pixels of an (H, W, 3) image, with falling scores (R,) in (0, 1].
    """
    device = next(network.parameters()).device
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).to(device) / 255
    batch, _ = network.transform([pixels])
    features = network.backbone(batch.tensors)
    regions, _ = network.rpn(batch, features)
    (found,), _ = network.roi_heads(features, regions, batch.image_sizes)
    order = found["scores"].argsort(descending=True, stable=True)
    scores = found["scores"][order].cpu().numpy()
    spare = np.linspace(scores.min(initial=1.0), 0, len(regions[0]) + 1, endpoint=False)[1:]
    boxes = torch.cat([found["boxes"][order], regions[0]]).cpu().numpy()
    height, width = batch.image_sizes[0]
    boxes = rescale(boxes, image.shape[1] / width, image.shape[0] / height)
    return boxes, np.concatenate([scores, spare]).astype(np.float32)


def load_network(architecture: str, weights: str, size: int, max_boxes: int) -> Any:
    """A detector in evaluation mode with the weights of a file; the last one is kept.

    Raises:
        ConfigError: The file is unreadable, holds more than tensors, or does not fit.
    """
    return _build(architecture, file_stamp(Path(weights)), size, max_boxes)


@lru_cache(maxsize=1)
def _build(architecture: str, stamp: tuple[str, int, int], size: int, max_boxes: int) -> Any:
    weights = stamp[0]
    state = (read_archive if Path(weights).suffix in ARCHIVES else read_safetensors)(Path(weights))
    if CLASSES_KEY not in state:
        raise ConfigError(f"{weights}: expected a Faster R-CNN with {CLASSES_KEY!r}, found none")
    network = getattr(detection, architecture)(
        weights=None,
        weights_backbone=None,
        num_classes=len(state[CLASSES_KEY]),
        min_size=size,
        max_size=size,
        box_detections_per_img=max_boxes,
        rpn_post_nms_top_n_test=max_boxes,
    )
    # Published weights have frozen statistics without a counter of batches.
    counted = any(key.endswith("num_batches_tracked") for key in state)
    try:
        lacking, surplus = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ConfigError(f"{weights} does not fit {architecture}: {str(error)[:300]}") from error
    lacking = [key for key in lacking if not key.endswith("num_batches_tracked")]
    if lacking or surplus:
        raise ConfigError(
            f"{weights} does not fit {architecture}: lacks {len(lacking)} tensors "
            f"({', '.join(lacking[:2])}), has {len(surplus)} others ({', '.join(surplus[:2])})",
            hint=f"name the architecture of the weights: {', '.join(ARCHITECTURES)}",
        )
    if architecture == "fasterrcnn_resnet50_fpn" and not counted:
        for module in network.modules():  # as torchvision does for its COCO weights
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
