import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from boxless.data import scenes
from boxless.data.images import load_image
from boxless.data.scene_layout import CLASSES, SUPERSAMPLING, Recipe, layout
from boxless.data.scene_painter import paint
from boxless.data.scene_shapes import DISTRACTORS, OBJECTS
from boxless.data.sources import load_manifest
from boxless.errors import DataError

SHADOW = 75  # grey levels that the shadow of a thing, or its light, may add up to
SOME = [Recipe(0, 160, "train", index) for index in range(40)]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe(0, 160, "train", 0), "0a753c62b778c4a4"),
        (Recipe(0, 160, "test", 7), "6b33421ba2c52310"),
        (Recipe(3, 96, "train", 11), "5a7c5933fb2395b3"),
        (Recipe(2**32 - 1, 331, "test", 999_999), "d9fc21c4c71c5deb"),
    ],
)
def test_pixels_never_change(recipe, expected):
    """If this fails on purpose, raise ``scenes.VERSION``: cached features would be wrong."""
    assert digest(paint(layout(recipe))) == expected


def test_tags_and_boxes_never_change():
    found = load_manifest("scenes:train=20,test=10")
    text = repr([(r.image_id, r.labels, r.boxes) for r in found.records])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "4c0f9748dc3b8c0c"


def test_a_scene_depends_on_its_whole_recipe():
    base = Recipe(0, 160, "train", 1)
    others = [replace(base, seed=1), replace(base, split="test"), replace(base, index=2)]
    digests = {digest(paint(layout(recipe))) for recipe in (base, *others)}
    assert len(digests) == 4


def test_counts_do_not_change_the_other_splits():
    small = load_manifest("scenes:train=3,test=5")
    large = load_manifest("scenes:train=9,test=5,untagged=4")
    assert small.split_names == ("train", "test")
    assert large.split_names == ("train", "test", "untagged")
    assert small.split("test").records == large.split("test").records
    assert small.split("train").records == large.split("train").records[:3]


def test_untagged_scenes_are_further_ones_with_true_labels_and_boxes():
    found = load_manifest("scenes:train=20,test=20,untagged=20")
    untagged = found.split("untagged")
    assert len(untagged) == 20
    assert len({digest(load_image(record.path)) for record in found.records}) == 60
    for record in untagged.records:
        assert record.labels == layout(scenes.parse_path(record.path)).labels
        assert record.boxes is not None
        assert len(record.boxes) >= sum(record.labels)


def test_records_load_as_their_layout_says():
    for record in load_manifest("scenes:train=3,test=2,size=72").records:
        recipe = scenes.parse_path(record.path)
        assert layout(recipe).labels == record.labels
        assert load_image(record.path).shape == (72, 72, 3)
        assert (load_image(record.path) == paint(layout(recipe))).all()


@pytest.mark.parametrize("size", [48, 160])
def test_boxes_hold_the_drawn_pixels_tightly(size):
    """Take each thing away: bar its soft shadow only pixels in its box change, up to its edges."""
    looked = 0
    for recipe in (replace(r, size=size) for r in SOME[:12]):
        scene = layout(recipe)
        whole = paint(scene).astype(int)
        for number, thing in enumerate(scene.things):
            rest = scene.things[:number] + scene.things[number + 1 :]
            change = np.abs(whole - paint(replace(scene, things=rest))).max(axis=2)
            x1, y1, x2, y2 = (int(edge) for edge in thing.box)
            assert 0 <= x1 < x2 <= size
            assert 0 <= y1 < y2 <= size
            around = np.ones((size, size), bool)
            around[y1:y2, x1:x2] = False
            assert change[around].max() <= SHADOW
            covered = any(
                other.box[0] < x2 and x1 < other.box[2] and other.box[1] < y2 and y1 < other.box[3]
                for other in scene.things[number + 1 :]
            )
            rows, columns = np.nonzero(change > 0)
            if not covered:
                found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                reach = np.subtract(found, (x1, y1, x2, y2)) * (1, 1, -1, -1)
                assert reach.max() <= 1
                looked += 1
    assert looked > 40


def test_nothing_reaches_out_of_the_image():
    for recipe in (replace(r, size=320) for r in SOME):
        for thing in layout(recipe).things:
            assert min(thing.box) >= 0
            assert max(thing.box) <= 320


def test_everything_stands_in_its_zone():
    for scene in map(layout, SOME):
        edges = (0, scene.horizon, scene.shore, 160 * SUPERSAMPLING)
        for thing in scene.things:
            foot = thing.y + thing.radius
            assert edges[thing.kind.zone] < foot <= edges[thing.kind.zone + 1]


def test_tags_are_the_classes_of_the_boxes():
    for record in load_manifest("scenes:train=50,test=10").records:
        assert record.boxes is not None
        assert {box.label for box in record.boxes} == {
            k for k, label in enumerate(record.labels) if label == 1
        }


def test_objects_are_small_and_seen():
    areas = []
    for recipe in SOME:
        things = layout(recipe).things
        for number, thing in enumerate(things):
            if thing.label < 0:
                continue
            x1, y1, x2, y2 = (int(edge) for edge in thing.box)
            assert max(x2 - x1, y2 - y1) <= 0.34 * 160
            areas.append((x2 - x1) * (y2 - y1) / 160**2)
            hidden = np.zeros((160, 160), bool)
            for other in things[number + 1 :]:
                a, b, c, d = (int(edge) for edge in other.box)
                hidden[b:d, a:c] = True
            assert hidden[y1:y2, x1:x2].mean() <= 0.7
    assert np.mean(areas) < 0.04


def test_default_set_is_imbalanced_and_classes_keep_company():
    train = load_manifest("scenes:").split("train")
    positive = train.labels == 1
    counts = positive.sum(axis=0)
    assert len(train) == 600
    assert 5 <= counts.max() / counts.min() <= 8
    assert counts.min() >= 30
    assert 20 <= (positive.sum(axis=1) == 0).sum() <= 60
    lift = {}
    for a, b in (("kite", "balloon"), ("boat", "bird"), ("mushroom", "flower")):
        first, second = (positive[:, CLASSES.index(name)] for name in (a, b))
        lift[a, b] = (first & second).mean() / (first.mean() * second.mean())
    assert lift["kite", "balloon"] > 1.3
    assert lift["boat", "bird"] > 1.3
    assert lift["mushroom", "flower"] < 0.9


def crops(recipes):
    """Each object scaled to 20 x 20 grey values, and its class."""
    pixels, classes = [], []
    for recipe in recipes:
        scene = layout(recipe)
        picture = Image.fromarray(paint(scene)).convert("L")
        for thing in scene.things:
            if thing.label >= 0:
                crop = np.asarray(picture.resize((20, 20), box=thing.box), float)
                pixels.append(np.abs(crop - crop.mean()).ravel() / (crop.std() + 1))
                classes.append(thing.label)
    return np.array(pixels), np.array(classes)


@pytest.mark.slow
@pytest.mark.slow
def test_looking_at_regions_pays_and_the_whole_image_tells_little():
    linear = pytest.importorskip("sklearn.linear_model")
    ensemble = pytest.importorskip("sklearn.ensemble")
    metrics = pytest.importorskip("sklearn.metrics")
    train = [Recipe(0, 160, "train", index) for index in range(250)]
    test = [Recipe(0, 160, "test", index) for index in range(120)]

    def whole(recipes):
        pictures = (Image.fromarray(paint(layout(recipe))).resize((16, 16)) for recipe in recipes)
        return np.array([np.asarray(picture).ravel() / 255 for picture in pictures])

    tags = [np.array([layout(recipe).labels for recipe in part]) for part in (train, test)]
    seen, unseen = whole(train), whole(test)
    precisions = []
    for k in range(len(CLASSES)):
        model = linear.LogisticRegression(C=0.05, max_iter=300).fit(seen, tags[0][:, k])
        score = model.decision_function(unseen)
        precisions.append(metrics.average_precision_score(tags[1][:, k], score))
    assert np.mean(precisions) < tags[1].mean() + 0.1  # chance is the share of positives
    forest = ensemble.ExtraTreesClassifier(100, random_state=0).fit(*crops(train))
    assert forest.score(*crops(test)) > 0.7


def test_drawings_keep_to_about_the_unit_disc_on_an_exact_grid():
    for name, kind in (OBJECTS | DISTRACTORS).items():
        assert (np.hypot(*kind.outline.T) <= 1.3).all(), name
        for _, points in kind.parts:
            assert (points * 4096 == np.rint(points * 4096)).all(), name


@pytest.mark.parametrize(
    "path",
    [
        "scenes:v2,seed=0,size=160,split=train",
        "scenes:v9,seed=0,size=160,split=train,index=0",
        "scenes:v2,seed=0,size=160,split=val,index=0",
        "scenes:v1,seed=0,size=160,split=train,index=0",
        "scenes:v2,seed=x,size=160,split=train,index=0",
        "scenes:v2,seed=0,size=9999,split=train,index=0",
        "scenes:v2,seed=0,size=160,split=train,index=" + "9" * 5000,
        "scenes:",
    ],
)
def test_malformed_paths_are_refused(path):
    with pytest.raises(DataError, match="expected a scene like"):
        scenes.render(path)
