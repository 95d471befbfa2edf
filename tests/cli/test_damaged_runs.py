"""Damaged run folders and full disks: what is broken is named, what is whole stays."""

import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import boxless, cut, train_words
from safetensors.numpy import load_file, save_file


def reopen(run: Path, step: str) -> None:
    """Make a finished step look as if it had been killed."""
    record = run / step / "step.json"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps(facts | {"status": "running"}))


class TestDamagedRuns:
    """Each damage is named with its file; what it does not touch stays."""

    def goes_on(self, preloaded, run: Path, *words):
        before = (run / "teacher" / "weights.safetensors").read_bytes()
        done = preloaded(*train_words(run, "--run.checkpoint_seconds", "0", *words))
        assert (run / "teacher" / "weights.safetensors").read_bytes() == before
        return done

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"name": 1}'])
    def test_step_record(self, run_copy, text, app):
        (run_copy / "cache" / "step.json").write_text(text)
        done = app(*train_words(run_copy))
        done.refused("cache/step.json is damaged", f"delete the folder {run_copy / 'cache'}")

    def test_checkpoint(self, run_copy, preloaded):
        reopen(run_copy, "stage1/seed-0")
        checkpoint = run_copy / "stage1" / "seed-0" / "checkpoint.safetensors"
        checkpoint.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
        done = self.goes_on(preloaded, run_copy)
        done.refused("checkpoint.safetensors cannot be used", "delete", "start this step again")
        checkpoint.unlink()
        assert self.goes_on(preloaded, run_copy).code == 0

    def test_checkpoint_of_another_model(self, run_copy, preloaded):
        reopen(run_copy, "stage1/seed-0")
        checkpoint = run_copy / "stage1" / "seed-0" / "checkpoint.safetensors"
        save_file({"module.x": np.zeros(3, np.float32)}, checkpoint, {"progress": "{}"})
        done = self.goes_on(preloaded, run_copy)
        done.refused("checkpoint.safetensors cannot be used", "delete")

    @pytest.mark.parametrize(
        ("file", "redo"),
        [
            ("cache/teacher-00001.safetensors", "cache"),
            ("maps/maps-00001.safetensors", "maps"),
        ],
    )
    def test_shard(self, run_copy, preloaded, file, redo):
        reopen(run_copy, "stage1/seed-0")
        cut(run_copy / file)
        done = self.goes_on(preloaded, run_copy)
        done.refused(file, "damaged", f"--force {redo}")

    def test_damaged_shard_of_an_unfinished_cache_is_made_again(
        self, run_copy, preloaded, finished_run
    ):
        reopen(run_copy, "cache")
        cut(run_copy / "cache" / "teacher-00001.safetensors")
        assert self.goes_on(preloaded, run_copy).code == 0
        for number in range(2):
            name = f"cache/teacher-0000{number}.safetensors"
            assert (run_copy / name).read_bytes() == (finished_run / name).read_bytes()

    @pytest.mark.parametrize(
        ("name", "row", "text"),
        [
            ("scores", np.nan, "the score is not finite"),
            ("boxes", (0, 0, 900, 10), "the box leaves the image of 64 x 64 pixels"),
            ("boxes", (9, 9, 3, 3), "inverted or empty"),
        ],
    )
    def test_proposals(self, run_copy, preloaded, name, row, text):
        reopen(run_copy, "stage1/seed-0")
        shard = run_copy / "proposals" / "store" / "shard-00000.safetensors"
        tensors = load_file(shard)
        size = shard.stat().st_size
        note = json.loads(shard.read_bytes()[8:].split(b',"boxes"')[0].decode() + "}")
        tensors[name][...] = row
        save_file(tensors, shard, note["__metadata__"])
        assert shard.stat().st_size == size
        done = self.goes_on(preloaded, run_copy)
        done.refused("shard-00000.safetensors", "row 0", text, "--force proposals")

    def test_proposal_store(self, run_copy, preloaded):
        reopen(run_copy, "stage1/seed-0")
        cut(run_copy / "proposals" / "store" / "shard-00000.safetensors")
        done = self.goes_on(preloaded, run_copy)
        done.refused("shard-00000.safetensors is damaged", "bytes", "--force proposals")

    def test_weights_of_a_finished_step(self, run_copy, preloaded):
        reopen(run_copy, "evaluate")
        cut(run_copy / "stage2" / "seed-0" / "weights.safetensors")
        done = self.goes_on(preloaded, run_copy)
        done.refused("stage2/seed-0/weights.safetensors is not a readable", "--force")

    @pytest.mark.parametrize("file", ["predictions.safetensors", "arms.json"])
    def test_evaluation(self, run_copy, preloaded, file):
        reopen(run_copy, "report")
        cut(run_copy / "evaluate" / file, 40)
        done = self.goes_on(preloaded, run_copy)
        done.refused(f"evaluate/{file}", "damaged", "--force evaluate")

    def test_calibration(self, run_copy, preloaded):
        reopen(run_copy, "report")
        cut(run_copy / "calibrate" / "calibration.json", 40)
        done = self.goes_on(preloaded, run_copy)
        done.refused("calibrate/calibration.json", "damaged", "--force calibrate")

    def test_results(self, run_copy):
        (run_copy / "results.json").write_text("{")
        boxless(*train_words(run_copy)).refused("results.json")


class TestNoSpace:
    def limit(self) -> None:
        """Files may not grow above 100 kB, as if the disk were full then."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    def test_weights_do_not_fit(self, finished_run, tmp_path):
        out = tmp_path / "run"
        words = train_words(out, "--run.checkpoint_seconds", "0", verb="baseline")
        done = boxless(*words, preexec=self.limit)
        done.refused("cannot write", "checkpoint.safetensors", "free some space")
        assert not list(out.rglob("*.tmp"))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
    def test_a_full_file_system(self, preloaded, finished_run, tmp_path):
        """Room is made, the same command is given again: the result is the same as ever."""
        out = tmp_path / "run"
        out.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=2560k", "tmpfs", str(out)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting is not allowed here")
        try:
            words = train_words(out, "--run.checkpoint_seconds", "0", verb="baseline")
            done = preloaded(*words)
            done.refused("cannot write", "No space left on device", "free some space")
            grow = ["mount", "-o", "remount,size=64m", str(out)]
            subprocess.run(grow, check=True)
            assert preloaded(*words).code == 0
            name = "baseline/seed-0/weights.safetensors"
            assert (out / name).read_bytes() == (finished_run / name).read_bytes()
        finally:
            subprocess.run(["umount", str(out)], check=True)
