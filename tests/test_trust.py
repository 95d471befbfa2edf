"""What is read is data: no code is run by reading, in any file of the package."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from boxless.errors import DataError, StoreError
from boxless.proposals.index import StoreInputs, read_index
from boxless.proposals.writer import ProposalWriter
from boxless.types import Proposals

SOURCE = Path(__file__).resolve().parents[1] / "src" / "boxless"
FILES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN_MODULES = {"shelve", "marshal", "dill", "cloudpickle", "joblib", "yaml", "tarfile", "xml",
                     "lxml"}  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
NEEDED = {
    ("torch", "load"): {"weights_only": True},
    ("np", "load"): {"allow_pickle": False},
}


def calls(tree):
    """(owner, name, keywords, line) of every call."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        words = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else "?"
            yield owner, node.func.attr, words, node.lineno
        elif isinstance(node.func, ast.Name):
            yield "", node.func.id, words, node.lineno


def imports(tree):
    """(module, names) of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", tuple(alias.name for alias in node.names)


def faults(text: str) -> list[str]:
    tree = ast.parse(text)
    found = []
    for module, names in imports(tree):
        root = module.partition(".")[0]
        # Classes that defusedxml raises and returns; nothing is parsed with them.
        harmless = bool(names) and set(names) <= {"Element", "ParseError"}
        if root in FORBIDDEN_MODULES and not harmless:
            found.append(f"imports {module}")
        if module == "torch" and "load" in names:
            found.append("imports torch.load by name")
    for owner, name, words, line in calls(tree):
        wanted = NEEDED.get((owner, name), {})
        found += [f"line {line}: {owner}.{name} without {k}={v}" for k, v in wanted.items()
                  if words.get(k) is not v]  # fmt: skip
        if not owner and name in FORBIDDEN_CALLS:
            found.append(f"line {line}: {name}()")
        if owner == "pickle" or name in ("extractall", "Unpickler"):
            found.append(f"line {line}: {owner}.{name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_reading_runs_no_code(path):
    assert faults(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import pickle\npickle.loads(b'')",
        "import xml.etree.ElementTree as ET",
        "from xml.dom import minidom",
        "from torch import load",
        "import yaml",
        "eval('1')",
        "archive.extractall('.')",
    ],
)
def test_the_audit_sees(text):
    assert faults(text)


class TestStores:
    """A proposal store of strangers cannot reach out of its folder."""

    @pytest.fixture
    def folder(self, tmp_path):
        writer = ProposalWriter(tmp_path / "store", StoreInputs("grid", {}, "m", 2, ("a",)))
        boxes = np.array([[0, 0, 5, 5]], np.float32)
        writer.write_shard(0, [("a", Proposals(boxes, np.ones(1, np.float32), 9, 9))])
        writer.finish()
        return tmp_path / "store"

    @pytest.mark.parametrize(
        "name", ["../x.safetensors", "/x.safetensors", "..", "a/b", "a\\b", "", None, 3]
    )
    def test_shards_lie_in_the_store(self, folder, name):
        path = folder / "index.json"
        facts = json.loads(path.read_bytes())
        facts["shards"][0]["file"] = name
        path.write_text(json.dumps(facts))
        with pytest.raises(StoreError, match="expected the plain name of a shard"):
            read_index(folder)


def test_boxes_hold_no_python(tmp_path):
    from boxless.proposals.box_files import read_boxes

    path = tmp_path / "b.npz"
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(DataError):
        read_boxes(path)
    np.savez(tmp_path / "c.npz", a=np.array([{"x": 1}], object))
    with pytest.raises(DataError, match="pickled objects"):
        read_boxes(tmp_path / "c.npz")


ENTITIES = (
    '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>',
    '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>',
    '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://localhost/x"> %p;]><annotation/>',
    "<!DOCTYPE a [" + "".join(f'<!ENTITY l{n} "{"&l" + str(n - 1) + ";" if n else "lol"}">'
                             for n in range(10)) + "]><annotation>&l9;</annotation>",
)  # fmt: skip


@pytest.mark.parametrize("text", ENTITIES)
def test_xml_entities_are_refused(tmp_path, text):
    from boxless.data.voc_xml import read_objects

    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(DataError, match="declares entities"):
        read_objects(path)


def test_an_onnx_file_cannot_read_other_files(tmp_path):
    """External data of a model must not come from outside of its folder."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from boxless.inference.student_file import open_student

    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(4))
    (tmp_path / "in").mkdir()
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../secret.bin"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    out = onnx.helper.make_tensor_value_info("probabilities", 1, [1])
    node = onnx.helper.make_node("Identity", ["w"], ["probabilities"])
    graph = onnx.helper.make_graph([node], "g", [], [out], [tensor])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 9
    path = tmp_path / "in" / "student.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(StoreError, match="External data path"):
        open_student(path)
