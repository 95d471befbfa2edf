import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.errors import ConfigError, DataError, NumericsError, ShapeError
from boxless.metrics.localization import (
    correct_localization,
    detection_average_precision,
    match_detections,
    pointing_game,
)
from boxless.types import Detections, TrueBox

METHODS = ("envelope", "non_interpolated", "eleven_point")


def found(*rows) -> Detections:
    """Rows of (label, score, x1, y1, x2, y2)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 1], table[:, 0].astype(np.int64))


BOX, HALF, FAR = (0, 0, 10, 10), (0, 0, 10, 20), (50, 50, 60, 60)


class TestByHand:
    def test_half_overlap_is_a_match(self):
        # 100 / 200 = 0.5 exactly; the devkit asks for >=
        value = detection_average_precision(
            [found((0, 1, *HALF))], [[TrueBox(0, BOX)]], num_classes=1
        )
        assert value.tolist() == [1]

    def test_duplicates_are_false_positives(self):
        matches = match_detections(
            [found((0, 0.5, *BOX), (0, 0.9, *HALF), (0, 0.7, *FAR))],
            [[TrueBox(0, BOX)]],
            num_classes=1,
        )[0]
        assert matches.scores == pytest.approx([0.9, 0.7, 0.5])
        assert matches.correct.tolist() == [True, False, False]

    def test_difficult_boxes_are_ignored_however_often_they_are_hit(self):
        truth = [TrueBox(0, BOX, difficult=True), TrueBox(0, FAR)]
        detections = [found((0, 0.9, *BOX), (0, 0.8, *BOX), (0, 0.7, *FAR))]
        matches = match_detections(detections, [truth], num_classes=1)[0]
        assert matches.correct.tolist() == [True]
        assert matches.present == 1

    def test_other_classes_and_images_do_not_match(self):
        matches = match_detections(
            [found((1, 0.9, *BOX)), found((0, 0.8, *BOX))],
            [[TrueBox(0, BOX)], [TrueBox(1, BOX)]],
            num_classes=2,
        )
        assert [m.correct.tolist() for m in matches] == [[False], [False]]

    def test_areas(self):
        # flags best first 1 0 1, three true boxes, one never found
        truths = [[TrueBox(0, BOX), TrueBox(0, FAR), TrueBox(0, (80, 80, 90, 90))]]
        detections = [found((0, 0.9, *BOX), (0, 0.8, 30, 30, 40, 40), (0, 0.7, *FAR))]
        values = [
            detection_average_precision(detections, truths, num_classes=1, method=method)[0]
            for method in METHODS
        ]
        # recalls 1/3 and 2/3: levels 0..0.3 see 1, 0.4..0.6 see 2/3, 0.7..1 see 0
        assert values == pytest.approx([(1 + 2 / 3) / 3, (1 + 2 / 3) / 3, (4 + 3 * 2 / 3) / 11])

    def test_nothing_found_and_nothing_there(self):
        value = detection_average_precision([found()], [[TrueBox(0, BOX)]], num_classes=2)
        assert value[0] == 0
        assert np.isnan(value[1])

    def test_only_difficult_boxes_is_nan(self):
        truth = [[TrueBox(0, BOX, difficult=True)]]
        value = detection_average_precision([found((0, 1, *BOX))], truth, num_classes=1)
        assert np.isnan(value[0])


def random_scene(seed: int, images: int = 12, num_classes: int = 3, apart: bool = False):
    rng = np.random.default_rng(seed)
    detections, truths = [], []
    for _ in range(images):
        true, rows = [], []
        for i in range(rng.integers(0, 6)):
            x, y = (100.0 * i, 0.0) if apart else rng.integers(0, 40, 2).astype(float)
            w, h = rng.integers(10, 50, 2).astype(float)
            box = TrueBox(
                int(rng.integers(num_classes)),
                (x, y, x + w, y + h),
                difficult=bool(not apart and rng.random() < 0.25),
            )
            true.append(box)
            for _ in range(rng.integers(0, 4)):
                jitter = rng.normal(size=4) * 0.12 * np.array([w, h, w, h])
                label = box.label if rng.random() < 0.8 else int(rng.integers(num_classes))
                rows.append((label, rng.random(), *(np.array(box.xyxy) + jitter)))
        rng.shuffle(rows)
        detections.append(found(*rows))
        truths.append(true)
    return detections, truths


def devkit(detections, truths, k: int, threshold: float) -> tuple[list[bool], int]:
    """VOCevaldet.m, line by line, with continuous boxes."""
    rows = [
        (float(d.scores[i]), image, d.boxes[i])
        for image, d in enumerate(detections)
        for i in range(len(d.scores))
        if d.labels[i] == k
    ]
    rows.sort(key=lambda row: -row[0])
    taken, flags = set(), []
    for _, image, bb in rows:
        best, jmax = -np.inf, None
        for j, box in enumerate(truths[image]):
            if box.label != k:
                continue
            bt = box.xyxy
            width = min(bb[2], bt[2]) - max(bb[0], bt[0])
            height = min(bb[3], bt[3]) - max(bb[1], bt[1])
            if width > 0 and height > 0:
                union = (bb[2] - bb[0]) * (bb[3] - bb[1])
                union += (bt[2] - bt[0]) * (bt[3] - bt[1]) - width * height
                if width * height / union > best:
                    best, jmax = width * height / union, j
        if best >= threshold:
            if not truths[image][jmax].difficult:
                flags.append((image, jmax) not in taken)
                taken.add((image, jmax))
        else:
            flags.append(False)
    present = sum(box.label == k and not box.difficult for true in truths for box in true)
    return flags, present


class TestReference:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
    def test_equals_the_devkit(self, seed, threshold):
        detections, truths = random_scene(seed)
        matches = match_detections(detections, truths, num_classes=3, iou=threshold)
        values = detection_average_precision(detections, truths, num_classes=3, iou=threshold)
        for k in range(3):
            flags, present = devkit(detections, truths, k, threshold)
            assert matches[k].correct.tolist() == flags
            assert matches[k].present == present
            hits = np.cumsum(flags)
            precision = hits / np.arange(1, len(flags) + 1)
            levels = [
                max(precision[10 * hits >= tenth * present], default=0.0) for tenth in range(11)
            ]
            assert values[k] == pytest.approx(np.mean(levels), abs=1e-12)
            assert any(flags)

    @pytest.mark.parametrize("seed", range(3))
    def test_flags_equal_pycocotools_where_the_rules_agree(self, seed):
        # true boxes far apart and none difficult: COCO and VOC match alike
        coco_module = pytest.importorskip("pycocotools.coco")
        evaluation = pytest.importorskip("pycocotools.cocoeval")
        detections, truths = random_scene(seed, apart=True)

        def xywh(box):
            return [float(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])]

        annotations = [
            {"image_id": i, "category_id": b.label, "bbox": xywh(b.xyxy), "iscrowd": 0}
            for i, true in enumerate(truths)
            for b in true
        ]
        for number, row in enumerate(annotations, start=1):
            row |= {"id": number, "area": row["bbox"][2] * row["bbox"][3]}
        results = [
            {"image_id": i, "category_id": int(c), "bbox": xywh(b), "score": float(s)}
            for i, d in enumerate(detections)
            for b, s, c in zip(d.boxes, d.scores, d.labels, strict=True)
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco_module.COCO()
            truth.dataset = {
                "images": [{"id": i} for i in range(len(truths))],
                "categories": [{"id": k} for k in range(3)],
                "annotations": annotations,
            }
            truth.createIndex()
            truth.dataset["info"] = {}
            run = evaluation.COCOeval(truth, truth.loadRes(results), "bbox")
            run.params.iouThrs, run.params.areaRng = np.array([0.5]), [[0, 1e10]]
            run.params.areaRngLbl, run.params.maxDets = ["all"], [1000]
            run.evaluate()
            run.accumulate()
        matches = match_detections(detections, truths, num_classes=3)
        for k in range(3):
            rows = [
                (score, matched > 0)
                for image in filter(None, run.evalImgs)
                if image["category_id"] == k
                for score, matched in zip(image["dtScores"], image["dtMatches"][0], strict=True)
            ]
            rows.sort(key=lambda row: -row[0])
            assert matches[k].correct.tolist() == [hit for _, hit in rows]
            recall = matches[k].correct.sum() / matches[k].present
            assert recall == pytest.approx(run.eval["recall"][0, k, 0, 0])

    @given(st.integers(0, 1000), st.randoms(use_true_random=False))
    @settings(max_examples=25, deadline=None)
    def test_order_of_images_does_not_matter(self, seed, random):
        detections, truths = random_scene(seed, images=5)
        order = list(range(5))
        random.shuffle(order)
        for method in METHODS:
            np.testing.assert_array_equal(
                detection_average_precision(
                    [detections[i] for i in order],
                    [truths[i] for i in order],
                    num_classes=3,
                    method=method,
                ),
                detection_average_precision(detections, truths, num_classes=3, method=method),
            )


class TestCorrectLocalization:
    truths = (
        (TrueBox(0, BOX), TrueBox(0, FAR), TrueBox(1, FAR)),
        (TrueBox(0, BOX),),
        (TrueBox(1, BOX, difficult=True),),
    )

    def test_any_true_box_of_the_class_will_do(self):
        best = [np.array([FAR, BOX, BOX]), np.array([FAR, FAR, FAR]), np.array([BOX] * 3)]
        value = correct_localization(best, self.truths, num_classes=3)
        assert value[:2].tolist() == [0.5, 0.0]  # the difficult box makes no image of class 1
        assert np.isnan(value[2])

    def test_half_is_a_hit_and_a_little_less_is_not(self):
        truths = [[TrueBox(0, BOX)], [TrueBox(0, BOX)]]
        best = [np.array([HALF]), np.array([(0, 0, 10, 20.1)])]
        assert correct_localization(best, truths, num_classes=1).tolist() == [0.5]

    def test_labels_choose_the_images(self):
        best = [np.array([FAR, BOX]), np.array([FAR, FAR]), np.array([BOX, BOX])]
        labels = np.array([[1, -1], [0, 1], [0, 1]])
        # class 0: image 0 alone, hit. class 1: image 1 has no box of it, image 2 hits one
        assert correct_localization(best, self.truths, labels, num_classes=2).tolist() == [1, 1]

    def test_nan_is_a_miss(self):
        best = [np.full((1, 4), np.nan)]
        assert correct_localization(best, [[TrueBox(0, BOX)]], num_classes=1).tolist() == [0]


class TestPointingGame:
    def test_inside_outside_and_tolerance(self):
        truths = [[TrueBox(0, BOX)], [TrueBox(0, BOX)], [TrueBox(0, BOX), TrueBox(0, FAR)]]
        points = [np.array([[5, 5]]), np.array([[12, 5]]), np.array([[55, 55]])]
        assert pointing_game(points, truths, num_classes=1) == pytest.approx([2 / 3])
        assert pointing_game(points, truths, num_classes=1, tolerance=2) == pytest.approx([1])
        missing = [np.full((1, 2), np.nan)]
        assert pointing_game(missing, truths[:1], num_classes=1) == pytest.approx([0])


class TestErrors:
    def test_numbers_of_images(self):
        with pytest.raises(ShapeError, match="detections has 1 images, truths has 2"):
            detection_average_precision([found()], [[], []], num_classes=1)
        with pytest.raises(ShapeError, match="top_boxes has 0"):
            correct_localization([], [[]], num_classes=1)

    def test_shapes(self):
        wrong = Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32))
        with pytest.raises(ShapeError, match="image 0"):
            detection_average_precision([wrong], [[]], num_classes=1)
        with pytest.raises(ShapeError, match=r"top_boxes\[0\]"):
            correct_localization([np.zeros((2, 4))], [[TrueBox(0, BOX)]], num_classes=1)

    def test_classes_out_of_range(self):
        with pytest.raises(ShapeError, match="class 3, expected 0 to 1"):
            detection_average_precision([found((3, 1, *BOX))], [[]], num_classes=2)
        with pytest.raises(ShapeError, match="class 2"):
            detection_average_precision([found()], [[TrueBox(2, BOX)]], num_classes=2)

    def test_scores_must_be_finite(self):
        with pytest.raises(NumericsError, match="image 0, box 1"):
            detection_average_precision(
                [found((0, 1, *BOX), (0, np.nan, *BOX))], [[]], num_classes=1
            )

    def test_choices(self):
        with pytest.raises(ConfigError):
            detection_average_precision([], [], num_classes=1, iou=0)
        with pytest.raises(ConfigError):
            pointing_game([], [], num_classes=1, tolerance=-1)
        with pytest.raises(DataError):
            correct_localization([np.zeros((1, 4))], [[]], np.full((1, 1), 7), num_classes=1)
