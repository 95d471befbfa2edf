"""Which images are trained on with tags and without: held-out part first, tags hidden, leaks."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from boxless.data.manifest import Manifest
from boxless.data.sources import load_manifest
from boxless.data.untagged import join_untagged, read_untagged
from boxless.errors import DataError
from boxless.recipe.recipe_files import load_recipe
from boxless.runs.context import Run
from boxless.runs.leak_check import FOUND
from boxless.runs.parts import read_images
from boxless.types import UNKNOWN, ImageRecord

SPEC = "scenes:train=60,test=9,size=48"
MORE = "scenes:train=20,test=4,size=48,seed=3"


def make(folder, *, spec=SPEC, manifest=None, **data):
    words = {key.replace("__", "."): str(value) for key, value in data.items()}
    words = {key if "." in key else f"data.{key}": value for key, value in words.items()}
    recipe = load_recipe("voc-lite0", {"data.held_out": "0.2", **words})
    return Run(folder, spec, recipe, manifest or read_images(spec, recipe))


def ids(part):
    return set(part.image_ids)


def test_the_held_out_part_comes_first_and_keeps_its_tags(tmp_path):
    whole, few = make(tmp_path), make(tmp_path, tags=10)
    assert few.held_out == whole.held_out
    assert len(few.train) == 10
    assert few.pool.image_ids[:10] == few.train.image_ids
    assert ids(few.pool) == ids(whole.train)
    assert whole.pool == whole.train
    few, other = make(tmp_path, tags=20), make(tmp_path, tags=20, tags_seed=1)
    assert ids(other.train) != ids(few.train)
    assert ids(other.pool) == ids(few.pool)


def test_untagged_images_stand_behind_and_say_nothing(tmp_path):
    run = make(tmp_path, tags=10, untagged=MORE)
    assert len(run.pool) == 48 + 24
    assert (run.pool.labels[:10] == run.train.labels).all()
    assert (run.pool.labels[10:] == UNKNOWN).all()
    assert all(record.boxes is None for record in run.pool.records[10:])
    found = run.dataset(run.pool)
    assert {found.records[row].labels for row in range(10, 72)} == {(UNKNOWN,) * len(run.classes)}
    assert not ids(run.pool) & (ids(run.test) | ids(run.held_out))


def test_the_oracle_alone_knows_the_tags(tmp_path):
    run = make(tmp_path, tags=10, untagged=MORE)
    true = {r.image_id: r.labels for r in load_manifest(SPEC).records}
    true |= {f"untagged/{r.image_id}": r.labels for r in load_manifest(MORE).records}
    assert run.oracle.image_ids == run.pool.image_ids
    assert {r.image_id: r.labels for r in run.oracle.records} == {
        name: true[name] for name in run.pool.image_ids
    }
    assert (run.pool.labels[10:] == UNKNOWN).all()


def test_an_oracle_without_true_tags_is_refused(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    draw(0).save(folder / "some.png")
    run = make(tmp_path, untagged=folder, tags=10)
    with pytest.raises(DataError, match=r"found 39 images, 1 of them without true tags.*some\.png"):
        _ = run.oracle
    with pytest.raises(DataError, match="found 0 images"):
        _ = make(tmp_path).oracle


def test_a_split_named_val_is_the_held_out_part(tmp_path):
    manifest = load_manifest(SPEC)
    records = tuple(
        replace(record, split="val") if place < 7 else record
        for place, record in enumerate(manifest.split("train").records)
    )
    manifest = replace(manifest, records=(*records, *manifest.split("test").records))
    run = make(tmp_path, manifest=manifest, tags=10)
    assert run.held_out.image_ids == tuple(r.image_id for r in records[:7])
    assert len(run.pool) == 53
    assert make(tmp_path, manifest=manifest, held_out=0).held_out is None


def test_the_choice_of_tags_changes_no_fingerprint(tmp_path):
    """So proposals are made once for any number of tags."""
    one, two = make(tmp_path, tags=10), make(tmp_path)
    assert one.manifest.fingerprint == two.manifest.fingerprint
    assert make(tmp_path, untagged=MORE).manifest.fingerprint != one.manifest.fingerprint


def test_a_single_positive_is_kept_where_anything_is_chosen_and_test_stays_clean(tmp_path):
    full = make(tmp_path, tags=20)
    one = make(tmp_path, tags=20, single_positive="true")
    other = make(tmp_path, tags=20, single_positive="true", tags_seed=1)
    for part in ("train", "held_out"):
        before, after = getattr(full, part), getattr(one, part)
        assert before.image_ids == after.image_ids
        assert (before.labels == 1).sum(1).max() > 1
        assert ((after.labels == 1).sum(1) == np.minimum((before.labels == 1).sum(1), 1)).all()
    assert one.test == full.test
    assert (one.oracle.labels[20:] == full.oracle.labels[20:]).all()
    assert (one.held_out.labels != other.held_out.labels).any()
    assert one.manifest.fingerprint == full.manifest.fingerprint


def test_more_tags_than_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected 1 to 48 training images that keep their tags"):
        _ = make(tmp_path, tags=49).train


def draw(seed):
    """A drawing of large shapes."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (60, 40), tuple(random.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(8):
        x, y, w, h = (int(v) for v in random.integers(5, 40, 4))
        pen.ellipse((x, y, x + w, y + h), fill=tuple(random.integers(0, 256, 3).tolist()))
    return image


@pytest.fixture
def leaking(tmp_path):
    """Twelve pictures with tags, three others, and one of the test pictures larger and mirrored."""
    records = []
    for number in range(12):
        draw(number).save(tmp_path / f"{number}.png")
        split = "test" if number > 9 else "train"
        path = str(tmp_path / f"{number}.png")
        records.append(ImageRecord(str(number), path, split, (number % 2, 1)))
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(20, 23):
        draw(number).save(photos / f"{number}.png")
    draw(11).resize((90, 60)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "copy.png")
    return Manifest("some", ("x", "y"), tuple(records)), photos


def leaky(folder, leaking, leaks):
    manifest, photos = leaking
    joined = join_untagged(manifest, read_untagged(str(photos)))
    return make(folder, manifest=joined, untagged=photos, run__leaks=leaks)


def test_near_copies_of_test_images_are_refused(tmp_path, leaking):
    with pytest.raises(DataError, match=r"1 of 4 untagged images show the same picture as a test"):
        _ = leaky(tmp_path / "run", leaking, "refuse").pool


def test_near_copies_are_left_out_or_allowed_where_asked(tmp_path, leaking, capsys, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    dropped = leaky(folder, leaking, "drop")
    assert not any(name.endswith("copy.png") for name in dropped.pool.image_ids)
    assert len(dropped.pool) == len(dropped.train) + 3
    assert "1 of 4 untagged images" in capsys.readouterr().err
    allowed = leaky(folder, leaking, "allow")
    assert len(allowed.pool) == len(allowed.train) + 4
    assert (folder / FOUND).exists()
    # what was found is remembered: the pictures are not looked at again
    monkeypatch.setattr("boxless.data.leaks.load_grey", None)
    assert leaky(folder, leaking, "drop").pool == dropped.pool
