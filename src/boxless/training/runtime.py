"""Device, precision and threads. Only this file and `tracking` know accelerate."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn

from boxless.errors import ConfigError, NumericsError, PeerError
from boxless.files.launched import launched
from boxless.training.clock import timed
from boxless.training.processes import Processes
from boxless.training.tracking import Tracker

ADVICE = "lower the learning rate (….optim.lr), or set ….optim.clip_norm to 1"


class Runtime:
    """Where and how tensors are computed.

    Args:
        precision: ``no``, ``fp16`` or ``bf16`` mixed precision.
        threads: CPU threads of torch; 0 leaves torch's choice.
        cpu: Stay on the CPU even where there is a GPU.
        compiled: Have training steps compile the backbones that they train.
        profile: Have training steps measure where their time goes.
        processes: Those that train together; None = this one alone.
        tracker: Where scalars go beside the log; None = nowhere.

    Raises:
        ConfigError: More than one process was started, for work that is one's.
    """

    def __init__(
        self,
        *,
        precision: str = "no",
        threads: int = 0,
        cpu: bool = False,
        compiled: bool = False,
        profile: bool = False,
        processes: Processes | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        if processes is None and launched().count > 1:
            raise ConfigError(
                f"{launched().count} processes were started for what one does",
                hint="start it without torchrun or accelerate launch",
            )
        self.profile, self.processes = profile, processes or Processes()
        self.compiled, self.tracker = compiled, tracker or Tracker()
        if threads:
            torch.set_num_threads(threads)
        self._engine: Any = Accelerator(mixed_precision=precision, cpu=cpu)

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
        self,
        losses: Mapping[str, Tensor],
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        clip: float,
        *,
        share: float = 1.0,
    ) -> dict[str, Tensor]:
        """Backward pass, optional clipping, update, gradients cleared.

        Args:
            losses: Scalars, means over this process's images; ``loss`` is minimised.
            module: What is trained.
            optimizer: Its optimiser.
            clip: Largest gradient norm; 0 = no clipping.
            share: Part of the whole batch that this process has.

        Returns:
            The losses of the whole batch, detached.

        Raises:
            NumericsError: The loss or the gradient is not finite; nothing was updated.
            PeerError: That of another process is not, or it has ended.
        """
        own = {name: value.detach() for name, value in losses.items()}
        if not self.processes.several:
            with timed("backward"):
                self._engine.backward(losses["loss"])
        else:
            with timed("backward"):
                self._engine.backward(losses["loss"] * share)
            with timed("exchange"):
                own = self._exchange(own, module, share)
        with timed("optimiser"):
            self._apply(optimizer, clip, own["loss"])
        return own

    def _exchange(
        self, own: Mapping[str, Tensor], module: nn.Module, share: float
    ) -> dict[str, Tensor]:
        """Add up the gradients of all processes, and their losses behind them, in one sum."""
        grads = [p.grad for p in module.parameters() if p.grad is not None]
        shares = [value.to(grads[0]).reshape(1) * share for value in own.values()]
        packed = self.processes.add(torch.cat([g.reshape(-1) for g in grads] + shares))
        losses = dict(zip(own, packed[-len(own) :].clone(), strict=True))
        # With fp16 the scaler looks at the gradients, and skips the update in every process.
        faulty = packed[: -len(own)] if self._engine.scaler is None else packed.new_zeros(1)
        finite = bool(torch.isfinite(losses["loss"]))
        if not finite or not bool(torch.isfinite(faulty).all()):
            _require_finite(own["loss"], "the loss")
            if finite:  # else the fault came here from another process, by BatchNorm's statistics
                _require_finite(nn.utils.get_total_norm(grads), "the norm of the gradient")
            raise PeerError("the loss or gradient of another process is not finite")
        _spread(packed, grads)
        return losses

    def _apply(self, optimizer: torch.optim.Optimizer, clip: float, loss: Tensor) -> None:
        scaler = self._engine.scaler
        if scaler is not None:
            scaler.unscale_(optimizer)
        groups = optimizer.param_groups
        trained = [p for group in groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        # A scaler skips updates with such gradients itself.
        watched = loss if scaler is not None else loss + norm.to(loss)
        if not bool(torch.isfinite(watched)):  # the one time that an update waits for a GPU
            _require_finite(loss, "the loss")
            _require_finite(norm, "the norm of the gradient")
        if clip:
            nn.utils.clip_grads_with_norm_(trained, clip, norm)
        if scaler is not None:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def total(self, value: float) -> float:
        """Sum of a number over all processes."""
        packed = torch.tensor([value], dtype=torch.float64, device=self.device)
        return float(self.processes.add(packed))

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of the runtime."""
        scaler = self._engine.scaler
        return {} if scaler is None else {"scaler": scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        if "scaler" in state and self._engine.scaler is not None:
            self._engine.scaler.load_state_dict(state["scaler"])


def _require_finite(value: Tensor, what: str) -> None:
    if not bool(torch.isfinite(value)):
        raise NumericsError(f"{what} became {float(value)}", hint=ADVICE)


def _spread(packed: Tensor, grads: Sequence[Tensor]) -> None:
    """Copy the beginning of a vector into gradients of any layout."""
    first = 0
    for grad in grads:
        grad.copy_(packed[first : first + grad.numel()].view(grad.shape))
        first += grad.numel()


def default_device() -> torch.device:
    """Where a `Runtime` will compute."""
    return cast("torch.device", PartialState().device)
