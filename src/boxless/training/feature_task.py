"""What both first phases on feature maps share: the student's backbone behind a discarded Psi."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from boxless.losses.region_transfer import Adapter
from boxless.losses.ridge_start import RidgeStart, set_adapter
from boxless.models.backbone import Backbone, train_mode
from boxless.models.pixels import resize_aligned
from boxless.training.batches import Batch


class FeatureTask(ABC):
    """Train the student's backbone to agree with the teacher's maps behind Psi.

    Args:
        backbone: The student's.
        adapters: Psi by level.
        spreads: Channel spread by level, or empty.
        student_size: Input side of the student; larger views are resized in the network.
        train_norm_statistics: Let BatchNorm update its statistics.
    """

    def __init__(
        self,
        backbone: Backbone,
        adapters: dict[str, Adapter],
        *,
        spreads: dict[str, Tensor],
        student_size: int,
        train_norm_statistics: bool,
    ) -> None:
        self.backbone, self.levels = backbone, tuple(adapters)
        self.spreads, self.student_size = spreads, student_size
        self.train_statistics = train_norm_statistics
        self.adapters = nn.ModuleDict(cast("dict[str, nn.Module]", adapters))
        self.module: nn.Module = nn.ModuleDict({"backbone": backbone, "adapters": self.adapters})

    def is_new(self, name: str) -> bool:
        """Psi is new."""
        return name.startswith("adapters.")

    def train_mode(self) -> None:
        """BatchNorm statistics as asked."""
        train_mode(self.module, statistics=self.train_statistics)

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Loss parts of a batch; ``loss`` is the one that is minimised."""

    @abstractmethod
    def gather(self, batch: Batch, fits: dict[str, RidgeStart]) -> None:
        """Take a batch into the normal equations of every level's Psi."""

    @torch.no_grad()
    def start_adapters(self, batches: Iterable[Batch], *, ridge: float) -> None:
        """Set every Psi (a 1x1 convolution) to the minimiser of the loss, the backbone as it is.

        Args:
            batches: Images to fit it on.
            ridge: Penalty, see `RidgeStart.solve`.
        """
        convs = {
            lv: cast("nn.Conv2d", cast("Adapter", self.adapters[lv]).map) for lv in self.levels
        }
        fits = {lv: RidgeStart(c.in_channels, c.out_channels) for lv, c in convs.items()}
        self.backbone.eval()
        for batch in batches:
            self.gather(batch, fits)
        for level, fit in fits.items():
            set_adapter(convs[level], *fit.solve(ridge))

    def student_maps(self, batch: Batch) -> dict[str, Tensor]:
        """The student's maps before Psi, (N, C_S, h, w) by level."""
        pixels = resize_aligned(batch.pixels.float(), self.student_size)
        found: dict[str, Tensor] = self.backbone(self.backbone.normalize(pixels), self.levels)
        return found
