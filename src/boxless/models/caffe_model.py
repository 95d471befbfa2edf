"""Read the weights of a Caffe model file (``.caffemodel``) without Caffe or protobuf.

Such a file is one protobuf message. Of its wire format (protobuf.dev/programming-guides/encoding)
only what carries weights is read; field numbers are those of ``caffe.proto``:

    NetParameter       2 layers (V1LayerParameter), 100 layer (LayerParameter)
    LayerParameter     1 name, 7 blobs            V1LayerParameter   4 name, 6 blobs
    BlobProto          5 data, 8 double_data, 7 shape, or 1-4 num, channels, height, width
    BlobShape          1 dim
"""

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boxless.errors import ConfigError

Field = int | memoryview
"""What a field holds: a number, or the bytes of a message, text or packed list."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LAYERS = {2: (4, 6), 100: (1, 7)}
"""Field of NetParameter -> fields of a layer that hold its name and its blobs."""
V0_LAYER = 1
FLOATS, DOUBLES, SHAPE, DIMENSION = 5, 8, 7, 1
LEGACY_SHAPE = (1, 2, 3, 4)


class _WireError(ValueError):
    """The bytes are not what the wire format allows."""


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
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _read_net(memoryview(data), path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"weights file {path} does not exist", hint="name a .caffemodel file that exists"
        ) from error
    except (OSError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not a readable .caffemodel file: {error}",
            hint="copy it again; it may be cut off, or be no protobuf file at all",
        ) from error


def _read_net(net: memoryview, path: Path) -> dict[str, list[NDArray[np.float32]]]:
    found: dict[str, list[NDArray[np.float32]]] = {}
    for number, value in _fields(net):
        if number not in LAYERS or not isinstance(value, memoryview):
            continue
        name, blobs = _read_layer(value, *LAYERS[number], is_v1=number != 100)
        if blobs and name in found:
            raise _WireError(f"two layers are named {name!r}")
        if blobs:
            found[name] = blobs
    if not found:
        raise ConfigError(
            f"{path} holds no layer with weights",
            hint="a prototxt or a solver state is no .caffemodel",
        )
    return found


def _read_layer(
    layer: memoryview, name_field: int, blob_field: int, *, is_v1: bool
) -> tuple[str, list[NDArray[np.float32]]]:
    name = ""
    blobs: list[NDArray[np.float32]] = []
    for number, value in _fields(layer):
        if is_v1 and number == V0_LAYER:
            raise _WireError(
                "it is of the V0 format; convert it with Caffe's upgrade_net_proto_binary"
            )
        if not isinstance(value, memoryview):
            continue
        if number == name_field:
            name = bytes(value).decode()
        elif number == blob_field:
            blobs.append(_read_blob(value, f"blob {len(blobs)} of layer {name!r}"))
    return name, blobs


def _read_blob(blob: memoryview, where: str) -> NDArray[np.float32]:
    parts: list[NDArray[np.float32]] = []
    shape: list[int] = []
    legacy = [0, 0, 0, 0]
    for number, value in _fields(blob):
        if number in (FLOATS, DOUBLES):
            parts.append(_numbers(value, "<f4" if number == FLOATS else "<f8", where))
        elif number == SHAPE and isinstance(value, memoryview):
            shape = _dimensions(value)
        elif number in LEGACY_SHAPE and isinstance(value, int):
            legacy[number - 1] = value
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not shape and any(legacy):
        shape = legacy
    shape = shape or [len(values)]
    if math.prod(shape) != len(values):
        raise _WireError(f"{where} says it has the shape {tuple(shape)}, but has {len(values)}")
    return values.reshape(shape)


def _numbers(value: Field, kind: str, where: str) -> NDArray[np.float32]:
    """Packed numbers, or one that stands alone; a copy, so that the file can be closed."""
    if isinstance(value, int):
        raise _WireError(f"{where} holds integers")
    return np.frombuffer(value, kind).astype(np.float32)


def _dimensions(shape: memoryview) -> list[int]:
    found: list[int] = []
    for number, value in _fields(shape):
        if number != DIMENSION:
            continue
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            size, at = _varint(value, at)
            found.append(size)
    return found


def _fields(message: memoryview) -> Iterator[tuple[int, Field]]:
    """All fields of a message in order; numbers of a fixed width come as their bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            width, at = _varint(message, at)
        elif kind in (FIXED32, FIXED64):
            width = 4 if kind == FIXED32 else 8
        else:
            raise _WireError(f"wire type {kind} at byte {at}")
        if number == 0 or at + width > len(message):
            raise _WireError(f"a field of {width} bytes at byte {at} of {len(message)}")
        yield number, message[at : at + width]
        at += width


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of variable width, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise _WireError(f"a number is cut off at byte {at}")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
