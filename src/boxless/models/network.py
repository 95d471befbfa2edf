"""What students and teachers share: a backbone, and of teachers the heads on one of its levels."""

from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from boxless.models.backbone import Backbone
from boxless.models.protocols import Answer, Images
from boxless.models.quick_maps import QuickMaps

Output = TypeVar("Output", bound=Answer)


def over_regions(logits: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Softmax (N, R, K) over an image's regions; padding (`mask` (N, R) False) counts nothing."""
    # The least number, not -inf: an image without any region must not turn gradients into NaN.
    least = torch.finfo(logits.dtype).min
    return (logits / temperature).masked_fill(~mask[..., None], least).softmax(1)


class OnBackbone(nn.Module):
    """A network on a backbone.

    Attributes:
        backbone: Feature extractor.
    """

    backbone: Backbone

    def channels(self, level: str) -> int:
        """See `Backbone.channels`."""
        return self.backbone.channels(level)

    def maps(self, pixels: Tensor, levels: tuple[str, ...]) -> dict[str, Tensor]:
        """Maps (N, C, h, w) by level of RGB pixels (N, 3, S, S) in 0-255."""
        found: dict[str, Tensor] = self.backbone(self.backbone.normalize(pixels), levels)
        return found


class RegionTeacher(OnBackbone, Generic[Output]):
    """A teacher of our own: heads that score the regions of one level's map.

    Attributes:
        level: Level that is looked at.
        heads: Head 0 is *the* teacher, head 1 + f has not seen fold f (cross-fitting).
        quick: The backbone as ONNX Runtime computes it, asked instead where it is set.
    """

    level: str
    heads: nn.ModuleList
    quick: QuickMaps | None = None

    def maps(self, pixels: Tensor, levels: tuple[str, ...]) -> dict[str, Tensor]:
        """See `OnBackbone.maps`."""
        if self.quick is not None and levels == self.quick.levels:
            return self.quick(pixels.to(torch.uint8))
        return super().maps(pixels, levels)

    def answer(self, images: Images) -> Output:
        """What head 0 says of a batch of images."""
        (output,) = self(images.pixels.float(), images.boxes, images.scores, images.mask)
        return cast("Output", output)

    def noisy(self, *, on: bool) -> None:
        """Evaluation mode, with dropout in the heads or without."""
        self.eval()
        self.heads.train(on)

    def forward(
        self,
        pixels: Tensor,
        boxes: Tensor,
        scores: Tensor,
        mask: Tensor,
        heads: tuple[int, ...] = (0,),
    ) -> list[Output]:
        """What some heads say of RGB pixels (N, 3, S, S) in 0-255; see `read`."""
        maps = self.maps(pixels, (self.level,))[self.level]
        return self.read(maps, boxes, scores, mask, view_size=int(pixels.shape[-1]), heads=heads)

    def read(
        self,
        maps: Tensor,
        boxes: Tensor,
        scores: Tensor,
        mask: Tensor,
        *,
        view_size: int,
        heads: tuple[int, ...] = (0,),
    ) -> list[Output]:
        """What some heads say of maps that are there already.

        Args:
            maps: (N, C, h, w) map of `level`.
            boxes: (N, R, 4) unit boxes.
            scores: (N, R) proposal scores.
            mask: (N, R) bool, False for padding.
            view_size: Side of the input in pixels.
            heads: Which heads to run.

        Returns:
            One output per head.
        """
        raise NotImplementedError
