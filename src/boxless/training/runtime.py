"""Device, precision and threads. The only file that knows accelerate."""

from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from boxless.errors import ConfigError, NumericsError
from boxless.training.clock import timed

ADVICE = "lower the learning rate (….optim.lr), or set ….optim.clip_norm to 1"


class Runtime:
    """Where and how tensors are computed.

    Args:
        precision: ``no``, ``fp16`` or ``bf16`` mixed precision.
        threads: CPU threads of torch; 0 leaves torch's choice.
        cpu: Stay on the CPU even where there is a GPU.
        profile: Have training steps measure where their time goes.

    Raises:
        ConfigError: More than one process was started.
    """

    def __init__(
        self, *, precision: str = "no", threads: int = 0, cpu: bool = False, profile: bool = False
    ) -> None:
        self.profile = profile
        if threads:
            torch.set_num_threads(threads)
        self._engine: Any = Accelerator(mixed_precision=precision, cpu=cpu)
        if self._engine.num_processes > 1:
            raise ConfigError(
                f"{self._engine.num_processes} processes were started; boxless trains in one",
                hint="start it without torchrun or accelerate launch",
            )

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return cast("torch.device", self._engine.device)

    def place(self, module: nn.Module) -> nn.Module:
        """Move a module to the device, convolutions in channels-last layout."""
        return module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def autocast(self) -> Any:
        """Context of mixed precision; does nothing for ``no``."""
        return self._engine.autocast()

    def step(
        self, loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer, clip: float
    ) -> None:
        """Backward pass, optional clipping, update, gradients cleared.

        Args:
            loss: Scalar.
            module: What is trained.
            optimizer: Its optimiser.
            clip: Largest gradient norm; 0 = no clipping.

        Raises:
            NumericsError: The loss or the gradient is not finite; nothing was updated.
        """
        if not bool(torch.isfinite(loss.detach())):
            raise NumericsError(f"the loss became {float(loss.detach())}", hint=ADVICE)
        with timed("backward"):
            self._engine.backward(loss)
        with timed("optimiser"):
            self._apply(module, optimizer, clip)

    def _apply(self, module: nn.Module, optimizer: torch.optim.Optimizer, clip: float) -> None:
        scaler = self._engine.scaler
        if scaler is not None:
            scaler.unscale_(optimizer)
        trained = [p for p in module.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        if scaler is None and not bool(torch.isfinite(norm)):  # a scaler skips such updates itself
            raise NumericsError(f"the norm of the gradient became {float(norm)}", hint=ADVICE)
        if clip:
            nn.utils.clip_grads_with_norm_(trained, clip, norm)
        if scaler is not None:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of the runtime."""
        scaler = self._engine.scaler
        return {} if scaler is None else {"scaler": scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        if "scaler" in state and self._engine.scaler is not None:
            self._engine.scaler.load_state_dict(state["scaler"])
