"""Students on the Hub and on the web, by address; huggingface_hub is stood in for."""

import hashlib
import sys
import types
from pathlib import Path

import pytest

import boxless
from boxless.errors import ConfigError, MissingExtraError, RunError
from boxless.files.paths import RemotePath
from boxless.inference import student_file as addresses
from boxless.inference.student_file import student_place


@pytest.fixture
def hub(student, monkeypatch):
    """What was asked of the Hub, which has one student."""
    asked = []

    def download(repository, file, *, revision=None):
        asked.append((repository, file, revision))
        if repository == "nobody/nothing":
            raise OSError("404 Client Error: Repository Not Found")
        return str(student)

    package = types.SimpleNamespace(hf_hub_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", package)
    return asked


def test_a_student_of_the_hub_predicts(hub, student, pictures):
    found = boxless.load("hf://some-one/dogs.and_cats").predict(pictures)
    wanted = boxless.load(student).predict(pictures)
    assert [one.labels for one in found] == [one.labels for one in wanted]
    assert hub == [("some-one/dogs.and_cats", "student.onnx", None)]


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("hf://a/b/", ("a/b", "student.onnx", None)),
        ("hf://a/b@v1.0", ("a/b", "student.onnx", "v1.0")),
        ("hf://a/b/small/int8.onnx", ("a/b", "small/int8.onnx", None)),
        ("hf://a/b@main/int8.onnx", ("a/b", "int8.onnx", "main")),
    ],
)
def test_revision_and_file(hub, student, address, asked):
    assert student_place(address) == student_place(RemotePath(address)) == Path(student)
    assert hub == [asked, asked]


@pytest.mark.parametrize("address", ["hf://", "hf://a", "hf://a/b/c", "hf://a/b@", "hf://a b/c"])
def test_other_addresses_of_the_hub_are_refused(hub, address):
    with pytest.raises(ConfigError, match="hf://OWNER/NAME"):
        student_place(address)
    assert hub == []


def test_what_the_hub_refuses_is_told(hub):
    with pytest.raises(RunError, match=r"Repository Not Found(.|\n)*hf auth login"):
        boxless.load("hf://nobody/nothing")


def test_the_hub_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"boxless\[hub\]"):
        boxless.load("hf://a/b")


def test_a_student_of_the_web_is_checked(student, pictures, monkeypatch):
    sha256 = hashlib.sha256(Path(student).read_bytes()).hexdigest()
    address, asked = f"https://example.com/student.onnx#sha256={sha256}", []
    monkeypatch.setattr(addresses, "downloaded", lambda text: asked.append(text) or Path(student))
    assert boxless.load(address).predict(pictures)[0].labels
    assert asked == [address]


def test_other_places_stay_what_they_are(tmp_path):
    assert student_place("runs/first") == Path("runs/first")
    assert student_place(tmp_path) == tmp_path
    assert student_place("s3://bucket/student.onnx") == RemotePath("s3://bucket/student.onnx")
