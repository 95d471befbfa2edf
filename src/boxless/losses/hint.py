"""FitNets' hint: whole feature maps of the student, through a regressor, towards the teacher's.

    L = 1/(2N) sum_n 1/(h w) || T_n - r(S_n) ||^2

Romero et al. 2015 (https://arxiv.org/abs/1412.6550, Eq. 3) write 1/2 || . ||^2 of one image; here
it is averaged over images and over the h w cells, as the region loss is over regions, so that one
learning rate suits both. The regressor r is `boxless.losses.region_transfer.Adapter`, a 1x1
convolution that is thrown away afterwards. The teacher's map is pooled to the student's cells
before (`boxless.losses.view_pooling`).
"""

from torch import Tensor

from boxless.errors import ShapeError


def hint_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Hint loss of one level.

    Args:
        student: (N, C, h, w) student map behind the regressor, differentiable.
        teacher: (N, C, h, w) teacher map, pooled to the student's cells.

    Returns:
        Scalar.

    Raises:
        ShapeError: The two maps differ in shape.
    """
    if student.shape != teacher.shape:
        raise ShapeError(
            f"hint: student map {tuple(student.shape)} and teacher map {tuple(teacher.shape)}"
            " must have one shape",
            hint="pool the teacher's map to the student's cells and adapt the channels first",
        )
    images, _, height, width = student.shape
    return (teacher - student).square().sum() / (2 * images * height * width)
