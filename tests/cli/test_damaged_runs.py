"""Damaged run folders and full disks: what is broken is named, what is whole stays."""

import json
import os
import resource
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import boxless, cut, train_words
from safetensors.numpy import load_file, save_file

from boxless.files.copies import file_sha256
from boxless.proposals.index import read_index, write_index


def flip(file: Path) -> None:
    """Flip a bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.write_bytes(content)


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
        reopen(run_copy, "features/regions/32px/seed-0")
        checkpoint = run_copy / "features/regions/32px/seed-0" / "checkpoint.safetensors"
        checkpoint.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
        done = self.goes_on(preloaded, run_copy)
        done.refused("checkpoint.safetensors cannot be used", "delete", "start this step again")
        checkpoint.unlink()
        assert self.goes_on(preloaded, run_copy).code == 0

    def test_checkpoint_of_another_model(self, run_copy, preloaded):
        reopen(run_copy, "features/regions/32px/seed-0")
        checkpoint = run_copy / "features/regions/32px/seed-0" / "checkpoint.safetensors"
        save_file({"module.x": np.zeros(3, np.float32)}, checkpoint, {"progress": "{}"})
        done = self.goes_on(preloaded, run_copy)
        done.refused("checkpoint.safetensors cannot be used", "delete")

    @pytest.mark.parametrize(
        "file", ["cache/teacher-00001.safetensors", "maps/maps-00001.safetensors"]
    )
    @pytest.mark.parametrize("damage", [cut, flip])
    def test_shard(self, run_copy, preloaded, file, damage):
        reopen(run_copy, "features/regions/32px/seed-0")
        damage(run_copy / file)
        done = self.goes_on(preloaded, run_copy)
        done.refused(file, "damaged", f"boxless verify {(run_copy / file).parent} --repair")

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
        reopen(run_copy, "features/regions/32px/seed-0")
        shard = run_copy / "proposals" / "store" / "shard-00000.safetensors"
        tensors = load_file(shard)
        tensors[name] = np.broadcast_to(np.float32(row), tensors[name].shape).copy()
        save_file(tensors, shard)
        index = read_index(shard.parent)
        facts = {"bytes": shard.stat().st_size, "sha256": file_sha256(shard)}
        first = replace(index.shards[0], **facts)  # as if another program had made the store
        write_index(shard.parent, replace(index, shards=(first, *index.shards[1:])))
        done = self.goes_on(preloaded, run_copy)
        done.refused("shard-00000.safetensors", "row 0", text, "--force proposals")

    def test_proposal_store(self, run_copy, preloaded):
        reopen(run_copy, "features/regions/32px/seed-0")
        cut(run_copy / "proposals" / "store" / "shard-00000.safetensors")
        done = self.goes_on(preloaded, run_copy)
        done.refused("shard-00000.safetensors is damaged", "bytes", "boxless verify", "--repair")

    def test_weights_of_a_finished_step(self, run_copy, preloaded):
        reopen(run_copy, "evaluate")
        cut(run_copy / "students/regions/32px/seed-0" / "weights.safetensors")
        done = self.goes_on(preloaded, run_copy)
        done.refused(
            "students/regions/32px/seed-0/weights.safetensors is not a readable",
            "boxless verify",
            "--repair",
        )

    @pytest.mark.parametrize("file", ["predictions.safetensors", "metrics.json"])
    def test_evaluation(self, run_copy, preloaded, file):
        reopen(run_copy, "report")
        cut(run_copy / "evaluate" / file, 40)
        done = self.goes_on(preloaded, run_copy)
        done.refused(f"evaluate/{file}", "damaged", "boxless verify", "--repair")

    def test_calibration(self, run_copy, preloaded):
        reopen(run_copy, "report")
        cut(run_copy / "calibrate" / "calibration.json", 40)
        done = self.goes_on(preloaded, run_copy)
        done.refused("calibrate/calibration.json", "damaged", "boxless verify", "--repair")

    def test_location(self, run_copy, preloaded):
        reopen(run_copy, "report")
        cut(run_copy / "locate" / "location.json", 40)
        done = self.goes_on(preloaded, run_copy)
        done.refused("locate/location.json", "damaged", "boxless verify", "--repair")

    def test_results(self, run_copy, app):
        (run_copy / "results.json").write_text("{")
        app(*train_words(run_copy)).refused("results.json")


class TestVerify:
    """Whatever is damaged is found, and repaired to the same bytes; nothing else is done again."""

    FILES = (
        "proposals/store/shard-00000.safetensors",
        "maps/maps-00001.safetensors",
        "cache/teacher-00000.safetensors",
        "students/plain/32px/seed-0/weights.safetensors",
        "evaluate/predictions.safetensors",
        "export/student.onnx",
    )

    def contents(self, run: Path) -> dict[str, bytes]:
        return {name: (run / name).read_bytes() for name in self.FILES}

    def test_a_whole_run(self, finished_run, app):
        done = app("verify", finished_run)
        assert done.code == 0, done.out
        assert ", 0 damaged" in done.out

    def test_found_and_made_again(self, run_copy, preloaded, app):
        whole = self.contents(run_copy)
        for number, name in enumerate(self.FILES):
            (flip if number % 2 else cut)(run_copy / name)
        (run_copy / "maps" / "maps-00000.safetensors").touch()
        done = app("verify", run_copy)
        assert done.code == 1
        for name in self.FILES:
            assert f"damaged: {run_copy / name}" in done.out
        assert f"{len(self.FILES)} damaged" in done.out
        listed = json.loads(app("verify", run_copy, "--json").out)
        assert len(listed["damaged"]) == len(self.FILES)
        times = {p: p.stat().st_mtime_ns for p in run_copy.rglob("*.safetensors")}
        done = app("verify", run_copy, "--repair")
        assert done.code == 0, done.err
        done = preloaded(*train_words(run_copy, "--run.checkpoint_seconds", "0"))
        assert done.code == 0, done.err
        assert "students/regions/32px/seed-0: done already" in done.err
        assert self.contents(run_copy) == whole
        again = {p for p, time in times.items() if p.stat().st_mtime_ns != time}
        regions = "evaluate/teacher-regions.safetensors"  # of a step that is done as a whole
        wanted = {run_copy / n for n in (*self.FILES, regions) if n.endswith("tensors")}
        assert again - {run_copy / "maps" / "moments.safetensors"} == wanted
        assert app("verify", run_copy).code == 0

    def test_missing_shard_and_index_of_the_store(self, run_copy, preloaded, app):
        store = run_copy / "proposals" / "store"
        shard = store / "shard-00000.safetensors"
        whole, index = shard.read_bytes(), (store / "index.json").read_bytes()
        shard.unlink()
        done = app("verify", store)
        assert done.code == 1
        assert "shard-00000.safetensors: it is missing" in done.out
        app("verify", store, "--repair")
        assert preloaded(*train_words(run_copy, verb="cache")).code == 0
        assert (shard.read_bytes(), (store / "index.json").read_bytes()) == (whole, index)
        flip(store / "index.json")
        app("verify", store, "--repair")
        assert preloaded(*train_words(run_copy, verb="cache")).code == 0
        assert (shard.read_bytes(), (store / "index.json").read_bytes()) == (whole, index)

    def test_a_damaged_record_costs_its_step(self, run_copy, app):
        (run_copy / "cache" / "step.json").write_text("{")
        cut(run_copy / "cache" / "teacher-00000.safetensors")
        assert app("verify", run_copy, "--repair").code == 0
        assert not (run_copy / "cache").exists()
        assert (run_copy / "maps" / "step.json").exists()

    def test_nothing_to_look_at(self, tmp_path, app):
        app("verify", tmp_path / "none").refused("expected a run folder", "found nothing")
        app("verify", tmp_path).refused("nothing of the kind")


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
            name = "students/plain/32px/seed-0/weights.safetensors"
            assert (out / name).read_bytes() == (finished_run / name).read_bytes()
        finally:
            subprocess.run(["umount", str(out)], check=True)
