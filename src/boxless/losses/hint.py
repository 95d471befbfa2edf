"""FitNets' hint: whole feature maps of the student, through a regressor, towards the teacher's.

Romero et al. 2015 (https://arxiv.org/abs/1412.6550, Eq. 3) write 1/2 || . ||^2 of one image; here
it is averaged over images and over the h w cells, as the region loss is over regions, so that one
learning rate suits both.
"""

from torch import Tensor

from boxless.errors import ShapeError
from boxless.losses.map_loss import MapLoss
from boxless.losses.region_transfer import Adapter


class HintLoss(MapLoss):
    """Make a student's whole feature map agree with a teacher's; owns the regressor.

    ``1/(2 N h w) || T - r(S) ||^2``, the teacher's map T averaged over the student's cells. Romero
    et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, Eq. 3, averaged over cells
    (https://arxiv.org/abs/1412.6550).

    Args:
        student_channels: C_S.
        teacher_channels: C_T.
        adapter: r: ``conv1x1``, ``identity``, or ``auto`` (identity where C_S = C_T).

    Attributes:
        regressor: r; training only.

    Example:
        >>> import torch
        >>> from boxless.losses import HintLoss
        >>> loss = HintLoss(student_channels=8, teacher_channels=16)
        >>> student_map = torch.randn(2, 8, 4, 4, requires_grad=True)
        >>> loss(student_map, torch.randn(2, 16, 10, 10)).backward()
        >>> student_map.grad.shape
        torch.Size([2, 8, 4, 4])
    """

    def __init__(
        self, student_channels: int, teacher_channels: int, *, adapter: str = "conv1x1"
    ) -> None:
        super().__init__()
        self.channels = student_channels, teacher_channels
        self.regressor = Adapter(student_channels, teacher_channels, kind=adapter)

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of maps (N, C_S, h, w) and (N, C_T, h, w)."""
        return hint_loss(self.regressor(student), teacher)


def hint_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """`HintLoss` of a map (N, C, h, w) behind the regressor and the teacher's on the same cells."""
    if student.shape != teacher.shape:
        raise ShapeError(
            f"hint: student map {tuple(student.shape)} and teacher map {tuple(teacher.shape)}"
            " must have one shape",
            hint="pool the teacher's map to the student's cells and adapt the channels first",
        )
    images, _, height, width = student.shape
    return (teacher - student).square().sum() / (2 * images * height * width)
