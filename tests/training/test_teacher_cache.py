"""What is kept of the teacher: right values, the unseen head, shards that survive being killed."""

from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file
from task_case import FOLDS, LEVEL, teacher
from training_case import CLASSES, IMAGES, REGIONS, SIDE, dataset

from boxless.errors import StoreError
from boxless.files.seals import write_sealed
from boxless.losses.objectness import objectness
from boxless.training import map_store, sharded, teacher_cache
from boxless.training.batches import whole_batches
from boxless.training.map_store import MapShards, MapStore, remove_damaged
from boxless.training.sharded import write_shards
from boxless.training.teacher_cache import Knowledge, KnowledgeShards, TeacherCache


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    for module in (map_store, sharded, teacher_cache):
        monkeypatch.setattr(module, "SHARD", 4)


KNOWLEDGE = Knowledge(0.5, 0.5, lambda scores, batch: objectness(scores, batch.scores, batch.mask))


def build(folder, runtime, detector, *, folds=None, maps=None, advance=lambda _: None):
    work = KnowledgeShards(detector.eval(), SIDE, maps, folds, KNOWLEDGE, lambda: runtime)
    path_of = partial(teacher_cache.shard_path, folder)
    write_shards(dataset(REGIONS), path_of, work, advance=advance)
    return TeacherCache(folder, IMAGES)


def maps_of(folder, runtime, detector, levels=(LEVEL, "final")):
    work = MapShards(detector.eval().backbone, SIDE, levels, lambda: runtime)
    write_shards(dataset(), partial(map_store.shard_path, folder), work)
    return MapStore(folder, IMAGES)


@torch.no_grad()
def outputs_of(detector, heads=(0,)):
    (batch,) = whole_batches(dataset(REGIONS), size=SIDE, batch_size=IMAGES)
    return detector(batch.pixels.float(), batch.boxes, batch.scores, batch.mask, heads), batch


def test_values_are_the_detectors(tmp_path, runtime):
    detector = teacher()
    cache = build(tmp_path, runtime, detector)
    (output,), batch = outputs_of(detector)
    softened = output.image_probabilities(class_temperature=0.5, region_temperature=0.5)
    close = {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(cache.targets, softened, **close)
    torch.testing.assert_close(cache.probabilities, output.image_probabilities(), **close)
    torch.testing.assert_close(cache.seen, cache.probabilities, **close)
    expected = objectness(output.region_scores(), batch.scores, batch.mask)
    torch.testing.assert_close(cache.objectness, expected, **close)
    assert cache.targets.shape == (IMAGES, CLASSES)
    assert not torch.allclose(cache.targets, cache.probabilities, atol=1e-3)


def test_images_are_described_by_the_head_that_did_not_see_them(tmp_path, runtime):
    """Head 1 believes in class 0 alone, head 2 in class 1; fold 0 gets head 1, fold 1 head 2."""
    detector = teacher(heads=3)
    for head in (1, 2):
        detector.heads[head].class_scores.bias.data[head - 1] = 30.0
    cache = build(tmp_path, runtime, detector, folds=FOLDS)
    assert cache.probabilities.argmax(1).tolist() == FOLDS.tolist()
    assert cache.targets.argmax(1).tolist() == FOLDS.tolist()
    assert (cache.probabilities.amax(1) > 0.99).all()
    (whole,), _ = outputs_of(detector)
    torch.testing.assert_close(cache.seen, whole.image_probabilities(), atol=1e-5, rtol=1e-4)
    assert (cache.seen.amax(1) < 0.99).all()


def test_kept_maps_give_the_same_knowledge(tmp_path, runtime):
    """float16 maps instead of the backbone's own."""
    detector = teacher()
    maps = maps_of(tmp_path / "maps", runtime, detector)
    direct = build(tmp_path / "direct", runtime, detector)
    kept = build(tmp_path / "kept", runtime, detector, maps=maps)
    torch.testing.assert_close(kept.targets, direct.targets, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(kept.objectness, direct.objectness, atol=1e-2, rtol=1e-2)


def test_loading_processes_change_no_shard(tmp_path, runtime):
    """Also where some shards are there already."""
    detector = teacher().eval()
    work = KnowledgeShards(detector, SIDE, None, None, KNOWLEDGE, lambda: runtime)
    for name, workers in (("alone", 0), ("helped", 2)):
        path_of = partial(teacher_cache.shard_path, tmp_path / name)
        write_shards(dataset(REGIONS), path_of, work, workers=workers)
        path_of(1).unlink()
        write_shards(dataset(REGIONS), path_of, work, workers=workers)
    alone, helped = (sorted((tmp_path / name).iterdir()) for name in ("alone", "helped"))
    assert [path.read_bytes() for path in alone] == [path.read_bytes() for path in helped]


def test_finished_shards_are_kept_and_missing_ones_made(tmp_path, runtime):
    detector = teacher()
    done = []
    plain = build(tmp_path, runtime, detector, advance=done.append)
    assert done == [4, 4, 2]
    shards = sorted(tmp_path.iterdir())
    assert len(shards) == 3
    first = shards[0].stat().st_mtime_ns
    shards[1].unlink()
    again = build(tmp_path, runtime, detector)
    assert shards[0].stat().st_mtime_ns == first
    for name in ("targets", "probabilities", "seen", "objectness"):
        assert torch.equal(getattr(again, name), getattr(plain, name))


@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage"])
def test_damaged_shard_is_named(tmp_path, runtime, damage):
    build(tmp_path, runtime, teacher())
    shard = teacher_cache.shard_path(tmp_path, 1)
    if damage == "missing":
        shard.unlink()
    else:
        content = shard.read_bytes()
        shard.write_bytes(content[:-3] if damage == "truncated" else b"x" * 50)
    with pytest.raises(StoreError, match=r"teacher-00001.*damaged"):
        TeacherCache(tmp_path, IMAGES)


def test_damaged_shards_are_removed_and_built_again(tmp_path, runtime):
    detector = teacher()
    plain = build(tmp_path, runtime, detector)
    shard = teacher_cache.shard_path(tmp_path, 2)
    shard.write_bytes(shard.read_bytes()[:-1])
    assert remove_damaged(tmp_path, "teacher-*.safetensors") == [shard]
    assert torch.equal(build(tmp_path, runtime, detector).targets, plain.targets)
    assert remove_damaged(tmp_path, "teacher-*.safetensors") == []


def test_maps_are_the_backbones_in_any_order(tmp_path, runtime):
    detector = teacher()
    store = maps_of(tmp_path, runtime, detector)
    (batch,) = whole_batches(dataset(), size=SIDE, batch_size=IMAGES)
    with torch.no_grad():
        inputs = detector.backbone.normalize(batch.pixels.float())
        expected = detector.backbone(inputs, (LEVEL, "final"))
    index = torch.tensor([9, 0, 4, 4])
    flips = torch.tensor([False, True, False, True])
    for level, maps in expected.items():
        found = store.maps(index, flips, level)
        wanted = torch.stack(
            [m.flip(-1) if f else m for m, f in zip(maps[index], flips, strict=True)]
        )
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, atol=2e-3, rtol=2e-3)
        assert torch.equal(found[2], found[3]) == (maps.shape[-1] == 1)


def test_spread_is_numpys(tmp_path, runtime):
    store = maps_of(tmp_path, runtime, teacher())
    values = np.concatenate(
        [load_file(p)[LEVEL].double().numpy() for p in sorted(tmp_path.iterdir())]
    )
    deviation = values.std((0, 2, 3))
    expected = deviation + map_store.SPREAD_FLOOR * deviation.mean()
    np.testing.assert_allclose(store.spread(LEVEL).numpy(), expected, rtol=1e-4)


def test_missing_and_damaged_maps_are_named(tmp_path, runtime):
    store = maps_of(tmp_path, runtime, teacher())
    shard = map_store.shard_path(tmp_path, 0)
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match=r"maps-00000.*damaged"):
        store.maps(torch.tensor([1]), torch.tensor([False]), LEVEL)
    shard.unlink()
    with pytest.raises(StoreError, match=r"maps-00000.*missing"):
        MapStore(tmp_path, IMAGES)


def test_shards_may_differ_in_their_number_of_regions(tmp_path):
    for number, (rows, regions) in enumerate(((4, 3), (4, 5), (2, 1))):
        tensors = {"objectness": torch.full((rows, regions), number + 1.0)}
        save_file(tensors, teacher_cache.shard_path(tmp_path, number))
    found = TeacherCache(tmp_path, IMAGES).objectness
    assert found.shape == (IMAGES, 5)
    assert found[3].tolist() == [1, 1, 1, 0, 0]
    assert found[4].tolist() == [2] * 5
    assert found[9].tolist() == [3, 0, 0, 0, 0]


@torch.no_grad()
def test_an_untagged_image_is_described_by_the_mean_of_the_fold_heads(tmp_path, runtime):
    detector, folds = teacher(heads=3), FOLDS.clone()
    folds[6:] = teacher_cache.UNSEEN
    cache = build(tmp_path / "some", runtime, detector, folds=folds)
    all_seen = build(tmp_path / "all", runtime, detector, folds=FOLDS)
    (_, one, two), batch = outputs_of(detector, (0, 1, 2))
    softened = {"class_temperature": 0.5, "region_temperature": 0.5}
    targets = (one.image_probabilities(**softened) + two.image_probabilities(**softened)) / 2
    torch.testing.assert_close(cache.targets[6:], targets[6:])
    scores = (one.region_scores() + two.region_scores()) / 2
    torch.testing.assert_close(cache.probabilities[6:], scores.sum(1)[6:])
    torch.testing.assert_close(
        cache.objectness[6:, : scores.shape[1]], KNOWLEDGE.objectness(scores, batch)[6:]
    )
    for name in ("targets", "probabilities", "objectness"):
        assert torch.equal(getattr(cache, name)[:6], getattr(all_seen, name)[:6])


@pytest.mark.parametrize("scaled", [False, True])
def test_directions_are_those_in_which_channels_vary_most(tmp_path, scaled):
    """Cells that lie in a plane but for a little noise: two directions keep nearly all of them."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.linalg.qr(torch.randn(8, 2, generator=generator)).Q
    cells = torch.randn(8, 6, 6, 2, generator=generator) * torch.tensor([5.0, 2.0])
    noise = 0.01 * torch.randn(8, 8, 6, 6, generator=generator)
    maps = (torch.einsum("nhwd,cd->nchw", cells, plane) + noise + 3).half().contiguous()
    for shard in range(2):
        write_sealed(map_store.shard_path(tmp_path, shard), save({LEVEL: maps[4 * shard :][:4]}))
    store = MapStore(tmp_path, 8)
    spread = torch.full((8,), 2.0) if scaled else None
    found = store.directions(LEVEL, 2, spread)
    assert found.shape == (8, 2)
    scale = 0.5 if scaled else 1.0
    torch.testing.assert_close(found.T @ found, scale**2 * torch.eye(2), atol=1e-4, rtol=1e-4)
    flat = maps.float().permute(0, 2, 3, 1).flatten(0, 2)
    flat = flat - flat.mean(0)
    variances = (flat @ found).var(0)
    assert variances[0] > variances[1]
    torch.testing.assert_close(variances.sum(), scale**2 * flat.var(0).sum(), rtol=1e-3, atol=0)
