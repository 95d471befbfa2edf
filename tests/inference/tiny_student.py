"""A student so small that NumPy can say what it must answer; its maps are 4 x 4 cells."""

import json

import numpy as np
import pytest

CLASSES = ("cat", "dog", "[red]cow")
SIZE = 8
MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def weights() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, len(CLASSES))).astype(np.float32)
    return W, rng.normal(size=len(CLASSES)).astype(np.float32)


def properties(**changes) -> dict[str, str]:
    """Metadata as the format says; None leaves a key out."""
    values = {
        "classes": list(CLASSES),
        "input_size": SIZE,
        "mean": list(MEAN),
        "std": list(STD),
        "channels": "BGR",
        "resize": "bilinear",
        "antialias": True,
        "version": "0.1.0",
    } | changes
    return {f"boxless.{k}": json.dumps(v) for k, v in values.items() if v is not None}


def write_student(
    path,
    props=None,
    *,
    batch="N",
    size=SIZE,
    input_name="image",
    classes=3,
    scale=1.0,
    bias=1.0,
    maps=True,
):
    """Mean over all pixels, a linear layer, a sigmoid; the same layer on means of 2 x 2 pixels."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    W, b = weights()
    W, b = np.resize(W, (3, classes)) * np.float32(scale), np.resize(b, classes) * np.float32(bias)
    cell_nodes, cell_outputs, cell_weights = [], [], []
    if maps:
        square = {"kernel_shape": [2, 2], "strides": [2, 2]}
        cell_nodes = [
            helper.make_node("AveragePool", [input_name], ["cells"], **square),
            helper.make_node("Conv", ["cells", "V", "b"], ["maps"]),
        ]
        cells = [batch, classes, size // 2, size // 2]
        cell_outputs = [helper.make_tensor_value_info("maps", 1, cells)]
        cell_weights = [numpy_helper.from_array(np.ascontiguousarray(W.T)[..., None, None], "V")]
    graph = helper.make_graph(
        [
            *cell_nodes,
            helper.make_node("GlobalAveragePool", [input_name], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "W", "b"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
        ],
        "student",
        [helper.make_tensor_value_info(input_name, 1, [batch, 3, size, size])],
        [helper.make_tensor_value_info("probabilities", 1, [batch, classes]), *cell_outputs],
        [numpy_helper.from_array(W, "W"), numpy_helper.from_array(b, "b"), *cell_weights],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="test"
    )
    helper.set_model_props(model, properties() if props is None else props)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def expected(image: np.ndarray) -> np.ndarray:
    """What the student must answer, from the picture alone: (K,)."""
    from PIL import Image

    small = np.asarray(
        Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float64
    )
    mean = (small[..., ::-1] - MEAN) / STD  # BGR
    W, b = weights()
    return 1 / (1 + np.exp(-(mean.mean(axis=(0, 1)) @ W + b)))
