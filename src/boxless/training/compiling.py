"""torch.compile of the backbones that are trained, for as long as they are trained.

Compiled in place, so that weights keep their names; evaluation and export stay as they are. Each
input size gets code of its own, no choice depends on a measurement or on what was compiled before:
a run that was killed ends with the same weights.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from boxless.errors import ConfigError
from boxless.models.backbone import Backbone

SIZES = 64
"""Input sizes and modes that are compiled for; torch alone would give up silently after 8."""
ADVICE = "set run.compile to 'no'"


def require_compiler(device: torch.device, processes: int) -> None:
    """Refuse to compile where that cannot work.

    Raises:
        ConfigError: There are several processes, or no compiler.
    """
    missing = missing_compiler(device, processes)
    if missing:
        raise ConfigError(f"run.compile = 'yes': {missing}", hint=ADVICE)


def missing_compiler(device: torch.device, processes: int) -> str:
    """What stands in the way of torch.compile; "" where nothing is known to."""
    if processes > 1:
        return f"compiled networks are trained by one process, not by {processes}"
    from torch._inductor.cpp_builder import get_cpp_compiler  # noqa: PLC0415  (seconds)
    from torch._inductor.exc import InvalidCxxCompiler  # noqa: PLC0415
    from torch.utils._triton import has_triton  # noqa: PLC0415

    if device.type == "cuda":
        return "" if has_triton() else "Triton, which compiles for this GPU, is not installed"
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "no C++ compiler is found (g++, clang++, or the one that CXX names)"
    return ""


@contextmanager
def compiled(module: nn.Module, *, wanted: bool) -> Iterator[None]:
    """Compile the backbones below a module that are trained; undone at the end of the block.

    Raises:
        ConfigError: The compiler failed.
    """
    trunks = [part for part in module.modules() if isinstance(part, Backbone) and _trains(part)]
    if not wanted or not trunks:
        yield
        return
    from torch import _dynamo, _inductor  # noqa: PLC0415  (seconds)

    logging.getLogger("torch").setLevel(logging.ERROR)  # what it tells of its search for compilers
    # Without timings of kernels, which would choose otherwise after a restart.
    fixed = {"deterministic": True} if hasattr(_inductor.config, "deterministic") else None
    torch.compiler.reset()
    for trunk in trunks:
        trunk.compile(dynamic=False, options=fixed)
    try:
        with _dynamo.config.patch(recompile_limit=SIZES), compiler_errors():
            yield
    finally:
        for trunk in trunks:
            trunk._compiled_call_impl = None
        torch.compiler.reset()


@contextmanager
def eager(module: nn.Module) -> Iterator[None]:
    """Do without what `compiled` made, within a block."""
    kept = {part: call for part in module.modules() if (call := part._compiled_call_impl)}
    for part in kept:
        part._compiled_call_impl = None
    try:
        yield
    finally:
        for part, call in kept.items():
            part._compiled_call_impl = call


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Say in a line what a compiler has against a network."""
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415

    try:
        yield
    except TorchDynamoException as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ConfigError(f"torch.compile fails here: {lines[0][:200]}", hint=ADVICE) from error


def _trains(trunk: Backbone) -> bool:
    return any(parameter.requires_grad for parameter in trunk.parameters())
