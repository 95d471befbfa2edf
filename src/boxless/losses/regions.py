"""Region transfer as a module for any training loop: checks what it is given, and owns Psi.

The arithmetic is `boxless.losses.region_transfer`, which a run uses directly.
"""

from typing import get_args

import torch
from torch import Tensor, nn

from boxless.errors import ConfigError, DataError, ShapeError, unknown_name
from boxless.losses.checks import check_maps, check_regions, unit_boxes, valid_regions
from boxless.losses.region_transfer import Adapter, Form, region_loss


class RegionTransferLoss(nn.Module):
    """Make a student's feature map agree with a teacher's on weighted regions; owns Psi.

    ``1/(2N) sum_n 1/|R_n| sum_R s'_R^2 || pool(T; R) - pool(Psi(S); R) ||^2``, averaged over images
    and regions, summed over channels and bins. For several levels take one loss per level and add
    them up. Liu et al., "Multi-Label Image Classification via Knowledge Distillation from
    Weakly-Supervised Detection", ACM MM 2018, Eq. 3 (https://arxiv.org/abs/1809.05884). It differs
    from the paper in its pooling: RoIAlign by default, in closed form; ``form="max"`` is the
    paper's.

    Args:
        student_channels: C_S.
        teacher_channels: C_T.
        bins: A region is pooled to ``bins`` x ``bins`` cells.
        form: ``exact`` (RoIAlign as a quadratic form), ``align`` (the same, pooled region by
            region) or ``max`` (max pooling of square maps; needs `input_sizes`).
        adapter: Psi: ``conv1x1``, ``identity``, or ``auto`` (identity where C_S = C_T).
        displacement: How far the cells of the student's and of the teacher's map look right of and
            below their ideal place, in input pixels; regions are moved along. Trained networks'
            do not (docs/decisions/0011). Needs `input_sizes`.
        input_sizes: Input sides of student and teacher in pixels.

    Attributes:
        psi: The adapter; train it with the student and throw it away afterwards.

    Raises:
        ConfigError: A value makes no sense, or `input_sizes` is missing.

    Example:
        >>> import torch
        >>> from boxless.losses import RegionTransferLoss
        >>> loss = RegionTransferLoss(student_channels=8, teacher_channels=16, bins=3)
        >>> student_map = torch.randn(2, 8, 4, 4, requires_grad=True)
        >>> teacher_map = torch.randn(2, 16, 10, 10)
        >>> boxes = torch.tensor([[0.0, 0, 160, 120], [20, 10, 90, 80]]).expand(2, 2, 4)
        >>> value = loss(student_map, teacher_map, boxes, image_size=(120, 160))
        >>> value.backward()
        >>> value.shape, student_map.grad.shape
        (torch.Size([]), torch.Size([2, 8, 4, 4]))
        >>> loss(student_map, teacher_map, boxes)  # forgot image_size
        Traceback (most recent call last):
            ...
        boxless.errors.DataError: boxes[0, 0] = [0.0, 0.0, 160.0, 120.0] does not lie in the unit...
          -> these look like pixels: pass image_size=(height, width) of the picture
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        bins: int = 7,
        form: Form = "exact",
        adapter: str = "auto",
        displacement: tuple[float, float] = (0.0, 0.0),
        input_sizes: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if form not in get_args(Form):
            raise ConfigError(unknown_name("form of the region loss", form, get_args(Form)))
        if bins < 1:
            raise ConfigError(f"bins must be at least 1, found {bins}")
        if input_sizes is None and (form == "max" or any(displacement)):
            raise ConfigError(
                "form='max' and displacement count in input pixels, but input_sizes is not given",
                hint="pass input_sizes=(side of the student's input, side of the teacher's)",
            )
        self.psi = Adapter(student_channels, teacher_channels, kind=adapter)
        self.channels, self.bins, self.form = (student_channels, teacher_channels), bins, form
        self.input_sizes = input_sizes or (1, 1)
        self.shifts = [px / side for px, side in zip(displacement, self.input_sizes, strict=True)]

    def forward(
        self,
        student_map: Tensor,
        teacher_map: Tensor,
        boxes: Tensor,
        weights: Tensor | None = None,
        image_size: tuple[float, float] | Tensor | None = None,
        mask: Tensor | None = None,
        teacher_boxes: Tensor | None = None,
    ) -> Tensor:
        """Loss of a batch.

        Args:
            student_map: (N, C_S, h, w), differentiable.
            teacher_map: (N, C_T, H, W); no gradient reaches it.
            boxes: (N, R, 4), (x1, y1, x2, y2), ends exclusive, in the student's view: in pixels of
                a picture with `image_size`, or in parts of its sides (0 to 1) with None.
            weights: (N, R), s' >= 0, such as `boxless.losses.objectness` gives; they enter squared.
                None = 1 each.
            image_size: (height, width) of the picture that boxes are drawn in, or (N, 2) of them.
            mask: (N, R) bool, False for padding; None = all are regions.
            teacher_boxes: (N, R, 4), the same regions in the teacher's view and in the same unit,
                where it is another view (a crop, a mirrored image); None = as `boxes`.

        Returns:
            Scalar >= 0 (up to rounding).

        Raises:
            ShapeError: A shape does not fit, or there is no region.
            DataError: A box lies outside its picture, ends before it begins, or is given in pixels
                without `image_size`; or no region has a weight above 0.
        """
        check_maps(student_map, teacher_map, self.channels, loss="RegionTransferLoss")
        if self.form == "max":
            _check_square(student_map, teacher_map)
        dtype = torch.float64 if student_map.dtype == torch.float64 else torch.float32
        check_regions(boxes, len(student_map))
        valid = valid_regions(boxes, mask)
        objectness = _objectness(boxes, weights, valid, dtype)
        found = [unit_boxes(boxes.to(dtype), image_size, valid)]
        if teacher_boxes is not None:
            check_regions(teacher_boxes, len(student_map), name="teacher_boxes")
            found.append(
                unit_boxes(teacher_boxes.to(dtype), image_size, valid, name="teacher_boxes")
            )
        return region_loss(
            self.psi(student_map).to(dtype),
            teacher_map.detach().to(dtype),
            found[0] - self.shifts[0],
            found[-1] - self.shifts[1],
            objectness,
            valid,
            bins=self.bins,
            form=self.form,
            student_size=self.input_sizes[0],
            teacher_size=self.input_sizes[1],
        )

    def extra_repr(self) -> str:
        """What ``print`` shows beside Psi."""
        return f"{self.channels[0]}, {self.channels[1]}, bins={self.bins}, form={self.form!r}"


def _check_square(*maps: Tensor) -> None:
    for name, found in zip(("student_map", "teacher_map"), maps, strict=True):
        if found.shape[-1] != found.shape[-2]:
            raise ShapeError(
                f"form='max' needs square maps, {name} has {found.shape[-2]} rows and"
                f" {found.shape[-1]} columns",
                hint="take form='exact' or 'align'",
            )


def _objectness(boxes: Tensor, weights: Tensor | None, valid: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights (N, R), 1 by default, checked."""
    if weights is None:
        weights = boxes.new_ones(valid.shape)
    elif weights.shape != valid.shape:
        raise ShapeError(
            f"weights must be {tuple(valid.shape)} as boxes are, found {tuple(weights.shape)}"
        )
    found = weights.detach().to(dtype)
    used = found[valid]
    if not bool((used > 0).any() & (used >= 0).all() & used.isfinite().all()):
        raise DataError(
            "weights must be >= 0 and finite, and some region of the batch must have more than 0;"
            f" found {len(used)} regions with weights"
            f" {[round(float(value), 4) for value in used[:5]]}…",
            hint="leave out batches without any region; a mask is true for regions",
        )
    return found
