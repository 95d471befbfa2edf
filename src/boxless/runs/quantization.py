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
    """One way to quantise: uint8 activations, int8 weights of 7 bits, one scale per channel.

    With all 8 bits, processors without VNNI overflow when they add two products in 16 bits; the
    probabilities were off twice as far then, on such a machine, by 0.8 at worst.

    Attributes:
        name: What stays float32, for messages; the last layer and the class maps always do.
        spared: Share of the layers, the first ones, that stay float32: what they round is
            seen by all that follow, and they hold few weights.
    """

    name: str
    spared: float


INT8_PLANS = (
    Int8Plan("head and first quarter of the layers float32", 0.25),
    Int8Plan("head and first half of the layers float32", 0.5),
)
"""Smallest first; the first whose loss of accuracy is small enough is taken."""


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
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=_float_nodes(onnx.load(source), plan),
    )
    return onnx.load(target)


def to_float16(source: Path) -> "ModelProto":
    """Weights and layers in float16; input and outputs stay float32."""
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


def _float_nodes(model: Any, plan: Int8Plan) -> list[str]:
    """Names of the nodes that stay float32."""
    layers = [n for n in model.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    first = layers[: round(plan.spared * len(layers))]
    head = [n for n in layers if n.op_type != "Conv"][-1:]
    maps = [n for n in model.graph.node if MAPS in n.output]
    return [node.name for node in (*first, *head, *maps)]
