"""FitNets' hint, against its formula written out in plain loops."""

import pytest
import torch

from boxless.errors import ShapeError
from boxless.losses.hint import hint_loss
from boxless.losses.region_transfer import Adapter, region_loss

N, C, H, W = 2, 3, 2, 4


def maps(seed, channels=C):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, channels, H, W, generator=generator, dtype=torch.float64)


def test_is_its_formula():
    student, teacher = maps(0), maps(1)
    s, t, total = student.numpy(), teacher.numpy(), 0.0
    for n in range(N):
        image = 0.0
        for i in range(H):
            for j in range(W):
                for c in range(C):
                    image += (t[n, c, i, j] - s[n, c, i, j]) ** 2
        total += 0.5 * image / (H * W)
    assert float(hint_loss(student, teacher)) == pytest.approx(total / N, rel=1e-12)


def test_gradient_through_the_regressor():
    """Gradcheck in the student's map and in the regressor's weights."""
    regressor = Adapter(2, C, kind="conv1x1").double()
    student, teacher = maps(0, channels=2).requires_grad_(), maps(1)
    weight = regressor.map.weight.detach().clone().requires_grad_()

    def loss(features, kernel):
        adapted = torch.nn.functional.conv2d(features, kernel, regressor.map.bias)
        return hint_loss(adapted, teacher)

    torch.testing.assert_close(loss(student, weight), hint_loss(regressor(student), teacher))
    assert torch.autograd.gradcheck(loss, (student, weight))


def test_zero_at_equality():
    assert float(hint_loss(maps(3), maps(3))) == 0


def test_is_the_region_loss_of_one_region_a_cell():
    """Whole-map and region transfer differ in their regions alone: same reduction."""
    side = 4
    student, teacher = (
        torch.randn(N, C, side, side, generator=torch.Generator().manual_seed(k)) for k in (0, 1)
    )
    edges = torch.arange(side) / side
    y, x = torch.meshgrid(edges, edges, indexing="ij")
    boxes = torch.stack([x, y, x + 1 / side, y + 1 / side], -1).view(1, -1, 4).expand(N, -1, 4)
    ones = torch.ones(N, side * side)
    expected = region_loss(
        student, teacher, boxes, boxes, ones, ones.bool(), bins=1, form="max",
        student_size=side, teacher_size=side,
    )  # fmt: skip
    torch.testing.assert_close(hint_loss(student, teacher), expected)


def test_shapes_must_agree():
    with pytest.raises(ShapeError, match=r"\(2, 3, 2, 4\) and teacher map \(2, 5, 2, 4\)"):
        hint_loss(maps(0), maps(1, channels=5))
