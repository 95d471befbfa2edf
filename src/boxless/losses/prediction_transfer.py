"""Stage 2: the student's predictions towards the teacher's, beside the tags (method 5).

p'^T comes from `DetectorOutput.image_probabilities` with the temperatures t^c and t^d (0.5 each in
the released code: the teacher is sharpened); the code adds the two losses with weight 1.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from boxless.errors import ConfigError, ShapeError, unknown_name
from boxless.losses.checks import check_probabilities, check_rows

SoftLossKind = Literal["l2", "bce"]


class ClassAwareLoss(nn.Module):
    """L_p' of the paper's stage 2: a student's predictions towards a detector's, class by class.

    ``l2``: ``1/(2N) sum_n || p'^T - sigmoid(z) ||^2`` (Liu et al., ACM MM 2018, Eq. 10;
    https://arxiv.org/abs/1809.05884); ``bce``: ``1/N sum_n sum_k BCE(sigmoid(z_k / t_k), p'^T_k)``
    (their released code). Add it to `TagLoss`.

    Args:
        kind: ``l2`` or ``bce``.
        classes: K.
        temperature: t > 0 of the student for ``bce`` (their code: 5).
        learn_temperature: Learn one 1 / t per class (their code) instead of fixed ones.

    Raises:
        ConfigError: There is no such kind, or t is not above 0.

    Example:
        >>> import torch
        >>> from boxless.losses import ClassAwareLoss
        >>> loss = ClassAwareLoss("l2", classes=3)
        >>> targets = torch.tensor([[0.0, 1.0, 0.5]])
        >>> loss(torch.zeros(1, 3), targets).item()  # 1/2 (0.5^2 + 0.5^2)
        0.25
    """

    scale: Tensor

    def __init__(
        self,
        kind: SoftLossKind = "l2",
        *,
        classes: int,
        temperature: float = 5.0,
        learn_temperature: bool = False,
    ) -> None:
        super().__init__()
        if kind not in get_args(SoftLossKind):
            raise ConfigError(
                unknown_name("kind of class-aware loss", kind, get_args(SoftLossKind))
            )
        if temperature <= 0:
            raise ConfigError(f"temperature must be above 0, found {temperature}")
        self.kind = kind
        scale = torch.full((classes,), 1 / temperature)
        if learn_temperature:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (N, K), z of the student, differentiable.
            targets: (N, K), p'^T in [0, 1]: what the detector says with its temperatures, see
                `boxless.models.DetectorOutput.image_probabilities`.

        Returns:
            Scalar, summed over classes and averaged over images.

        Raises:
            ShapeError: The shapes differ, or are not (N, K) with the K of `classes`.
            NumericsError: A target is not in [0, 1].
        """
        check_rows(logits, targets, ("logits", "targets"), loss="ClassAwareLoss")
        check_probabilities(targets, name="targets", loss="ClassAwareLoss")
        if self.kind == "l2":
            return (targets - logits.sigmoid()).square().sum() / (2 * len(logits))
        if logits.shape[1] != len(self.scale):
            raise ShapeError(
                f"ClassAwareLoss was built for {len(self.scale)} classes, found {logits.shape[1]}"
            )
        scaled = logits * self.scale
        terms = functional.binary_cross_entropy_with_logits(scaled, targets, reduction="none")
        return terms.sum() / len(logits)
