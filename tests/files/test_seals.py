"""Seals: every flipped bit and every lost byte is noticed, and the files stay what they are."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save

from boxless.errors import StoreError
from boxless.files.seals import KEY, damage, require_whole, sealed, write_sealed

TENSORS = {"a": np.arange(7, dtype=np.float32), "b": np.ones((2, 3), np.int8)}
CONTENTS = {
    "plain.safetensors": save(TENSORS),
    "noted.safetensors": save(TENSORS, {"progress": '{"update": 3}'}),
    "empty.safetensors": save({}),
    "facts.json": b'{\n "a": [1, 2.5],\n "b": "x"\n}',
    "none.json": b"{}",
    "student.onnx": bytes(range(256)) * 3,
}


@pytest.fixture(params=list(CONTENTS))
def file(request, tmp_path):
    path = tmp_path / request.param
    write_sealed(path, CONTENTS[request.param])
    return path


def test_a_whole_file_passes(file):
    assert damage(file) == ""
    require_whole(file)
    assert file.read_bytes() == sealed(CONTENTS[file.name], file.suffix)


def test_a_flipped_bit_of_any_byte_is_noticed(file):
    whole = file.read_bytes()
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        file.write_bytes(broken)
        assert damage(file), place


def test_every_lost_end_is_noticed(file):
    """Less than the words of the seal is no file of its format any more; see the stores' tests."""
    whole = file.read_bytes()
    for length in range(whole.index(b":boxless-seal"), len(whole)):
        file.write_bytes(whole[:length])
        assert damage(file), length


def test_additions_are_noticed(file):
    with file.open("ab") as stream:
        stream.write(b"\0")
    assert damage(file)


@settings(max_examples=60, deadline=None)
@given(
    where=st.floats(0, 1, exclude_max=True),
    noise=st.binary(min_size=1, max_size=60),
    name=st.sampled_from(list(CONTENTS)),
)
def test_noise_is_noticed(tmp_path_factory, where, noise, name):
    path = tmp_path_factory.mktemp("noise") / name
    whole = sealed(CONTENTS[name], path.suffix)
    place = int(where * len(whole))
    broken = (whole[:place] + noise + whole[place + len(noise) :])[: len(whole)]
    path.write_bytes(broken)
    assert bool(damage(path)) == (broken != whole)


def test_files_stay_what_they_are(tmp_path):
    path = tmp_path / "noted.safetensors"
    write_sealed(path, CONTENTS[path.name])
    for name, value in load_file(path).items():
        np.testing.assert_array_equal(value, TENSORS[name])
    with safe_open(path, "numpy") as opened:
        assert opened.metadata().keys() == {KEY, "progress"}
        assert opened.metadata()["progress"] == '{"update": 3}'
    facts = tmp_path / "facts.json"
    write_sealed(facts, CONTENTS[facts.name])
    found = json.loads(facts.read_bytes())
    assert found.pop(KEY).startswith("boxless-seal:")
    assert found == {"a": [1, 2.5], "b": "x"}


def test_an_onnx_model_stays_one(tmp_path):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    given_ = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    wanted = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Neg", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [given_], [wanted])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.helper.set_model_props(model, {"boxless.classes": "[]"})
    path = tmp_path / "m.onnx"
    write_sealed(path, model.SerializeToString())
    onnx.checker.check_model(str(path), full_check=True)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones(1, np.float32)})[0].tolist() == [-1.0]
    assert set(session.get_modelmeta().custom_metadata_map) == {KEY, "boxless.classes"}


def test_files_without_a_seal_pass(tmp_path):
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
        assert damage(tmp_path / name) == ""
    with pytest.raises(FileNotFoundError):
        damage(tmp_path / "none")


def test_the_message_says_what_to_do(tmp_path):
    path = tmp_path / "cache" / "t.safetensors"
    path.parent.mkdir()
    write_sealed(path, CONTENTS["plain.safetensors"])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"t\.safetensors is damaged: its checksum") as caught:
        require_whole(path)
    assert f"boxless verify {path.parent} --repair" in caught.value.hint
    assert path.parent.is_dir()


def test_only_objects_of_json_are_sealed():
    with pytest.raises(ValueError, match="JSON object"):
        sealed(b"[1]", ".json")
