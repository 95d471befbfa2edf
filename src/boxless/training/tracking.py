"""Curves where people watch them: TensorBoard, MLflow or Weights & Biases, through accelerate.

What a run measures never depends on it. A tracker that fails while a run is under way is dropped
with a warning.
"""

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from accelerate import tracking

from boxless.errors import MissingExtraError

TrackerName = Literal["auto", "tensorboard", "mlflow", "wandb", "none"]
FOLDER: Final = "logs"
_PROJECT: Final = "boxless"


def available(name: TrackerName) -> TrackerName:
    """Which tracker a setting means on this machine.

    Args:
        name: ``auto`` is TensorBoard where it is installed, else none.

    Raises:
        MissingExtraError: One was asked for by name whose package is not installed.
    """
    if name == "auto":
        return "tensorboard" if find_spec("tensorboard") else "none"
    if name != "none" and not find_spec(name):  # each is called like its package
        raise MissingExtraError(name, "track")
    return name


class Tracker:
    """Scalars of one run; opened when the first is logged.

    Args:
        name: Which, from `available`.
        folder: Run folder; TensorBoard's files lie in its ``logs``.
        settings: Dotted settings of the run, kept as its hyper-parameters.
    """

    def __init__(
        self,
        name: TrackerName = "none",
        folder: Path = Path(),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._name, self._folder, self._settings = name, folder, settings or {}
        self._backend: Any = None

    def log(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """Log scalars.

        Args:
            group: What they are of, such as the title of a phase.
            step: Update, or whatever else counts upwards.
            values: By name.
        """
        if self._name != "none":
            named: dict[str, float] = {f"{group}/{key}": value for key, value in values.items()}
            self._try(lambda: self._log(group, step, named))

    def close(self) -> None:
        """Write what is left; a later `log` opens it again."""
        if self._backend is not None:
            self._try(self._backend.finish)
            self._backend = None

    def _log(self, group: str, step: int, named: dict[str, float]) -> None:
        if self._backend is None:
            self._backend = _opened(self._name, self._folder)
            self._backend.store_init_configuration(_plain(self._settings))
        if self._name == "wandb":  # whose own step must never fall, as it does from phase to phase
            self._backend.log({**named, f"{group}/update": step})
        else:
            self._backend.log(named, step=step)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # of any package, and of any network
            told = " ".join(str(error).split())[:300]
            print(
                f"note: {self._name} failed and is left out from here on: {told}", file=sys.stderr
            )
            self._name, self._backend = "none", None


def _opened(name: TrackerName, folder: Path) -> Any:
    """The tracker of accelerate, started."""
    title = folder.resolve().name
    if name == "tensorboard":
        tracker: Any = tracking.TensorBoardTracker(FOLDER, folder)
    elif name == "mlflow":
        tracker = tracking.MLflowTracker(_PROJECT, run_name=title)
    else:
        tracker = tracking.WandBTracker(_PROJECT, name=title, dir=str(folder))
    tracker.start()
    return tracker


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values that every tracker takes."""
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in settings.items()
    }
