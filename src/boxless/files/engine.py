"""What an engine is: it maps a pure function over units of work, in order.

A step that leaves this machine cuts its images into units, hands an engine a picklable function
from a unit to its result, and writes the results itself, in order. So all engines give the same
bytes, and whatever is written is written by one process.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol, TypeVar

from boxless.errors import RunError

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")

EngineName = Literal["local", "ray"]

SHARED_FILES = (
    "workers read images by their path: it must lead to the same file on every node of the cluster"
    " (a shared file system, or object storage such as s3://)"
)


class Engine(Protocol):
    """Works on units, in parallel.

    Attributes:
        images_per_unit: How many images a unit best holds.
        elsewhere: Whether units are worked on by machines that may see other files than this one.
    """

    images_per_unit: int
    elsewhere: bool

    def map(self, function: Callable[[Unit], Answer], units: Iterable[Unit]) -> Iterator[Answer]:
        """Answers of all units, in order; units are taken little by little.

        Args:
            function: Picklable, and depends on its unit alone: it may run twice for one unit.
            units: Picklable.

        Yields:
            ``function(unit)``. Close the iterator to stop early.

        Raises:
            BoxlessError: As raised by the function.
            RunError: Workers died, or could not be reached.
        """


def not_shared(path: str, reason: str) -> RunError:
    """The error for an image that this machine can read and a worker, for a reason, cannot."""
    return RunError(
        f"a worker cannot open {path}, which this machine can: {reason}", hint=SHARED_FILES
    )
