"""Write ``.caffemodel`` files with Google's own protobuf library (a part of onnx's needs).

Messages hold the fields of ``caffe.proto`` that matter, and a few that a reader has to pass over.
"""

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {
    "int32": FIELD.TYPE_INT32, "int64": FIELD.TYPE_INT64, "float": FIELD.TYPE_FLOAT,
    "double": FIELD.TYPE_DOUBLE, "string": FIELD.TYPE_STRING,
}  # fmt: skip
MESSAGES = {
    "BlobShape": [("dim", 1, "int64*")],
    "BlobProto": [
        ("num", 1, "int32"), ("channels", 2, "int32"), ("height", 3, "int32"),
        ("width", 4, "int32"), ("data", 5, "float*"), ("diff", 6, "float*"),
        ("shape", 7, "BlobShape"), ("double_data", 8, "double*"),
    ],
    "LooseBlob": [("shape", 7, "LooseShape"), ("data", 5, "float+")],
    "LooseShape": [("dim", 1, "int64+")],
    "LayerParameter": [
        ("name", 1, "string"), ("type", 2, "string"), ("bottom", 3, "string+"),
        ("loss_weight", 5, "float+"), ("blobs", 7, "BlobProto+"), ("phase", 10, "int32"),
    ],
    "V1LayerParameter": [
        ("v0", 1, "LayerParameter"), ("bottom", 2, "string+"), ("name", 4, "string"),
        ("type", 5, "int32"), ("blobs", 6, "BlobProto+"), ("blobs_lr", 7, "float+"),
    ],
    "NetParameter": [
        ("name", 1, "string"), ("layers", 2, "V1LayerParameter+"), ("input", 3, "string+"),
        ("input_dim", 4, "int32+"), ("layer", 100, "LayerParameter+"),
    ],
}  # fmt: skip


def _define():
    file = descriptor_pb2.FileDescriptorProto(name="tiny_caffe.proto", package="tiny")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            plain = kind.rstrip("*+")
            label = FIELD.LABEL_OPTIONAL if plain == kind else FIELD.LABEL_REPEATED
            made = message.field.add(name=field, number=number, label=label)
            if plain in KINDS:
                made.type = KINDS[plain]
            else:
                made.type, made.type_name = FIELD.TYPE_MESSAGE, f".tiny.{plain}"
            if kind.endswith("*"):
                made.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tiny.{name}"))
        for name in MESSAGES
    }


CLASSES = _define()


def blob(array, *, legacy=False, doubles=False):
    """A BlobProto."""
    made = CLASSES["BlobProto"]()
    if legacy:
        shape = (1,) * (4 - array.ndim) + array.shape
        made.num, made.channels, made.height, made.width = shape
    else:
        made.shape.dim.extend(array.shape)
    (made.double_data if doubles else made.data).extend(array.ravel().tolist())
    return made


def net(layers, *, v1=False, doubles=False):
    """A NetParameter of (name, [arrays]) layers, with layers that have no weights in between."""
    made = CLASSES["NetParameter"](name="tiny", input=["data"], input_dim=[1, 3, 8, 8])
    for name, arrays in layers:
        blobs = [blob(np.asarray(a), legacy=v1, doubles=doubles) for a in arrays]
        if v1:
            made.layers.add(name=name, type=4, bottom=["x"], blobs=blobs, blobs_lr=[1.0, 2.0])
            made.layers.add(name=f"relu_{name}", type=18, bottom=[name])
        else:
            made.layer.add(name=name, type="Convolution", bottom=["x"], blobs=blobs, phase=1)
            made.layer.add(name=f"relu_{name}", type="ReLU", loss_weight=[0.5])
    return made


def write(path, layers, **options):
    """Write a ``.caffemodel``; returns its path."""
    path.write_bytes(net(layers, **options).SerializeToString())
    return path
