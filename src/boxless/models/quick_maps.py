"""A frozen backbone's maps on a CPU, by ONNX Runtime instead of PyTorch.

One image at a time stays in a core's caches, and cores that do not wait for each other do most:
EfficientNet-Lite0 at 320 px takes 10 ms of one core, in PyTorch two at a time 20 to 30. Maps differ
from PyTorch's by rounding. A session is opened where the maps are computed, so that other processes
and machines can be handed the graph.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boxless.errors import RunError
from boxless.files.launched import side_by_side
from boxless.models.backbone import Backbone

WORTH = 200
"""Images from which on it pays: the export takes about two seconds."""
INPUT = "image"
APART = 1e-3
"""Largest difference from PyTorch's maps, relative to their largest value."""


@dataclass(frozen=True, slots=True)
class QuickMaps:
    """Maps by level, of images.

    Attributes:
        graph: Content of an ONNX file.
        levels: Its outputs.

    Example:
        >>> import torch
        >>> from boxless.models.backbone import Backbone
        >>> from boxless.models.quick_maps import quick_maps
        >>> backbone = Backbone("test_resnet").eval()
        >>> quick = quick_maps(backbone, 64, ("final",))
        >>> pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
        >>> expected = backbone(backbone.normalize(pixels.float()))["final"]
        >>> torch.allclose(quick(pixels)["final"], expected, atol=1e-4)
        True
    """

    graph: bytes
    levels: tuple[str, ...]

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Maps (N, C, h, w) float32 of RGB pixels (N, 3, S, S) uint8."""
        session = _session(self.graph)
        inputs = pixels.permute(0, 2, 3, 1).contiguous().numpy()  # as they lie in memory anyway

        def work(row: int) -> list[Any]:
            found: list[Any] = session.run(self.levels, {INPUT: inputs[row : row + 1]})
            return found

        rows = list(side_by_side(torch.get_num_threads())(work, range(len(inputs))))
        joined = (torch.from_numpy(np.concatenate(maps)) for maps in zip(*rows, strict=True))
        return dict(zip(self.levels, joined, strict=True))


@lru_cache(maxsize=1)
def _session(graph: bytes) -> Any:
    import onnxruntime  # noqa: PLC0415  (as in predictions, where it is needed alone)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class _Maps(nn.Module):
    def __init__(self, backbone: Backbone, levels: tuple[str, ...]) -> None:
        super().__init__()
        self.backbone, self.levels = backbone, levels

    def forward(self, image: Tensor) -> list[Tensor]:
        pixels = image.permute(0, 3, 1, 2).float()
        found = self.backbone(self.backbone.normalize(pixels), self.levels)
        return [found[level] for level in self.levels]


def quick_maps(backbone: Backbone, side: int, levels: tuple[str, ...]) -> QuickMaps:
    """Export a backbone, which is not changed, and see that its maps are the same.

    Args:
        backbone: In evaluation mode, on the CPU.
        side: Side of the input in pixels.
        levels: Levels whose maps are wanted.

    Raises:
        RunError: They are not; others, of torch and ONNX Runtime, where one cannot export and the
            other not open it.
    """
    quick = _export(backbone, side, levels)
    pixels = torch.randint(0, 256, (1, side, side, 3), generator=torch.Generator().manual_seed(0))
    seen = pixels.to(torch.uint8).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = backbone(backbone.normalize(seen.float()), levels)
    for level, found in quick(seen).items():
        apart = float((found - expected[level]).abs().max() / expected[level].abs().max())
        if not apart <= APART:  # NaN is not
            raise RunError(f"ONNX Runtime's map {level!r} is {apart:.2g} apart from PyTorch's")
    return quick


def _export(backbone: Backbone, side: int, levels: tuple[str, ...]) -> QuickMaps:
    program = torch.onnx.export(
        _Maps(backbone, levels).eval(),
        (torch.zeros(1, side, side, 3, dtype=torch.uint8),),
        input_names=[INPUT],
        output_names=list(levels),
        dynamo=True,
        verbose=False,
    )
    assert program is not None, "torch.onnx.export gave no program"
    graph: bytes = program.model_proto.SerializeToString()
    return QuickMaps(graph, levels)
