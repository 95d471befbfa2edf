"""Updates of a plain student on made-up pictures, to be timed."""

import time
from contextlib import nullcontext

import torch
from torch import Tensor

from boxless.errors import ConfigError
from boxless.losses.tag_loss import tag_loss
from boxless.training.compiling import compiler_errors, eager
from boxless.training.fastest import Way
from boxless.training.optimization import OptimSettings, build_optimizer, set_rate
from boxless.training.tasks import ClassifierTask

KINDS = {"fp16": torch.float16, "bf16": torch.bfloat16}


def mixed_precision(device: torch.device) -> tuple[str, str]:
    """The mixed precision to try on a device.

    Args:
        device: Where tensors are computed.

    Returns:
        ``bf16`` or ``fp16``, and why it need not be tried ("" where it should be).
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16" if native else "fp16"), ""
    if device.type != "cpu":
        return "bf16", f"not tried on {device.type}"
    there = bool(torch._C._has_mkldnn)  # what torch.backends.mkldnn.is_available asks
    native = there and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return "bf16", "" if native else "not tried: this processor has no instructions for it"


class Trial:
    """Trains a student at a learning rate of 0.

    Args:
        task: Its training on tags; it is moved to the device.
        settings: Optimiser, and whether BatchNorm's statistics are trained.
        device: Where tensors are computed.
        images: Images an update.
        size: Their side in pixels.
    """

    def __init__(
        self,
        task: ClassifierTask,
        settings: OptimSettings,
        device: torch.device,
        *,
        images: int,
        size: int,
    ) -> None:
        self._task, self._device = task, device
        task.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        task.train_mode()
        self._optimizer = build_optimizer(task.module, settings, task.is_new)
        set_rate(self._optimizer, 0.0)
        self._scaler = torch.amp.GradScaler(device.type)
        pixels = torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8)
        self._pixels = pixels.to(device, memory_format=torch.channels_last)
        classes = task.classifier.fc.out_features
        self._labels = torch.randint(0, 2, (images, classes), dtype=torch.int8).to(device)

    def update(self, way: Way) -> float:
        """One update.

        Args:
            way: How; compiled only within `boxless.training.compiling.compiled`.

        Returns:
            Seconds.

        Raises:
            ConfigError: The compiler failed, or memory is short.
        """
        compiled = way.compile == "yes"
        self._wait()
        began = time.perf_counter()
        try:
            with compiler_errors() if compiled else eager(self._task.module):
                self._step(self._loss(way.precision), scaled=way.precision == "fp16")
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"an update of {len(self._pixels)} images does not fit in memory",
                hint="set ….optim.batch_size to less",
            ) from error
        self._wait()
        return time.perf_counter() - began

    def _loss(self, precision: str) -> Tensor:
        kind = KINDS.get(precision)
        with torch.autocast(self._device.type, kind) if kind else nullcontext():
            logits = self._task.classifier(self._pixels.float()).float()
            return tag_loss(logits, self._labels)

    def _step(self, loss: Tensor, *, scaled: bool) -> None:
        if scaled:
            torch.autograd.backward(self._scaler.scale(loss))
            self._scaler.step(self._optimizer)
            self._scaler.update()
        else:
            torch.autograd.backward(loss)
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
