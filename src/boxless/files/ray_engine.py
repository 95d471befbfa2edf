"""A Ray cluster as an engine: units are the rows of a Ray Data set.

Each unit is a task of its own. A task whose worker or node dies is done again on another one, and a
result that was lost with its node is computed anew: the cluster may shrink while it works. Ray
ships functions and results as pickles between its own processes, so its workers are trusted like
this process; nothing of that is ever read from a file.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from boxless.errors import BoxlessError, ConfigError, DataError, MissingExtraError, RunError
from boxless.files.engine import (
    SHARED_FILES,
    Answer,
    EngineName,
    Unit,
    one_opencv_thread,
)
from boxless.files.launched import available_cores

LEAST_WAVE, WAVE_PER_CORE = 256, 32
"""Units that are handed to the cluster together: few enough to lie in its memory, enough to keep
its cores busy while the last ones of them are waited for."""

OBJECT_STORE = 512 * 1024**2
"""Bytes of shared memory of a cluster that is started here; units and results are small."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Hides a value from Ray Data, which would turn lists into arrays of its own."""

    value: Any


class RayEngine:
    """Works on a Ray cluster; see `boxless.files.engine.Engine`, and `engine_beyond` to open one.

    Args:
        ray: The package, connected to a cluster.
        workers: Units worked on at the same time; 0: as many as the cluster has cores.
    """

    images_per_unit = 64
    elsewhere = True

    def __init__(self, ray: Any, workers: int = 0) -> None:
        self._ray, self._workers = ray, workers

    def map(self, function: Callable[[Unit], Answer], units: Iterable[Unit]) -> Iterator[Answer]:
        """See `boxless.files.engine.Engine.map`."""
        left = iter(units)
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        size = max(LEAST_WAVE, WAVE_PER_CORE * cores)
        while wave := list(islice(left, size)):
            with _ray_faults(self._ray):
                for row in self._answers(function, wave).iter_rows():
                    answer = row["answer"].value
                    if isinstance(answer, BoxlessError):
                        raise _with_advice(answer)
                    yield answer

    def _answers(self, function: Callable[[Any], Any], units: list[Any]) -> Any:
        """A Ray Data set of the answers; nothing has been computed yet."""
        rows = [{"unit": Parcel(unit)} for unit in units]
        work = _work(function, _version())
        compute = self._ray.data.TaskPoolStrategy(size=self._workers or None)
        data = self._ray.data.from_items(rows, override_num_blocks=len(rows))
        data.context.execution_options.preserve_order = True
        data.context.enable_progress_bars = False
        return data.map(work, compute=compute, num_cpus=1)


@contextmanager
def engine_beyond(
    name: EngineName, *, address: str = "", workers: int = 0
) -> Iterator[RayEngine | None]:
    """Open the engine that was asked for; None for ``local``, a step's own.

    Args:
        name: Which.
        address: ray: a cluster (``HOST:PORT``, or ``auto`` for the one this machine belongs to);
            "": as the variable RAY_ADDRESS says, else a cluster of this machine alone, which ends
            with this context.
        workers: ray: units worked on at the same time; 0: as many as the cluster has cores.

    Raises:
        ConfigError: An address is given, but not to Ray.
        MissingExtraError: Ray is not installed.
        RunError: The cluster cannot be reached.
    """
    if name == "local":
        if address:
            raise ConfigError(
                f"the address {address!r} of a Ray cluster is given, but the engine is 'local'",
                hint="take the engine 'ray'",
            )
        yield None
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray  # noqa: PLC0415  (optional, and takes seconds)
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield RayEngine(ray, workers)
        return
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    _connect(ray, place, workers)
    try:
        yield RayEngine(ray, workers)
    finally:
        ray.shutdown()


def _connect(ray: Any, place: str, workers: int) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if place == "local":
            cores = workers or available_cores()
            ray.init(
                address="local",
                num_cpus=cores,
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                **quiet,
            )
            return
        _require_listening(place)
        ray.init(address=place, **quiet)
    except BoxlessError:
        raise
    except Exception as error:  # Ray has many, down to Exception itself
        raise RunError(
            f"cannot use the Ray cluster {place!r}: {' '.join(str(error).split())[:300]}",
            hint="start one with `ray start --head`, join it from other machines with `ray start"
            " --address HOST:PORT`, and run this on one of them; or leave the address away to use"
            " this machine alone",
        ) from error


def _require_listening(place: str) -> None:
    """Tell within seconds what Ray tells after minutes: that nobody answers there."""
    if place == "auto":
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ConfigError(
            f"expected the address of a Ray cluster as HOST:PORT or 'auto', found {place!r}",
            hint="`ray start --head` prints it; the command must run on a machine of the cluster",
        )
    with socket.create_connection((host, int(port)), timeout=10):
        pass


def _work(function: Callable[[Any], Any], version: str) -> Callable[[dict[str, Any]], Any]:
    """What a worker does with a row; errors of the user's making come back as values."""

    def work(row: dict[str, Any]) -> dict[str, Any]:
        answer: Any
        if version != _version():
            answer = RunError(
                f"a Ray worker has boxless {_version()}, but this command is boxless {version}",
                hint="install the same version on every node",
            )
            return {"answer": Parcel(answer)}
        one_opencv_thread()
        try:
            answer = function(row["unit"].value)
        except BoxlessError as error:
            answer = error
        return {"answer": Parcel(answer)}

    return work


def _version() -> str:
    """Version of this process's boxless (the package's front door lies above this room)."""
    return str(sys.modules["boxless"].__version__)


def _with_advice(error: BoxlessError) -> BoxlessError:
    """Images a worker cannot read may well be there for this process."""
    if isinstance(error, DataError):
        error.hint = f"{error.hint}; {SHARED_FILES}" if error.hint else SHARED_FILES
    return error


@contextmanager
def _ray_faults(ray: Any) -> Iterator[None]:
    """Turn what the cluster may do to us into errors for the user; bugs stay what they are."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if "No module named" not in str(error):
            raise
        raise RunError(
            f"a Ray worker lacks a package: {str(error).strip().splitlines()[-1]}",
            hint="install boxless with the same extras and version on every node of the cluster",
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"the Ray cluster failed: {' '.join(str(error).split())[:300]}",
            hint="run the same command again: finished shards are kept",
        ) from error
