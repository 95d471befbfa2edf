"""Options that several verbs share, and dotted settings: ``--teacher.optim.lr 1e-3``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from boxless.errors import ConfigError, unknown_name
from boxless.files.engine import EngineName

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxless.proposals.index import Setting
    from boxless.proposals.proposer import BoxSource
    from boxless.types import UInt8Array

Outside = Literal["refuse", "clip"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where images are worked on.

    Attributes:
        engine: local, or ray: on a Ray cluster, whose machines all see the images under the same
            paths. The results are the same.
        ray_address: Cluster, as HOST:PORT or auto; by default that of RAY_ADDRESS, else a new one
            of this machine alone.
    """

    engine: EngineName = "local"
    ray_address: str = ""


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ProposalOptions:
    """How boxes are proposed; a method takes the options it knows.

    Attributes:
        max_boxes: Most boxes per image.
        size: Images are searched with their longer side shrunk to this many pixels (200;
            faster_rcnn: 640). Smaller is faster and finds fewer small objects.
        file: Boxes to import (method file): COCO detection results (.json), NumPy (.npz), or the
            folder of proposals made before. Pickles are not read.
        outside: What to do with an imported box that leaves its image.
        detector: Network of torchvision's (method faster_rcnn).
        detector_weights: Its weights, .safetensors or .pth (method faster_rcnn).
    """

    max_boxes: int = 500
    size: int | None = None
    file: str | None = None
    outside: Outside = "refuse"
    detector: str = "fasterrcnn_resnet50_fpn"
    detector_weights: Path | None = None

    def proposer(self, method: str) -> "BoxSource":
        """Build the proposer of a method; raises as `make_proposer` does."""
        from boxless.errors import ConfigError
        from boxless.proposals.proposer import make_proposer, setting_names

        if self.file is not None and method != "file":
            raise ConfigError(
                f"--file is for the method 'file', found the method {method!r}",
                hint="add --method file",
            )
        known = setting_names(method)
        given: dict[str, Setting | None] = {
            "max_boxes": self.max_boxes,
            "size": self.size,
            "file": self.file,
            "outside": self.outside,
            "architecture": self.detector,
            "weights": str(self.detector_weights) if self.detector_weights else None,
        }
        settings = {name: v for name, v in given.items() if name in known and v is not None}
        return make_proposer(method, **settings)


LOCAL = EngineOptions()
DEFAULTS = ProposalOptions()


def method_names(text: str) -> tuple[str, ...]:
    """Methods out of a list such as ``edge_boxes,selective-search-fast``.

    Args:
        text: Names with commas between; hyphens and underscores are the same.

    Raises:
        ConfigError: A name is unknown or occurs twice, or there is none.
    """
    from boxless.errors import ConfigError, unknown_name
    from boxless.proposals.proposer import METHODS
    from boxless.types import proposal_method

    names = tuple(proposal_method(word) for word in text.split(",") if word.strip())
    for name in names:
        if name not in METHODS:
            raise ConfigError(unknown_name("proposal method", name, METHODS))
        if names.count(name) > 1:
            raise ConfigError(f"expected each method once in --methods, found {name!r} twice")
    if not names:
        raise ConfigError("expected methods in --methods, found none", hint=", ".join(METHODS))
    return names


def image_loader(method: str) -> "Callable[[str], UInt8Array]":
    """How images are read for a method: boxes from a file need their size alone."""
    if method == "file":
        from boxless.data.outline import load_outline

        return load_outline
    from boxless.data.images import load_image

    return load_image


OPTIONS = (
    "--out", "--recipe", "--seeds", "--method", "--methods", "--force", "--untagged", "--tags",
    "--dry-run", "--profile", "--help",
)  # fmt: skip
WITHOUT_SECTION = ("--method",)
"""Settings of a recipe that lie in no section."""


def _unexpected(word: str) -> str:
    """What is wrong with a word that is neither option nor setting."""
    option = word.partition("=")[0]
    if option in OPTIONS:
        return f"this command has no option {option}"
    if word.startswith("-"):
        return unknown_name("option", option, OPTIONS)
    return f"unexpected argument {word!r}"


def parse_overrides(tokens: Sequence[str]) -> dict[str, str]:
    """Turn left-over words of a command into overrides.

    Args:
        tokens: Words such as ``["--teacher.optim.lr", "1e-3", "--run.workers=2"]``.

    Returns:
        Dotted key -> text of its value.

    Raises:
        ConfigError: A word is no setting, or a setting has no value.
    """
    found: dict[str, str] = {}
    words = list(tokens)
    while words:
        word = words.pop(0)
        option = word.partition("=")[0]
        dotted = option.startswith("--") and "." in option
        if not dotted and option not in WITHOUT_SECTION:
            raise ConfigError(
                _unexpected(word),
                hint="settings are written --section.key VALUE, such as --teacher.optim.epochs 4",
            )
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            if not words or words[0].startswith("--"):
                raise ConfigError(f"--{key} needs a value", hint=f"--{key} VALUE")
            value = words.pop(0)
        found[key.replace("-", "_")] = value
    return found
