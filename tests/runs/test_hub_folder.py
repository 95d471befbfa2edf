"""Uploading to the Hub, which is stood in for."""

import sys
import types

import pytest

from boxless.errors import ConfigError, MissingExtraError, RunError
from boxless.runs import hub_folder
from boxless.runs.hub_folder import push_folder, require_repository


@pytest.fixture
def hub(monkeypatch):
    """What the Hub was told."""
    told = []

    class HfApi:
        def create_repo(self, name, **options):
            told.append(("create", name, options))
            if name.startswith("locked/"):
                raise OSError("403 Forbidden: you may not write here")
            return f"https://huggingface.co/{name}"

        def upload_folder(self, **options):
            told.append(("upload", options))

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(HfApi=HfApi))
    monkeypatch.setattr(hub_folder, "find_spec", lambda _: True)
    return told


def test_a_folder_is_uploaded_to_a_private_repository(hub, tmp_path):
    assert push_folder(tmp_path, "me/dogs") == "https://huggingface.co/me/dogs"
    (_, name, created), (_, uploaded) = hub
    assert (name, created) == ("me/dogs", {"exist_ok": True, "private": True})
    assert uploaded["folder_path"] == str(tmp_path)
    assert uploaded["repo_id"] == "me/dogs"
    wanted = {"model.safetensors", "config.json", "README.md", "student.onnx"}
    assert set(uploaded["allow_patterns"]) == wanted  # other files of the folder stay here


def test_what_the_hub_refuses_is_told(hub, tmp_path):
    with pytest.raises(RunError, match=r"you may not write here(.|\n)*hf auth login"):
        push_folder(tmp_path, "locked/dogs")
    assert [word for word, *_ in hub] == ["create"]


@pytest.mark.parametrize("name", ["dogs", "me/dogs/cats", "https://huggingface.co/me/dogs", "me/"])
def test_other_names_are_refused(hub, tmp_path, name):
    with pytest.raises(ConfigError, match="--push OWNER/NAME"):
        push_folder(tmp_path, name)
    assert hub == []


def test_pushing_needs_its_package(hub, monkeypatch):
    require_repository("me/dogs")
    monkeypatch.setattr(hub_folder, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"boxless\[hub\]"):
        require_repository("me/dogs")
