"""The frame of losses that compare whole maps."""

from torch import Tensor, nn

from boxless.losses.checks import check_maps
from boxless.losses.view_pooling import on_cells


class MapLoss(nn.Module):
    """A loss of a student's map; the teacher's is averaged over the student's cells first.

    Attributes:
        channels: C_S and C_T that it was built for; None = any.
    """

    channels: tuple[int, int] | None = None

    def forward(
        self, student_map: Tensor, teacher_map: Tensor, teacher_view: Tensor | None = None
    ) -> Tensor:
        """Loss of a batch.

        Args:
            student_map: (N, C_S, h, w), differentiable.
            teacher_map: (N, C_T, H, W); no gradient reaches it.
            teacher_view: (N, 4) unit box of the student's view in the teacher's; None = the same.

        Returns:
            Scalar.

        Raises:
            ShapeError: A shape does not fit.
        """
        check_maps(student_map, teacher_map, self.channels, loss=type(self).__name__)
        return self.compare(student_map, on_cells(teacher_map, student_map, teacher_view))

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of maps (N, C_S, h, w) and (N, C_T, h, w)."""
        raise NotImplementedError
