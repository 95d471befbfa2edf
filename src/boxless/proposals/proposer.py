"""What a proposer is, and how to get one by name."""

from dataclasses import fields
from importlib import import_module
from typing import Any, Protocol

from boxless.errors import ConfigError, unknown_name
from boxless.proposals.imported import ImportedBoxes
from boxless.proposals.index import Setting
from boxless.types import PROPOSAL_METHODS, Float32Array, UInt8Array

METHODS = PROPOSAL_METHODS
CLASSES = {
    "edge_boxes": "edge_box_search.EdgeBoxes",
    "selective_search_fast": "selective_search.SelectiveSearch",
    "selective_search_quality": "selective_search.SelectiveSearch",
    "grid": "grid.Grid",
    "faster_rcnn": "faster_rcnn.FasterRcnn",
    "file": "imported.ImportedBoxes",
}
"""Method -> module of this room and class; imported when asked for, as some are slow to load."""

MODES = {f"selective_search_{mode}": {"mode": mode} for mode in ("fast", "quality")}
"""Method -> settings that its name settles."""


class Proposer(Protocol):
    """Finds candidate boxes in an image, knowing nothing of its tags.

    A proposer must be deterministic and picklable: it runs in worker processes, and its name and
    settings stand for its results in the fingerprint of a store. One that loads a network says so
    with an attribute ``in_process = True``, and one process does it all.
    """

    @property
    def name(self) -> str:
        """Name of the method, such as ``"edge_boxes"``."""

    @property
    def settings(self) -> dict[str, Setting]:
        """Everything the boxes depend on besides the image."""

    def __call__(self, image: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """Boxes (R, 4) in pixels of an (H, W, 3) image, best first, and scores (R,) >= 0."""


BoxSource = Proposer | ImportedBoxes


def make_proposer(method: str, **settings: Setting) -> BoxSource:
    """Build a proposer by name.

    Args:
        method: One of ``METHODS``; ``"file"`` gives the `ImportedBoxes` of a file, all others a
            `Proposer`.
        **settings: Settings of that method; what is left out keeps its default.

    Raises:
        ConfigError: The method or a setting is unknown, or a value is out of range.
        DataError: A file to import is missing or malformed.
        MissingExtraError: The method needs a package that is not installed.
    """
    known = setting_names(method)
    for setting in settings:
        if setting not in known:
            raise ConfigError(unknown_name(f"setting of {method}", setting, known))
    proposer: BoxSource = _class(method)(**MODES.get(method, {}), **settings)
    return proposer


def setting_names(method: str) -> frozenset[str]:
    """Names of the settings that a method takes; raises as `make_proposer`."""
    return frozenset(field.name for field in fields(_class(method))) - MODES.get(method, {}).keys()


def _class(method: str) -> Any:
    if method not in CLASSES:
        raise ConfigError(unknown_name("proposal method", method, METHODS))
    module, _, name = CLASSES[method].partition(".")
    return getattr(import_module(f"boxless.proposals.{module}"), name)


def works_in_process(proposer: BoxSource) -> bool:
    """Whether a proposer reads a large file or loads a network, so that one process does it all."""
    return bool(getattr(proposer, "in_process", False))
