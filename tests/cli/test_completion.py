"""Completion in the shell: the script that is installed knows verbs and options."""

import shutil
import subprocess

import pytest


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_bash_completes_verbs_and_options(app, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    done = app("--install-completion", "--shell", "bash")
    assert done.code == 0, done.err
    (script,) = (tmp_path / ".local").rglob("boxless")

    def complete(*words):
        line = " ".join(words)
        code = (
            f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1};"
            f" COMP_LINE='{line}'; _boxless; echo ${{COMPREPLY[@]}}"
        )
        run = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        return run.stdout.split()

    assert complete("boxless", "tr") == ["train"]
    assert complete("boxless", "train", "scenes:", "--see") == ["--seeds"]
    assert complete("boxless", "recipes", "val") == ["validate"]
