"""Smaller numbers in the exported graph: int8 (static quantisation) and float16."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxless.inference.student_file import INPUT, MAPS
from boxless.types import Float32Array

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True, slots=True)
class Int8Plan:
    """One way to quantise; weights are int8, one scale a channel.

    Attributes:
        name: What it is called in messages.
        signed: Activations are int8 instead of uint8: as exact, but slower on processors without
            special instructions.
        sparing: The stem and the depthwise convolutions stay float32: few weights, whose channels
            differ most (Yun and Wong, "Do All MobileNets Quantize Poorly?", CVPR-W 2021).
    """

    name: str
    signed: bool
    sparing: bool


INT8_PLANS = (
    Int8Plan("uint8 activations", signed=False, sparing=False),
    Int8Plan("int8 activations", signed=True, sparing=False),
    Int8Plan("int8 activations, stem and depthwise layers float32", signed=True, sparing=True),
)
"""Fastest first; the first whose loss of accuracy is small enough is taken."""


def prepare_graph(source: Path, target: Path) -> None:
    """Fuse layers and infer shapes, as static quantisation wants it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    quant_pre_process(str(source), str(target), skip_symbolic_shape=True)


def to_int8(
    source: Path, target: Path, batches: Iterable[Float32Array], plan: Int8Plan
) -> "ModelProto":
    """Quantise a graph (QDQ nodes); the last layer and the class maps stay float32.

    Args:
        source: Graph from `prepare_graph`.
        target: The quantised graph is written here.
        batches: Normalised images (N, 3, S, S) that show the range of every activation.
        plan: How.

    Returns:
        The quantised model.
    """
    import onnx  # noqa: PLC0415
    from onnxruntime.quantization import (  # noqa: PLC0415
        QuantFormat,
        QuantType,
        quantize_static,
    )

    quantize_static(
        str(source),
        str(target),
        _Reader(batches),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8 if plan.signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=_float_nodes(onnx.load(source), sparing=plan.sparing),
    )
    return onnx.load(target)


def to_float16(source: Path) -> "ModelProto":
    """Weights and layers in float16; input and outputs stay float32.

    Args:
        source: The float32 graph.
    """
    import onnx  # noqa: PLC0415
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

    converted: ModelProto = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    return converted


class _Reader:
    """Batches in the form that onnxruntime asks for."""

    def __init__(self, batches: Iterable[Float32Array]) -> None:
        self._batches: Iterator[Float32Array] = iter(batches)

    def get_next(self) -> dict[str, Float32Array] | None:
        """The next batch; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _float_nodes(model: Any, *, sparing: bool) -> list[str]:
    """Names of the nodes that stay float32."""
    nodes = list(model.graph.node)
    names = [n.name for n in nodes if n.op_type in ("Gemm", "MatMul") or MAPS in n.output]
    if sparing:
        convolutions = [n for n in nodes if n.op_type == "Conv"]
        names += [n.name for n in convolutions[:1]]
        names += [n.name for n in convolutions[1:] if _groups(n) > 1]
    return names


def _groups(node: Any) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)
