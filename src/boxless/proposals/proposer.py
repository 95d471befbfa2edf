"""What a proposer is, and how to get one by name."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from boxless.errors import ConfigError, unknown_name
from boxless.types import PROPOSAL_METHODS

if TYPE_CHECKING:
    from boxless.proposals.imported import ImportedBoxes
    from boxless.types import Float32Array, UInt8Array

    BoxSource: TypeAlias = "Proposer | ImportedBoxes"

Setting = int | float | str

METHODS = PROPOSAL_METHODS


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


def make_proposer(method: str, **settings: Setting) -> "BoxSource":
    """Build a proposer by name.

    Args:
        method: One of ``METHODS``; ``"file"`` gives the `ImportedBoxes` of a file, all others a
            `Proposer`.
        **settings: Settings of that method; what is left out keeps its default.

    Returns:
        The proposer.

    Raises:
        ConfigError: The method or a setting is unknown, or a value is out of range.
        DataError: A file to import is missing or malformed.
        MissingExtraError: The method needs a package that is not installed.
    """
    build, given = _proposer_class(method)
    known = setting_names(method)
    for setting in settings:
        if setting not in known:
            raise ConfigError(unknown_name(f"setting of {method}", setting, known))
    proposer: BoxSource = build(**given, **settings)
    return proposer


def setting_names(method: str) -> frozenset[str]:
    """Names of the settings that a method takes.

    Args:
        method: One of ``METHODS``.

    Raises:
        ConfigError: The method is unknown.
        MissingExtraError: The method needs a package that is not installed.
    """
    build, given = _proposer_class(method)
    return frozenset(field.name for field in fields(build)) - given.keys()


def _proposer_class(method: str) -> tuple[Any, dict[str, str]]:
    """The dataclass of a method and what its name settles; imported only now, as slow to load."""
    if method == "edge_boxes":
        from boxless.proposals.edge_box_search import EdgeBoxes  # noqa: PLC0415

        return EdgeBoxes, {}
    if method.startswith("selective_search_") and method in METHODS:
        from boxless.proposals.selective_search import SelectiveSearch  # noqa: PLC0415

        return SelectiveSearch, {"mode": method.removeprefix("selective_search_")}
    if method == "faster_rcnn":
        from boxless.proposals.faster_rcnn import FasterRcnn  # noqa: PLC0415

        return FasterRcnn, {}
    if method == "file":
        from boxless.proposals.imported import ImportedBoxes  # noqa: PLC0415

        return ImportedBoxes, {}
    if method == "grid":
        from boxless.proposals.grid import Grid  # noqa: PLC0415

        return Grid, {}
    raise ConfigError(unknown_name("proposal method", method, METHODS))
