"""A cap on the kept maps: announced, kept to, and without influence on what is learned."""

import signal

import torch
from command_line import train_words
from safetensors.torch import load_file

GIB = 1 << 30
MAPS = 6144  # bytes of one image's maps in the tiny recipe


def words(out, maps=8):
    cap = (maps + 0.5) * MAPS / GIB
    return train_words(out, "--run.maps_gib", cap, "--run.checkpoint_seconds", "0", verb="distill")


def weights(run, step):
    return load_file(run / step / "weights.safetensors")


def test_capped_maps(preloaded, finished_run, tmp_path):
    out, again = tmp_path / "capped", tmp_path / "again"
    done = preloaded(*words(out))
    assert done.code == 0, done.err
    told = "teacher maps: 8 images x 6.1 kB = 49.2 kB in"
    assert told in done.err
    assert "maps of the 56 others are computed whenever they are needed" in done.err
    kept = sum(path.stat().st_size for path in (out / "maps").glob("maps-*"))
    assert 8 * MAPS <= kept < 9 * MAPS
    whole, capped = (weights(run, "stage1/seed-0") for run in (finished_run, out))
    for name, values in whole.items():
        torch.testing.assert_close(capped[name], values, atol=1e-3, rtol=1e-3)

    killed = preloaded(*words(again), after=21, below=again / "stage1" / "seed-0")
    assert killed.code == -signal.SIGKILL
    done = preloaded(*words(again))
    assert done.code == 0, done.err
    for step in ("stage1/seed-0", "stage2/seed-0"):
        name = f"{step}/weights.safetensors"
        assert (again / name).read_bytes() == (out / name).read_bytes()

    preloaded(*words(out, maps=20)).refused("run.maps_gib", "--force maps")


def test_no_room_for_one(preloaded, tmp_path):
    done = preloaded(*words(tmp_path / "run", maps=0))
    done.refused("has no room for one image's maps, which take 6.1 kB", "online")


def test_uncapped_maps_are_announced(finished_run, preloaded, run_copy):
    forced = train_words(run_copy, "--force", "maps", verb="distill")
    done = preloaded(*forced)
    assert done.code == 0, done.err
    assert "teacher maps: 64 images x 6.1 kB = 393.2 kB in" in done.err
    name = "stage1/seed-0/weights.safetensors"
    assert (run_copy / name).read_bytes() == (finished_run / name).read_bytes()
