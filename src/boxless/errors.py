"""Every error a user can cause, in one hierarchy.

Each message says what was expected, what was found and where, and what to do. The command line
prints these without a traceback and exits with code 2; anything else is a bug and keeps its
traceback.
"""

import errno
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class BoxlessError(Exception):
    """Base class of all errors that boxless raises on purpose.

    Args:
        message: What was expected, what was found, and where.
        hint: What to do about it (optional; shown on a line of its own).
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message


class ConfigError(BoxlessError):
    """A recipe, an override or a command-line value is wrong."""


class DataError(BoxlessError):
    """A data set, an annotation or an image is not as its format says."""


class ShapeError(BoxlessError):
    """An array has another shape than its function needs."""


class MissingExtraError(BoxlessError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed",
            hint=f"pip install 'boxless[{extra}]'",
        )
        self._given = package, extra

    def __reduce__(self) -> "tuple[type[MissingExtraError], tuple[str, str]]":
        return MissingExtraError, self._given  # errors travel between processes


class StoreError(BoxlessError):
    """A proposal store, teacher cache or checkpoint is damaged or belongs to other inputs."""


class RunError(BoxlessError):
    """A run folder does not fit the command: changed settings, missing steps, no space."""


class PeerError(BoxlessError):
    """Another of the processes that train together has ended."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="its own message tells why; started again, the same command resumes from the last"
            " checkpoint (torchrun --max-restarts does that by itself)",
        )


def system_fault(error: OSError) -> RunError | None:
    """What the machine refused, as an error for the user; None where it may be a bug.

    Args:
        error: Raised by the operating system: no space, no permission, a drive that is gone.
    """
    if error.errno not in _SYSTEM_FAULTS:
        return None
    place = f": {error.filename}" if error.filename else ""
    return RunError(
        f"{error.strerror}{place}",
        hint="mend that and run the same command again: finished work is kept",
    )


_SYSTEM_FAULTS = frozenset(
    getattr(errno, name)
    for name in (
        "ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE", "ENOTCONN",
        "EHOSTDOWN", "EHOSTUNREACH", "ETIMEDOUT", "ENODEV", "ENXIO", "EMFILE", "ENFILE",
    )
    if hasattr(errno, name)
)  # fmt: skip


def package_fault(error: ImportError) -> BoxlessError | None:
    """What to install for a package that is missing or broken; None where it may be a bug."""
    if (error.name or "").partition(".")[0] == "boxless":
        return None
    if isinstance(error, ModuleNotFoundError) and error.name:
        return MissingExtraError(error.name.partition(".")[0], "train")
    return RunError(
        f"a package that training needs is broken: {error}",
        hint="`boxless doctor` looks at each; pip install --force-reinstall 'boxless[train]'",
    )


class NumericsError(BoxlessError):
    """Training produced a value that is not finite."""


def unknown_name(kind: str, name: str, known: "Iterable[str]") -> str:
    """Build the message for an unknown name, with close matches and the valid names.

    Args:
        kind: What the name stands for, such as ``"recipe"``.
        name: The name that was given.
        known: All valid names.

    Returns:
        One sentence for a `BoxlessError`.
    """
    names: Sequence[str] = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    return f"unknown {kind} {name!r}.{guess} Known: {', '.join(names)}."
