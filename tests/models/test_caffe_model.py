"""The reader of ``.caffemodel`` files against files that Google's protobuf library writes."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.errors import ConfigError
from boxless.models.caffe_model import read_caffemodel
from caffe_files import CLASSES, net, write

RNG = np.random.default_rng(0)
LAYERS = [
    ("conv1_1", [RNG.normal(size=(4, 3, 3, 3)), RNG.normal(size=4)]),
    ("fc6", [RNG.normal(size=(5, 300)), RNG.normal(size=5)]),  # a length of two bytes
]


@pytest.mark.parametrize("doubles", [False, True])
def test_layer_message(tmp_path, doubles):
    found = read_caffemodel(write(tmp_path / "a.caffemodel", LAYERS, doubles=doubles))
    assert list(found) == ["conv1_1", "fc6"]
    for name, arrays in LAYERS:
        for mine, theirs in zip(found[name], arrays, strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_array_equal(mine, theirs.astype(np.float32))


def test_v1_layers_message_has_four_axes(tmp_path):
    found = read_caffemodel(write(tmp_path / "a.caffemodel", LAYERS, v1=True))
    assert [b.shape for b in found["conv1_1"]] == [(4, 3, 3, 3), (1, 1, 1, 4)]
    assert [b.shape for b in found["fc6"]] == [(1, 1, 5, 300), (1, 1, 1, 5)]
    np.testing.assert_array_equal(found["fc6"][0][0, 0], LAYERS[1][1][0].astype(np.float32))


def test_numbers_that_are_not_packed(tmp_path):
    """Readers of packed fields must take the other form too (protobuf's encoding guide)."""
    loose = CLASSES["LooseBlob"]()
    loose.shape.dim.extend([2, 3])
    loose.data.extend(range(6))
    made = net([])
    layer = made.layer.add(name="fc7")
    layer.blobs.add().ParseFromString(loose.SerializeToString())
    # Parsing packs them; put the loose bytes in by hand instead.
    packed, plain = layer.blobs[0].SerializeToString(), loose.SerializeToString()
    assert packed != plain
    body = b"\x0a\x03fc7" + b"\x3a" + bytes([len(plain)]) + plain
    (tmp_path / "a.caffemodel").write_bytes(b"\xa2\x06" + bytes([len(body)]) + body)
    found = read_caffemodel(tmp_path / "a.caffemodel")
    np.testing.assert_array_equal(found["fc7"][0], np.arange(6.0).reshape(2, 3))


def test_a_blob_without_any_shape_is_flat(tmp_path):
    made = net([])
    made.layer.add(name="scale").blobs.add(data=[1.0, 2.0])
    (tmp_path / "a.caffemodel").write_bytes(made.SerializeToString())
    np.testing.assert_array_equal(read_caffemodel(tmp_path / "a.caffemodel")["scale"], [[1, 2]])


def faulty(kind):
    made = net(LAYERS)
    match kind:
        case "count":
            made.layer[0].blobs[0].shape.dim[0] = 7
        case "twice":
            made.layer.add(name="fc6").blobs.add(data=[1.0])
        case "v0":
            made.layers.add().v0.name = "conv1_1"
        case "none":
            made = net([("relu", [])])
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("count", r"blob 0 of layer 'conv1_1' says it has the shape \(7, 3, 3, 3\), but has 108"),
        ("twice", "two layers are named 'fc6'"),
        ("v0", "V0 format.*upgrade_net_proto_binary"),
        ("none", "holds no layer with weights"),
    ],
)
def test_faults_are_named(tmp_path, kind, text):
    (tmp_path / "bad.caffemodel").write_bytes(faulty(kind))
    with pytest.raises(ConfigError, match=text) as caught:
        read_caffemodel(tmp_path / "bad.caffemodel")
    assert "bad.caffemodel" in str(caught.value)
    assert caught.value.hint


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_caffemodel(tmp_path / "no.caffemodel")
    (tmp_path / "empty.caffemodel").write_bytes(b"")
    with pytest.raises(ConfigError, match="not a readable"):
        read_caffemodel(tmp_path / "empty.caffemodel")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path_factory, data):
    whole = net(LAYERS).SerializeToString()
    cut = data.draw(st.integers(1, len(whole)))
    damaged = bytearray(whole[:cut])
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, min(cut, 80) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.caffemodel"
    path.write_bytes(bytes(damaged))
    with suppress(ConfigError):
        assert read_caffemodel(path)


def test_every_cut_within_a_layer_is_refused(tmp_path):
    whole = net(LAYERS[:1]).SerializeToString()
    end = whole.index(b"relu_") - 6
    for cut in range(40, end, 37):
        (tmp_path / "cut.caffemodel").write_bytes(whole[:cut])
        with pytest.raises(ConfigError, match=r"cut\.caffemodel"):
            read_caffemodel(tmp_path / "cut.caffemodel")
