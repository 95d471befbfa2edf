"""What a proposer is, and how to get one by name."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

from boxless.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from boxless.types import Float32Array, UInt8Array

Setting = int | float | str

METHODS = ("edge_boxes", "grid")


class Proposer(Protocol):
    """Finds candidate boxes in an image, knowing nothing of its tags.

    A proposer must be deterministic and picklable: it runs in worker processes, and its name and
    settings stand for its results in the fingerprint of a store.
    """

    @property
    def name(self) -> str:
        """Name of the method, such as ``"edge_boxes"``."""

    @property
    def settings(self) -> dict[str, Setting]:
        """Everything the boxes depend on besides the image."""

    def __call__(self, image: "UInt8Array") -> "tuple[Float32Array, Float32Array]":
        """Propose boxes, best first.

        Args:
            image: (H, W, 3) RGB.

        Returns:
            (R, 4) boxes in pixels of ``image`` and (R,) scores >= 0; R is at least 1.
        """


def make_proposer(method: str, **settings: Setting) -> Proposer:
    """Build a proposer by name.

    Args:
        method: ``"edge_boxes"`` or ``"grid"``.
        **settings: Settings of that method; what is left out keeps its default.

    Returns:
        The proposer.

    Raises:
        ConfigError: The method or a setting is unknown, or a value is out of range.
        MissingExtraError: The method needs a package that is not installed.
    """
    build = _proposer_class(method)
    known = {field.name for field in fields(build)}
    for setting in settings:
        if setting not in known:
            raise ConfigError(unknown_name(f"setting of {method}", setting, known))
    proposer: Proposer = build(**settings)
    return proposer


def _proposer_class(method: str) -> Any:
    """The dataclass of a method; imported only now, as OpenCV is optional and slow to load."""
    if method == "edge_boxes":
        from boxless.proposals.edge_boxes import EdgeBoxes  # noqa: PLC0415

        return EdgeBoxes
    if method == "grid":
        from boxless.proposals.grid import Grid  # noqa: PLC0415

        return Grid
    raise ConfigError(unknown_name("proposal method", method, METHODS))
