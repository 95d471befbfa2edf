"""The loss modules as a user's loop calls them: equal to their formulas, and hard to misuse."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align, roi_pool

from boxless.errors import BoxlessError, ConfigError, DataError, NumericsError, ShapeError
from boxless.losses import (
    AttentionTransferLoss,
    ClassAwareLoss,
    HintLoss,
    RegionTransferLoss,
    SigmoidDistillationLoss,
    TagLoss,
)

N, R, BINS = 2, 5, 3
HEIGHT, WIDTH = 120, 200


def maps(seed, channels, rows, columns):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, channels, rows, columns, generator=generator, dtype=torch.float64)


def pixel_boxes(seed=0, height=HEIGHT, width=WIDTH):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(N, R, 2, generator=generator, dtype=torch.float64) * 0.6
    sides = 0.1 + 0.3 * torch.rand(N, R, 2, generator=generator, dtype=torch.float64)
    return torch.cat([low, low + sides], -1) * torch.tensor([width, height, width, height])


def transcription(student, teacher, boxes, weights, mask):
    """Eq. 3 with RoIAlign, one region at a time; boxes in pixels."""
    total = 0.0
    for n in range(N):
        distance, count = 0.0, int(mask[n].sum())
        for r in range(R):
            if mask[n, r]:
                pooled = []
                for features in (student, teacher):
                    rows, columns = features.shape[-2:]
                    cell = boxes.new_tensor([columns / WIDTH, rows / HEIGHT] * 2)
                    one = [(boxes[n, r] * cell)[None]]
                    pooled.append(roi_align(features[n, None], one, BINS, 1.0, 2, aligned=True))
                distance += weights[n, r] ** 2 * (pooled[0] - pooled[1]).square().sum()
        total += distance / count
    return total / (2 * N)


@pytest.fixture
def case():
    weights = torch.rand(N, R, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    mask = torch.arange(R)[None] < torch.tensor([[R], [2]])
    return maps(0, 4, 6, 9).requires_grad_(), maps(1, 4, 10, 16), pixel_boxes(), weights, mask


def region(form="exact", **options):
    return RegionTransferLoss(4, 4, bins=BINS, form=form, **options)


@pytest.mark.parametrize("form", ["exact", "align"])
def test_region_loss_is_its_formula(case, form):
    student, teacher, boxes, weights, mask = case
    found = region(form)(student, teacher, boxes, weights, (HEIGHT, WIDTH), mask)
    expected = transcription(student, teacher, boxes, weights, mask)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    slopes = [torch.autograd.grad(value, student)[0] for value in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-12)


def test_max_form_is_max_pooling_as_in_caffe():
    """Inclusive corners in input pixels; a cell has 8 pixels of the student, 4 of the teacher."""
    student, teacher = maps(0, 4, 8, 8), maps(1, 4, 16, 16)
    boxes = pixel_boxes(height=64, width=64).round()
    found = region("max", input_sizes=(64, 64))(student, teacher, boxes, image_size=(64, 64))
    inclusive = [each - torch.tensor([0, 0, 1, 1]) for each in boxes]
    pooled = [roi_pool(m, inclusive, BINS, m.shape[-1] / 64) for m in (student, teacher)]
    expected = (pooled[0] - pooled[1]).square().sum() / (2 * N * R)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from(["exact", "align"]))
def test_pixel_and_unit_boxes_are_one_thing(seed, form):
    student, teacher, boxes = maps(seed, 4, 6, 9), maps(seed + 1, 4, 10, 16), pixel_boxes(seed)
    unit = boxes / torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    sizes = torch.tensor([[HEIGHT, WIDTH]] * N)
    loss = region(form)
    expected = loss(student, teacher, unit)
    for size in ((HEIGHT, WIDTH), sizes):
        torch.testing.assert_close(loss(student, teacher, boxes, image_size=size), expected)


def test_each_image_has_its_own_size():
    student, teacher, unit = maps(0, 4, 6, 9), maps(1, 4, 10, 16), pixel_boxes(0, 1, 1)
    sizes = torch.tensor([[100, 50], [30, 90]])
    pixels = unit * sizes.flip(-1).repeat(1, 2)[:, None]
    loss = region()
    expected = loss(student, teacher, unit)
    torch.testing.assert_close(loss(student, teacher, pixels, image_size=sizes), expected)


def test_padding_has_no_influence_whatever_stands_there(case):
    student, teacher, boxes, weights, mask = case
    expected = region()(student, teacher, boxes, weights, (HEIGHT, WIDTH), mask)
    junk = torch.where(mask[..., None], boxes, torch.tensor([9e5, -3, -7, torch.nan]).double())
    found = region()(student, teacher, junk, weights, (HEIGHT, WIDTH), mask)
    assert torch.equal(found, expected)


def test_a_mirrored_teacher_has_boxes_of_its_own(case):
    student, _, boxes, weights, mask = case
    unit = boxes / torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    x1, y1, x2, y2 = unit.unbind(-1)
    mirrored = torch.stack([1 - x2, y1, 1 - x1, y2], -1)
    twin = student.detach().flip(-1)  # its cells mirror the student's
    value = RegionTransferLoss(4, 4, bins=1)(twin, student, mirrored, weights, None, mask, unit)
    assert float(value.detach()) == pytest.approx(0, abs=1e-12)


def test_displacement_moves_regions_along_with_the_cells():
    student, teacher, boxes = maps(0, 4, 8, 8), maps(1, 4, 16, 16), pixel_boxes(0, 64, 128)
    loss = region(displacement=(-15.5, 4.0), input_sizes=(64, 128))
    unit = boxes / torch.tensor([128, 64, 128, 64])
    expected = region()(student, teacher, unit + 15.5 / 64, teacher_boxes=unit - 4.0 / 128)
    torch.testing.assert_close(loss(student, teacher, unit), expected)


def test_a_displacement_is_a_part_of_the_inputs_side():
    loss = region(displacement=(4.0, 0.0), input_sizes=(64, 96))
    assert loss.shifts == [4.0 / 64, 0.0]


def test_psi_learns_and_the_teacher_does_not():
    loss = RegionTransferLoss(3, 5, bins=2).double()
    student, teacher = maps(0, 3, 4, 4).requires_grad_(), maps(1, 5, 8, 8).requires_grad_()
    loss(student, teacher, pixel_boxes(0, 1, 1)).backward()
    assert teacher.grad is None
    assert all(p.grad.abs().sum() > 0 for p in loss.psi.parameters())
    assert len(list(loss.parameters())) == 2
    assert list(region().parameters()) == []


def test_half_precision_maps_and_integer_boxes_are_taken():
    student, teacher = maps(0, 4, 6, 6).bfloat16(), maps(1, 4, 8, 8).half()
    boxes = torch.tensor([[[0, 0, 50, 60]]] * N)
    found = region()(student, teacher, boxes, image_size=(64, 64))
    expected = region()(student.float(), teacher.float(), boxes / 64)
    torch.testing.assert_close(found, expected)


UNIT = torch.tensor([[[0.1, 0.1, 0.5, 0.6]] * R] * N, dtype=torch.float64)
BAD_REGIONS = {
    "pixels without image_size": ({"boxes": 100 * UNIT}, DataError, "pass image_size"),
    "parts of sides with image_size": (
        {"boxes": UNIT, "image_size": (64, 64)},
        DataError,
        "leave image_size out",
    ),
    "whole image in pixels": (
        {"boxes": torch.tensor([[[0.0, 0, 224, 224]]] * N)}, DataError, "look like pixels",
    ),
    "outside any picture": (
        {"boxes": UNIT + 1000, "image_size": (64, 64)}, DataError, r"boxes\[0, 0\].* lies outside",
    ),
    "left of its picture": (
        {"boxes": 64 * UNIT - 64, "image_size": (64, 64)},
        DataError,
        r"boxes\[0, 0\].* lies outside",
    ),
    "x, y, width, height": (
        {"boxes": UNIT[..., [2, 3, 0, 1]]}, DataError, "its end must lie behind its beginning",
    ),
    "not a number": ({"boxes": UNIT * torch.nan}, DataError, r"boxes\[0, 0\]"),
    "teacher's boxes in pixels": ({"teacher_boxes": 100 * UNIT}, DataError, "teacher_boxes"),
    "one image's boxes": ({"boxes": UNIT[:1]}, ShapeError, r"boxes must be \(2 images"),
    "boxes as torchvision takes them": (
        {"boxes": list(UNIT)}, ShapeError, r"a tensor \(2 images, regions, 4\), found a list",
    ),
    "a flat list": ({"boxes": UNIT[0]}, ShapeError, r"boxes must be \(2 images, regions, 4\)"),
    "no region": ({"boxes": UNIT[:, :0]}, ShapeError, r"found \(2, 0, 4\)"),
    "nothing but padding": (
        {"mask": torch.zeros(N, R, dtype=torch.bool)}, DataError, "found 0 regions",
    ),
    "no weight": ({"weights": torch.zeros(N, R)}, DataError, "must have more than 0"),
    "negative weight": ({"weights": -torch.ones(N, R)}, DataError, "must be >= 0"),
    "weights per image": ({"weights": torch.ones(N)}, ShapeError, r"weights must be \(2, 5\)"),
    "mask per image": ({"mask": torch.ones(N)}, ShapeError, r"mask must be \(2, 5\)"),
    "three sides": ({"image_size": (3, 64, 64)}, ShapeError, "image_size must be"),
    "no extent": ({"image_size": (0, 64)}, ShapeError, "all positive"),
    "pooled student": ({"student_map": torch.zeros(N, 4)}, ShapeError, "student_map must be"),
    "NHWC": ({"student_map": torch.zeros(N, 6, 6, 4)}, ShapeError, r"\(images, 4, rows"),
    "other teacher": ({"teacher_map": torch.zeros(N, 7, 6, 6)}, ShapeError, "teacher_map must be"),
    "another batch": ({"teacher_map": torch.zeros(3, 4, 6, 6)}, ShapeError, "teacher_map has 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_REGIONS)
def test_misuse_is_an_error_and_never_a_loss_of_0(name):
    changed, kind, message = BAD_REGIONS[name]
    call = {"student_map": maps(0, 4, 6, 6), "teacher_map": maps(1, 4, 8, 8), "boxes": UNIT}
    with pytest.raises(kind, match=message):
        region()(**{**call, **changed})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "exakt"}, "Did you mean 'exact'"),
        ({"form": "max"}, "input_sizes is not given"),
        ({"displacement": (1.0, 0.0)}, "input_sizes is not given"),
        ({"bins": 0}, "bins must be at least 1"),
        ({"adapter": "conv"}, "unknown adapter 'conv'"),
        ({"teacher_channels": 6, "adapter": "identity"}, "needs equal channels"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        RegionTransferLoss(**{"student_channels": 4, "teacher_channels": 4, **options})


def test_max_form_needs_square_maps():
    loss = region("max", input_sizes=(64, 64))
    with pytest.raises(ShapeError, match="student_map has 6 rows and 9 columns"):
        loss(maps(0, 4, 6, 9), maps(1, 4, 8, 8), UNIT)


def block_means(teacher, rows, columns):
    """Average of the blocks of cells, one number at a time."""
    down, across = teacher.shape[-2] // rows, teacher.shape[-1] // columns
    result = torch.zeros(*teacher.shape[:2], rows, columns, dtype=teacher.dtype)
    for i in range(rows):
        for j in range(columns):
            block = teacher[..., i * down : (i + 1) * down, j * across : (j + 1) * across]
            result[..., i, j] = block.mean((-2, -1))
    return result


def test_hint_loss_is_its_formula():
    loss = HintLoss(3, 5).double()
    student, teacher = maps(0, 3, 2, 4).requires_grad_(), maps(1, 5, 6, 8).requires_grad_()
    adapted = torch.nn.functional.conv2d(
        student, loss.regressor.map.weight, loss.regressor.map.bias
    )
    expected = (block_means(teacher, 2, 4) - adapted).square().sum() / (2 * N * 2 * 4)
    found = loss(student, teacher)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert teacher.grad is None


@pytest.mark.parametrize("form", ["released", "paper"])
def test_attention_loss_is_its_formula(form):
    student, teacher = maps(0, 3, 2, 4), maps(1, 5, 6, 8)
    rows = [m.square().sum(1).flatten(1) for m in (student, block_means(teacher, 2, 4))]
    first, second = (row / row.norm(dim=1, keepdim=True) for row in rows)
    expected = {
        "released": 1000 * ((first - second) ** 2).mean(),
        "paper": 500 * (first - second).norm(dim=1).mean(),
    }[form]
    torch.testing.assert_close(AttentionTransferLoss(1000.0, form=form)(student, teacher), expected)


@pytest.mark.parametrize("loss", [HintLoss(4, 4), AttentionTransferLoss()])
def test_a_cropped_student_is_compared_with_its_part_of_the_teacher(loss):
    loss, student, teacher = loss.double(), maps(0, 4, 2, 2), maps(1, 4, 8, 8)
    right_half = torch.tensor([[0.5, 0.0, 1.0, 1.0]] * N)
    expected = loss(student, teacher[..., 4:])
    torch.testing.assert_close(loss(student, teacher, right_half), expected)
    with pytest.raises(ShapeError, match="teacher_view must be"):
        loss(student, teacher, right_half[0])


def prediction_losses():
    return [
        SigmoidDistillationLoss(2.0),
        ClassAwareLoss(classes=3),
        ClassAwareLoss("bce", classes=3),
    ]


@pytest.mark.parametrize("loss", prediction_losses())
def test_logits_of_the_teacher_are_refused(loss):
    with pytest.raises(NumericsError, match="apply a sigmoid first"):
        loss(torch.zeros(2, 3), torch.tensor([[0.5, 0.5, 4.0]] * 2))
    with pytest.raises(NumericsError, match="found nan"):
        loss(torch.zeros(2, 3), torch.full((2, 3), torch.nan))


@pytest.mark.parametrize("loss", [*prediction_losses(), TagLoss()])
@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 4), (1, 3)])
def test_rows_must_be_images_and_columns_classes(loss, shape):
    with pytest.raises(ShapeError, match=r"\(images, classes\), found \(2, 3\)"):
        loss(torch.zeros(2, 3), torch.zeros(shape))


def test_another_number_of_classes_than_built_for():
    with pytest.raises(ShapeError, match="built for 5 classes, found 3"):
        ClassAwareLoss("bce", classes=5)(torch.zeros(2, 3), torch.zeros(2, 3))


def test_soft_labels_are_no_tags():
    with pytest.raises(DataError, match=r"found 0\.5"):
        TagLoss()(torch.zeros(1, 2), torch.tensor([[1.0, 0.5]]))


@pytest.mark.parametrize(
    "build",
    [
        lambda: SigmoidDistillationLoss(0.0),
        lambda: ClassAwareLoss("l1", classes=2),
        lambda: ClassAwareLoss("bce", classes=2, temperature=-1.0),
        lambda: AttentionTransferLoss(form="both"),
    ],
)
def test_wrong_settings_of_the_other_losses(build):
    with pytest.raises(BoxlessError):
        build()
