"""The teacher for any training loop: a WSDDN on any backbone, which checks what it is given."""

import torch
from torch import Tensor, nn

from boxless.errors import ShapeError
from boxless.losses.checks import check_regions, unit_boxes, valid_regions
from boxless.losses.region_pooling import Pooling
from boxless.models.backbone import Backbone, as_backbone
from boxless.models.detector import Detector, DetectorHead, DetectorOutput


class WeaklySupervisedDetector(nn.Module):
    """A detector that learns from tags which regions show what.

    Each region is scored against all classes (softmax over classes) and against all regions of its
    image (softmax over regions); the product, summed over regions, is the image's probability of a
    class, which `boxless.losses.detector_loss` compares with the tags. Bilen, Vedaldi, "Weakly
    Supervised Deep Detection Networks", CVPR 2016 (https://arxiv.org/abs/1511.02853); it differs
    from the paper in pooling with RoIAlign, and in one linear layer instead of VGG's fc6 and fc7.

    Args:
        backbone: A `Backbone`, a timm name (random weights) or a module of your own that turns
            (N, 3, H, W) into one map (N, C, h, w).
        classes: K.
        level: Level of the backbone that regions are pooled from.
        bins: Bins per side of a region.
        pooling: ``align`` or ``max``.
        hidden: Width of a hidden layer; 0 = none.
        dropout: Dropout behind it.

    Attributes:
        detector: The `Detector` of one head inside.

    Raises:
        ConfigError: The backbone or its level does not exist.

    Example:
        >>> import torch
        >>> from boxless.losses import detector_loss
        >>> from boxless.models import WeaklySupervisedDetector
        >>> teacher = WeaklySupervisedDetector("test_resnet", classes=3, level="stride16")
        >>> pixels = torch.randint(0, 256, (1, 3, 64, 64)).float()  # RGB in 0-255
        >>> boxes = torch.tensor([[[0.0, 0, 64, 64], [10, 10, 40, 50]]])
        >>> output = teacher(pixels, boxes, image_size=(64, 64))
        >>> output.region_scores().shape
        torch.Size([1, 2, 3])
        >>> detector_loss(output.image_probabilities(), torch.tensor([[1, 0, -1]])).backward()
    """

    def __init__(
        self,
        backbone: Backbone | str | nn.Module,
        classes: int,
        *,
        level: str = "final",
        bins: int = 7,
        pooling: Pooling = "align",
        hidden: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        trunk = as_backbone(backbone)
        head = DetectorHead(
            trunk.channels(level),
            classes,
            kind="pooled_linear",
            bins=bins,
            hidden=hidden,
            dropout=dropout,
        )
        self.detector = Detector(
            trunk,
            level=level,
            heads=[head],
            bins=bins,
            pooling=pooling,
            score_scale=0.0,
            score_bias=1.0,
        )

    @property
    def backbone(self) -> Backbone:
        """The feature extractor; `Backbone.forward` gives the maps that a student is to match."""
        return self.detector.backbone

    def forward(
        self,
        pixels: Tensor,
        boxes: Tensor,
        mask: Tensor | None = None,
        image_size: tuple[float, float] | Tensor | None = None,
    ) -> DetectorOutput:
        """Score the regions of a batch.

        Args:
            pixels: (N, 3, S, S) RGB in 0-255.
            boxes: (N, R, 4), (x1, y1, x2, y2), ends exclusive: in pixels of a picture with
                `image_size`, or in parts of its sides (0 to 1) with None.
            mask: (N, R) bool, False for padding; None = all are regions.
            image_size: (height, width) of the picture that boxes are drawn in, or (N, 2) of them.

        Returns:
            Scores of regions; `DetectorOutput.image_probabilities` sums them up.

        Raises:
            ShapeError: A shape does not fit.
            DataError: A box lies outside its picture, ends before it begins, or is given in pixels
                without `image_size`.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.shape[2] != pixels.shape[3]:
            raise ShapeError(
                f"pixels must be (images, 3, S, S), found {tuple(pixels.shape)}",
                hint="resize pictures to squares; unit boxes do not change by that",
            )
        check_regions(boxes, len(pixels))
        valid = valid_regions(boxes, mask)
        unit = unit_boxes(boxes.float(), image_size, valid)
        [output] = self.detector(pixels, unit, torch.ones_like(unit[..., 0]), valid)
        return output  # type: ignore[no-any-return]
