"""Boxes, thresholds, and images of every kind."""

import json

import numpy as np
import pytest
from PIL import Image
from tiny_student import CLASSES, properties, weights, write_student

import boxless
from boxless.data.images import ImageLimits
from boxless.errors import BoxlessError, ConfigError, DataError, StoreError
from boxless.inference import drawing
from boxless.inference.drawing import annotated
from boxless.inference.labels import Box, Label
from boxless.inference.location import LocationSettings
from boxless.inference.predictor import Predictor
from boxless.inference.student_metadata import StudentMetadata


@pytest.fixture
def eager(tmp_path):
    """A student that finds every class present."""
    return write_student(tmp_path / "eager.onnx", properties(thresholds=[0.0] * 3))


def spot(class_index: int, corner: tuple[int, int], side: int = 40) -> np.ndarray:
    """A picture that speaks for a class in one quarter alone."""
    W, _ = weights()
    bright = (W[::-1, class_index] > 0) * np.uint8(255)  # the student takes BGR
    picture = np.tile(255 - bright, (side, side, 1)).astype(np.uint8)
    y, x = (place * side // 2 for place in corner)
    picture[y : y + side // 2, x : x + side // 2] = bright
    return picture


class TestBoxes:
    @pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
    @pytest.mark.parametrize("k", range(3))
    def test_lie_where_the_evidence_is(self, eager, k, corner):
        (prediction,) = Predictor.load(eager).predict(spot(k, corner), boxes=True)
        assert {box.name for box in prediction.boxes} == set(CLASSES)
        box = next(box for box in prediction.boxes if box.name == CLASSES[k])
        wanted = np.array([corner[1], corner[0], corner[1] + 1, corner[0] + 1]) * 20
        assert np.abs(np.array([box.x1, box.y1, box.x2, box.y2]) - wanted).max() < 6
        heat = prediction.heat_map(CLASSES[k])
        assert heat.shape == (40, 40)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert (row // 20, column // 20) == corner

    def test_are_in_pixels_of_the_image_as_shown(self, eager, tmp_path):
        picture = Image.fromarray(spot(0, (0, 1))).resize((400, 80))
        exif = picture.getexif()
        exif[0x0112] = 6  # shown turned clockwise: 80 x 400, the spot below right
        picture.save(tmp_path / "turned.png", exif=exif)
        (prediction,) = Predictor.load(eager).predict(tmp_path / "turned.png", boxes=True)
        assert (prediction.width, prediction.height) == (80, 400)
        box = next(box for box in prediction.boxes if box.name == CLASSES[0])
        assert (box.x1 + box.x2) / 2 > 40
        assert (box.y1 + box.y2) / 2 > 200

    def test_only_of_labels_that_are_present_best_first(self, tmp_path, pictures):
        (plain,) = Predictor.load(write_student(tmp_path / "a.onnx")).predict(pictures[0])
        limits = [dict.fromkeys(CLASSES, 1.0) | {plain.labels[n].name: 0.0 for n in (0, 2)}]
        limits = [limits[0][name] for name in CLASSES]
        path = write_student(tmp_path / "b.onnx", properties(thresholds=limits))
        (prediction,) = Predictor.load(path).predict(pictures[0], boxes=True)
        wanted = [plain.labels[0].name, plain.labels[2].name]
        assert [label.name for label in prediction.present] == wanted
        assert [box.name for box in prediction.boxes] == wanted
        assert [plain.labels[n].threshold for n in range(3)] == [0.5] * 3

    def test_cost_nothing_unless_asked_for(self, eager, pictures):
        (prediction,) = Predictor.load(eager).predict(pictures[0])
        assert prediction.boxes == ()
        assert prediction.maps is None
        with pytest.raises(StoreError, match="boxes=True"):
            prediction.heat_map("cat")

    def test_do_not_change_probabilities(self, eager, pictures):
        predictor = Predictor.load(eager)
        with_boxes = predictor.predict(pictures, boxes=True, batch_size=3)
        assert [p.labels for p in with_boxes] == [p.labels for p in predictor.predict(pictures)]

    @pytest.mark.parametrize("fixed", [1, 3])
    def test_of_graphs_for_one_batch_size(self, tmp_path, eager, pictures, fixed):
        path = write_student(tmp_path / "fixed.onnx", properties(thresholds=[0.0] * 3), batch=fixed)
        found = Predictor.load(path).predict(pictures, boxes=True)
        wanted = Predictor.load(eager).predict(pictures, boxes=True)
        assert [p.boxes for p in found] == [p.boxes for p in wanted]

    def test_settings_come_from_the_file(self, tmp_path, pictures):
        narrow, wide = (
            write_student(
                tmp_path / f"{share}.onnx",
                properties(thresholds=[0.0] * 3, location={"method": "threshold", "share": share}),
            )
            for share in (0.9, 0.1)
        )
        assert Predictor.load(narrow).location == LocationSettings(share=0.9)
        areas = [
            sum(
                (b.x2 - b.x1) * (b.y2 - b.y1)
                for b in Predictor.load(p).predict(pictures, boxes=True)[0].boxes
            )
            for p in (narrow, wide)
        ]
        assert areas[0] < areas[1]


class TestOlderFiles:
    def test_predict_but_have_no_boxes(self, tmp_path, pictures, student):
        path = write_student(tmp_path / "old.onnx", maps=False)
        predictor = Predictor.load(path)
        assert predictor.predict(pictures) == Predictor.load(student).predict(pictures)
        assert not predictor.has_maps
        assert predictor.thresholds == (0.5, 0.5, 0.5)
        with pytest.raises(StoreError, match=r"old\.onnx has no class maps"):
            predictor.predict(pictures, boxes=True)
        prepared = predictor.prepare(pictures[0])
        outputs = predictor.run(prepared.pixels[None])
        assert outputs.maps is None
        with pytest.raises(StoreError, match="no class maps"):
            predictor.describe(outputs, 0, prepared, boxes=True)


class TestSources:
    def test_bytes_and_folders(self, student, pictures, tmp_path):
        folder = tmp_path / "photos"
        (folder / "deep").mkdir(parents=True)
        for name, picture in zip(("b.png", "a.png", "deep/c.png"), pictures, strict=False):
            Image.fromarray(picture).save(folder / name)
        predictor = Predictor.load(student)
        found = predictor.predict(folder)
        assert [p.path for p in found] == [
            str(folder / n) for n in ("a.png", "b.png", "deep/c.png")
        ]
        data = (folder / "a.png").read_bytes()
        mixed = predictor.predict([data, folder, pictures[1]])
        assert [p.labels for p in mixed] == [p.labels for p in (found[0], *found, found[0])]
        assert predictor.predict(data)[0].labels == found[0].labels

    def test_broken_bytes_and_empty_folders(self, student, tmp_path):
        predictor = Predictor.load(student)
        for data in (b"", b"\xff\xd8\xff\xe0 cut", b"<svg/>"):
            with pytest.raises(DataError, match="image"):
                predictor.predict(data)
        with pytest.raises(DataError, match="no image in this folder"):
            predictor.predict(tmp_path)

    def test_limits_on_what_strangers_send(self, student, pictures, tmp_path):
        import io

        buffer = io.BytesIO()
        Image.fromarray(pictures[0]).save(buffer, "PNG")
        predictor = Predictor.load(student)
        assert predictor.prepare(buffer.getvalue(), ImageLimits(600)).width == 30
        with pytest.raises(DataError, match=r"at most 0\.000599 megapixels, found 30 x 20"):
            predictor.prepare(buffer.getvalue(), ImageLimits(599))
        with pytest.raises(DataError, match="not an image"):
            predictor.prepare(buffer.getvalue(), ImageLimits(formats=("JPEG",)))


class TestSaving:
    def test_json(self, eager, pictures, tmp_path):
        (prediction,) = Predictor.load(eager).predict(pictures[0], boxes=True)
        prediction.save(tmp_path / "deep" / "one.json")
        row = json.loads((tmp_path / "deep" / "one.json").read_text("utf-8"))
        assert row == prediction.to_dict()
        assert (row["width"], row["height"], row["path"]) == (30, 20, None)
        assert set(row["boxes"][0]) == {"name", "score", "x1", "y1", "x2", "y2"}

    @pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
    def test_annotated_pictures(self, eager, tmp_path, suffix):
        picture = np.full((120, 200, 3), 200, np.uint8)
        (prediction,) = Predictor.load(eager).predict(picture, boxes=True)
        prediction.save(tmp_path / f"one.{suffix}")
        with Image.open(tmp_path / f"one.{suffix}") as drawn:
            assert drawn.size == (200, 120)
            changed = np.abs(np.asarray(drawn.convert("RGB"), int) - 200).max(2) > 60
        assert 0.02 < changed.mean() < 0.7

    def test_heat_maps_are_laid_over(self, eager):
        (prediction,) = Predictor.load(eager).predict(spot(0, (1, 1), 200), boxes=True)
        plain, hot = (np.asarray(prediction.draw(heat=h), int) for h in (None, CLASSES[0]))
        # Away from labels and boxes: dark where there is no evidence, yellow where it is.
        assert (
            hot[150, 150, 2] - hot[150, 150, 0] < plain[150, 150, 2] - plain[150, 150, 0]
            or (hot[150, 150] != plain[150, 150]).any()
        )
        with pytest.raises(ConfigError, match="no class 'fish'"):
            prediction.draw(heat="fish")

    def test_names_of_boxes_at_one_place_hide_no_other(self):
        labels = [Label(name, 0.9) for name in ("first", "second", "third")]
        boxes = [Box(label.name, 0.9, 10, 150, 300, 390) for label in labels]
        drawn = np.asarray(annotated(np.zeros((400, 400, 3), np.uint8), labels, boxes), int)
        below = drawn[200:]  # the list of labels stands above
        for colour in ((214, 39, 40), (31, 119, 180), (44, 160, 44)):
            ground = (np.abs(below - colour).max(2) < 8).sum()
            assert ground > 150, colour

    def test_large_images_are_drawn_smaller(self, eager):
        (prediction,) = Predictor.load(eager).predict(np.zeros((10, 4000, 3), np.uint8), boxes=True)
        assert prediction.draw().size == (1600, 4)

    def test_errors(self, eager, pictures, tmp_path):
        (prediction,) = Predictor.load(eager).predict(pictures[0])
        for name in ("one.txt", "one", "one.mp4"):
            with pytest.raises(ConfigError, match="ends in"):
                prediction.save(tmp_path / name)
        path = tmp_path / "gone.png"
        Image.fromarray(pictures[0]).save(path)
        (prediction,) = Predictor.load(eager).predict(path)
        path.unlink()
        with pytest.raises(DataError, match="missing"):
            prediction.save(tmp_path / "drawn.png")

    def test_names_that_the_font_lacks(self, tmp_path):
        props = properties(classes=["猫\n2", "собака", "é"], thresholds=[0.0] * 3)
        path = write_student(tmp_path / "named.onnx", props)
        (prediction,) = Predictor.load(path).predict(np.zeros((50, 50, 3), np.uint8), boxes=True)
        assert prediction.draw().size == (50, 50)

    def test_signs_that_no_font_has_become_escapes(self, monkeypatch):
        monkeypatch.setattr(drawing, "_NAMES", ())
        drawing._installed.cache_clear()
        drawing.readable.cache_clear()
        assert drawing.readable("cat 猫", 12)[1] == r"cat \u732b"
        assert drawing.readable("cat [red] 0.50", 12)[1] == "cat [red] 0.50"

    def test_fonts_of_the_machine_are_used(self):
        drawing._installed.cache_clear()
        drawing.readable.cache_clear()
        if not drawing._installed(12):
            pytest.skip("no font of the list is installed")
        font, shown = drawing.readable("cat \N{LATIN SMALL LETTER E WITH ACUTE}", 12)
        assert shown == "cat \N{LATIN SMALL LETTER E WITH ACUTE}"
        assert bytes(font.getmask(shown[-1])) != bytes(font.getmask("\uffff"))


class TestMetadata:
    def test_optional_fields_round_trip(self, tmp_path):
        facts = {
            "thresholds": [0.25, 0.5, 0.75],
            "temperatures": [1.5, 1.0, 2.0],
            "location": {"method": "threshold", "share": 0.3, "shift": 0.02},
            "provenance": {"backbone": "b", "weights_licence": "Apache-2.0", "seed": 2},
            "metrics": {"test_map": 0.7},
        }
        path = write_student(tmp_path / "full.onnx", properties(**facts))
        metadata = boxless.load(path).metadata
        assert metadata.thresholds == (0.25, 0.5, 0.75)
        assert metadata.provenance.seed == 2
        assert metadata.metrics.test_map == 0.7
        assert metadata.metrics.held_out_map is None
        assert StudentMetadata.from_props(metadata.to_props(), path=path) == metadata
        assert list(metadata.to_props())[-1] == "boxless.version"  # what must be there stands last

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"thresholds": [0.5]}, r"thresholds must be one per class \(3\), found 1"),
            ({"thresholds": [0.5, 0.5, 1.5]}, r"boxless\.thresholds\.2"),
            ({"temperatures": [1.0, 0.0, 1.0]}, r"boxless\.temperatures\.1"),
            ({"location": {"method": "magic"}}, r"boxless\.location|metadata is wrong"),
            ({"location": {"share": 7}}, r"boxless\.location|metadata is wrong"),
            ({"provenance": []}, r"boxless\.provenance"),
        ],
    )
    def test_wrong_values_are_named(self, tmp_path, changes, message):
        with pytest.raises(StoreError, match=message):
            boxless.load(write_student(tmp_path / "odd.onnx", properties(**changes)))

    def test_threads(self, student, pictures):
        one, two = (boxless.load(student, threads=n).predict(pictures) for n in (1, 2))
        assert one == two

    def test_every_error_is_ours(self, student):
        with pytest.raises(BoxlessError):
            boxless.load(student).predict([3])
