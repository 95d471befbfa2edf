import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tiny_student import CLASSES, SIZE, expected, properties, write_student

from boxless.errors import (
    BoxlessError,
    ConfigError,
    DataError,
    NumericsError,
    RunError,
    ShapeError,
    StoreError,
)
from boxless.inference.predictor import Predictor
from boxless.inference.student_metadata import StudentMetadata


def table(predictions) -> np.ndarray:
    """Probabilities back in the order of the classes."""
    rows = [{label.name: label.probability for label in p.labels} for p in predictions]
    return np.array([[row[name] for name in CLASSES] for row in rows])


class TestNumbers:
    @pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 16])
    def test_equal_numpy_for_every_batch_size(self, student, pictures, batch_size):
        found = table(Predictor.load(student).predict(pictures, batch_size=batch_size))
        np.testing.assert_allclose(found, [expected(p) for p in pictures], atol=1e-5)

    @pytest.mark.parametrize("fixed", [1, 3, 4])
    def test_graph_of_one_batch_size(self, tmp_path, pictures, fixed):
        path = write_student(tmp_path / "fixed.onnx", batch=fixed)
        found = table(Predictor.load(path).predict(pictures))
        np.testing.assert_allclose(found, [expected(p) for p in pictures], atol=1e-5)

    def test_files_arrays_and_pillow_images_agree(self, student, pictures, tmp_path):
        path = tmp_path / "picture.png"
        Image.fromarray(pictures[0]).save(path)
        predictor = Predictor.load(student.parent.parent)  # the run folder
        sources = [path, str(path), pictures[0], Image.open(path)]
        predictions = predictor.predict(sources)
        assert len({p.labels for p in predictions}) == 1
        assert [p.path for p in predictions] == [str(path), str(path), None, None]
        for single in sources:
            assert predictor.predict(single)[0].labels == predictions[0].labels

    def test_one_lazy_pillow_image_many_times(self, student, pictures, tmp_path):
        path = tmp_path / "picture.jpg"
        Image.fromarray(pictures[5]).resize((400, 300)).save(path)
        predictions = Predictor.load(student).predict([Image.open(path)] * 20)
        assert len({p.labels for p in predictions}) == 1

    def test_exif_rotation(self, student, pictures, tmp_path):
        turned = Image.fromarray(np.rot90(pictures[0]))
        exif = turned.getexif()
        exif[0x0112] = 6  # show turned clockwise
        path = tmp_path / "turned.png"
        turned.save(path, exif=exif)
        found = table(Predictor.load(student).predict([path, Image.open(path)]))
        np.testing.assert_allclose(found, [expected(pictures[0])] * 2, atol=1e-5)

    def test_modes_of_pillow_images(self, student):
        grey = Image.fromarray(np.full((10, 10), 90, np.uint8))
        clear = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
        found = table(Predictor.load(student).predict([grey, clear]))
        for row, level in zip(found, (90, 255), strict=True):
            np.testing.assert_allclose(
                row, expected(np.full((10, 10, 3), level, np.uint8)), atol=1e-5
            )

    def test_stack_of_arrays(self, student, pictures):
        stack = np.stack([pictures[2], pictures[2]])
        assert len(Predictor.load(student).predict(stack)) == 2

    def test_nothing(self, student):
        predictor = Predictor.load(student)
        assert predictor.predict([]) == []
        empty = np.zeros((0, SIZE, SIZE, 3), np.uint8)
        assert predictor.probabilities(empty).shape == (0, len(CLASSES))

    def test_streams_a_generator_lazily(self, student, pictures):
        taken = []

        def endless():
            while True:
                taken.append(1)
                yield pictures[0]

        stream = Predictor.load(student).stream(endless(), batch_size=2)
        for _ in range(5):
            next(stream)
        stream.close()
        assert len(taken) <= 8  # two batches ahead at most


class TestPrediction:
    def test_ranked_top_above_and_json(self, student, pictures):
        prediction = Predictor.load(student).predict(pictures[0])[0]
        values = [label.probability for label in prediction.labels]
        assert values == sorted(values, reverse=True)
        assert prediction.top(2) == prediction.labels[:2]
        assert prediction.top(99) == prediction.labels
        assert prediction.above(values[1]) == prediction.labels[:1]
        again = json.loads(json.dumps(prediction.to_dict()))
        assert again["labels"][0] == {
            "name": prediction.labels[0].name,
            "probability": values[0],
            "threshold": 0.5,
        }

    def test_ties_keep_the_order_of_the_classes(self, tmp_path):
        path = write_student(tmp_path / "flat.onnx", scale=0.0, bias=0.0)
        prediction = Predictor.load(path).predict(np.zeros((4, 4, 3), np.uint8))[0]
        assert [(p.name, p.probability) for p in prediction.labels] == [(c, 0.5) for c in CLASSES]


class TestMetadata:
    def test_is_read(self, student):
        metadata = Predictor.load(student).metadata
        assert metadata.classes == CLASSES
        assert (metadata.input_size, metadata.channels, metadata.version) == (SIZE, "BGR", "0.1.0")

    def test_round_trip(self, student, tmp_path):
        metadata = Predictor.load(student).metadata
        assert metadata.to_props() == properties()
        assert StudentMetadata.from_props(metadata.to_props(), path=tmp_path) == metadata

    def test_plain_words_need_no_quotation_marks(self, tmp_path):
        props = properties() | {"boxless.channels": "RGB", "boxless.version": "1.0"}
        metadata = StudentMetadata.from_props(props, path=tmp_path)
        assert (metadata.channels, metadata.version) == ("RGB", "1.0")

    def test_antialias_is_obeyed(self, tmp_path):
        stripes = np.zeros((64, 64, 3), np.uint8)
        stripes[:, ::4] = 255
        smooth, sharp = (
            Predictor.load(
                write_student(tmp_path / f"{flag}.onnx", properties(antialias=flag))
            ).predict(stripes)[0]
            for flag in (True, False)
        )
        assert smooth != sharp


class TestErrors:
    def test_missing_file_and_missing_export(self, tmp_path):
        with pytest.raises(RunError, match="does not exist"):
            Predictor.load(tmp_path / "none.onnx")
        with pytest.raises(RunError, match="no exported student"):
            Predictor.load(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"\xff\xd8 not an onnx file" * 20, b"hello"])
    def test_no_onnx(self, tmp_path, content):
        path = tmp_path / "student.onnx"
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"student\.onnx is no ONNX model"):
            Predictor.load(path)

    def test_cut_off_anywhere(self, student):
        whole = student.read_bytes()
        for size in {*range(1, len(whole), 13), *range(len(whole) - 60, len(whole))}:
            student.write_bytes(whole[:size])
            with pytest.raises(StoreError):
                Predictor.load(student)

    def test_foreign_onnx(self, tmp_path):
        path = write_student(tmp_path / "foreign.onnx", props={"author": "someone"})
        with pytest.raises(StoreError, match=r"lacks boxless\.classes, boxless\.input_size"):
            Predictor.load(path)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"mean": None}, r"lacks boxless\.mean"),
            ({"std": [1.0, 0.0, 1.0]}, r"boxless\.std"),
            ({"channels": "GBR"}, r"boxless\.channels.*'GBR'"),
            ({"resize": "bicubic"}, r"boxless\.resize"),
            ({"classes": []}, r"boxless\.classes"),
            ({"classes": ["cat"]}, r"expected a float32 tensor 'probabilities' \(N, 1\)"),
            ({"input_size": 9}, r"expected a float32 tensor 'image' \(N, 3, 9, 9\)"),
        ],
    )
    def test_wrong_metadata(self, tmp_path, changes, message):
        path = write_student(tmp_path / "odd.onnx", properties(**changes))
        with pytest.raises(StoreError, match=message):
            Predictor.load(path)

    def test_other_input_name(self, tmp_path):
        path = write_student(tmp_path / "odd.onnx", input_name="pixels")
        with pytest.raises(StoreError, match=r"'image'.*found pixels"):
            Predictor.load(path)

    def test_nan_from_the_network(self, tmp_path):
        path = write_student(tmp_path / "nan.onnx", scale=np.nan)
        with pytest.raises(NumericsError, match="for class 'cat'"):
            Predictor.load(path).predict(np.zeros((4, 4, 3), np.uint8))

    def test_unreadable_images_are_raised_or_reported(self, student, pictures, tmp_path):
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"nothing")
        predictor = Predictor.load(student)
        with pytest.raises(DataError, match=r"bad\.jpg"):
            predictor.predict([pictures[0], bad])
        failures = []
        found = list(
            predictor.stream(
                [bad, pictures[0], tmp_path / "none.png", pictures[1], np.zeros((3, 3))],
                batch_size=1,
                on_error=lambda source, error: failures.append((source, error)),
            )
        )
        np.testing.assert_allclose(table(found), [expected(p) for p in pictures[:2]], atol=1e-5)
        assert len(failures) == 3
        assert all(isinstance(error, BoxlessError) for _, error in failures)

    def test_truncated_pillow_image(self, student, tmp_path):
        path = tmp_path / "cut.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:-9000])
        with pytest.raises(DataError, match="could not be decoded"):
            Predictor.load(student).predict(Image.open(path))

    def test_choices(self, student):
        predictor = Predictor.load(student)
        with pytest.raises(ConfigError):
            predictor.predict([], batch_size=0)
        with pytest.raises(DataError, match="found int"):
            predictor.predict([7])
        with pytest.raises(DataError, match="mode F"):
            predictor.predict(Image.new("F", (4, 4)))
        with pytest.raises(ShapeError):
            predictor.probabilities(np.zeros((1, 4, 4, 3), np.uint8))


def test_needs_neither_torch_nor_cv2(student, pictures, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(pictures[0]).save(path)
    code = (
        "import sys\n"
        "from boxless.inference.predictor import Predictor\n"
        "before = 'onnxruntime' in sys.modules\n"
        f"print(Predictor.load({str(student)!r}).predict({str(path)!r})[0].labels[0].name)\n"
        "heavy = {'torch', 'torchvision', 'timm', 'cv2', 'onnx', 'matplotlib', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)), before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[] False"
    assert done.stdout.splitlines()[0] == CLASSES[int(expected(pictures[0]).argmax())]


def test_real_photographs(student, data_root):
    folder = data_root / "voc-mini" / "VOCdevkit" / "VOC2007" / "JPEGImages"
    paths = sorted(folder.glob("*.jpg"))[:20]
    if not paths:
        pytest.skip("no VOC images")
    predictions = Predictor.load(student).predict(paths, batch_size=6)
    assert [p.path for p in predictions] == [str(p) for p in paths]
    for path, row in zip(paths, table(predictions), strict=True):
        np.testing.assert_allclose(row, expected(np.asarray(Image.open(path))), atol=1e-5)
