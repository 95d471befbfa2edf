"""Read the weights of a Caffe model file (``.caffemodel``) without Caffe.

Such a file is one protobuf message. Those parts of ``caffe.proto`` that carry weights are declared
here, for the protobuf package to parse; it passes over all else.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from numpy.typing import NDArray

from boxless.errors import ConfigError

LEGACY_SHAPE = ("num", "channels", "height", "width")
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "BlobShape": {"dim": (1, "int64+")},
    "BlobProto": {
        **{name: (number, "int32") for number, name in enumerate(LEGACY_SHAPE, 1)},
        "data": (5, "float+"),
        "shape": (7, "BlobShape"),
        "double_data": (8, "double+"),
    },
    "LayerParameter": {"name": (1, "string"), "blobs": (7, "BlobProto+")},
    "V1LayerParameter": {"v0": (1, "bytes"), "name": (4, "string"), "blobs": (6, "BlobProto+")},
    "NetParameter": {"layers": (2, "V1LayerParameter+"), "layer": (100, "LayerParameter+")},
}
"""Message -> field -> number and type; a plus marks a repeated field."""


def read_caffemodel(path: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Read the blobs of all layers that have any.

    Args:
        path: A ``.caffemodel`` in the present (``layer``) or the V1 format (``layers``).

    Returns:
        Layer name -> its blobs (weights, then biases) in the shape that the file says; shapes of
        old files have four axes, such as (1, 1, 4096, 25088) for fc6.

    Raises:
        ConfigError: The file is missing, damaged, of the V0 format, or holds no weights.
    """
    try:
        found = _read_layers(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(
            f"weights file {path} does not exist", hint="name a .caffemodel file that exists"
        ) from error
    except (OSError, ValueError, message.DecodeError) as error:
        raise ConfigError(
            f"{path} is not a readable .caffemodel file: {error}",
            hint="copy it again; it may be cut off, or be no protobuf file at all",
        ) from error
    if not found:
        raise ConfigError(
            f"{path} holds no layer with weights",
            hint="a prototxt or a solver state is no .caffemodel",
        )
    return found


def _read_layers(data: bytes) -> dict[str, list[NDArray[np.float32]]]:
    if not data:
        raise ValueError("it is empty")
    net = _net_parameter().FromString(data)
    if any(layer.HasField("v0") for layer in net.layers):
        raise ValueError("it is of the V0 format; convert it with Caffe's upgrade_net_proto_binary")
    found: dict[str, list[NDArray[np.float32]]] = {}
    for layer in (*net.layers, *net.layer):
        if layer.blobs and layer.name in found:
            raise ValueError(f"two layers are named {layer.name!r}")
        if layer.blobs:
            found[layer.name] = [
                _read_blob(blob, f"blob {number} of layer {layer.name!r}")
                for number, blob in enumerate(layer.blobs)
            ]
    return found


def _read_blob(blob: Any, where: str) -> NDArray[np.float32]:
    numbers = blob.data or blob.double_data
    values = np.fromiter(numbers, np.float32, len(numbers))
    legacy = [getattr(blob, side) for side in LEGACY_SHAPE]
    shape = tuple(blob.shape.dim) or (tuple(legacy) if any(legacy) else values.shape)
    if math.prod(shape) != len(values):
        raise ValueError(f"{where} says it has the shape {shape}, but has {len(values)}")
    return values.reshape(shape)


@lru_cache(maxsize=1)
def _net_parameter() -> Any:
    """The class of the outermost message."""
    file = descriptor_pb2.FileDescriptorProto(name="boxless/caffe.proto", package="boxless")
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.rstrip("+")
            label = "LABEL_OPTIONAL" if plain == kind else "LABEL_REPEATED"
            entry = made.field.add(name=field, number=number, label=label)
            if plain in MESSAGES:
                entry.type_name = f".boxless.{plain}"
            else:
                entry.type = f"TYPE_{plain.upper()}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("boxless.NetParameter"))
