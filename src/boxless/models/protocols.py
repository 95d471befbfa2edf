"""What training asks of a student and of a teacher; any network that answers it will do."""

from typing import Protocol

from torch import Tensor


class Network(Protocol):
    """A network with named feature maps."""

    def channels(self, level: str) -> int:
        """Channels of a level's map."""

    def maps(self, pixels: Tensor, levels: tuple[str, ...]) -> dict[str, Tensor]:
        """Maps (N, C, h, w) by level of RGB pixels (N, 3, S, S) in 0-255."""


class Student(Network, Protocol):
    """Logits and maps by level; `boxless.models.classifier.Classifier` is one."""

    input_size: int
    """Side in pixels at which its maps are made; larger views are resized."""

    @property
    def classes(self) -> int:
        """K."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits (N, K) of RGB pixels (N, 3, S, S) in 0-255."""

    def classify(self, maps: Tensor) -> Tensor:
        """Logits (N, K) of maps (N, C, h, w) of the level ``final``."""


class Images(Protocol):
    """Images with regions, as a teacher is given them; a `boxless.training.batches.Batch` is."""

    @property
    def pixels(self) -> Tensor:
        """(N, 3, S, S) uint8 RGB."""

    @property
    def boxes(self) -> Tensor:
        """(N, R, 4) unit boxes."""

    @property
    def scores(self) -> Tensor:
        """(N, R) proposal scores."""

    @property
    def mask(self) -> Tensor:
        """(N, R) bool, False for padding."""


class Answer(Protocol):
    """What a teacher says of images."""

    def image_probabilities(
        self, *, class_temperature: float = 1, region_temperature: float = 1
    ) -> Tensor:
        """(N, K) in [0, 1], softened by temperatures where the teacher has what they soften."""

    def region_scores(self) -> Tensor:
        """(N, R, K) in [0, 1], the share of each region in each class's probability.

        Only asked for by transfers that weigh regions.
        """


class Teacher(Network, Protocol):
    """Image probabilities, region scores and maps.

    `boxless.models.detector.Detector` and `boxless.models.class_maps.ClassMaps` are teachers.

    Region scores and maps are asked for only by transfers that look at them.
    """

    def answer(self, images: Images) -> Answer:
        """What it says of a batch of images."""

    def noisy(self, *, on: bool) -> None:
        """Evaluation mode, with dropout in the head or without."""
