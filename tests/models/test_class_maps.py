"""Class maps: logits are means of maps, regions share probabilities, boxes find the object."""

import pytest
import torch

from boxless.errors import ConfigError
from boxless.models.class_maps import ClassMapOutput, ClassMaps, box_sums, region_contrast

K, R = 3, 5


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=generator).float()
    low = torch.rand(2, R, 2, generator=generator) * 0.5
    boxes = torch.cat([low, low + 0.1 + torch.rand(2, R, 2, generator=generator) * 0.4], -1)
    mask = torch.ones(2, R, dtype=torch.bool)
    mask[1, 3:] = False
    return pixels, boxes, torch.ones(2, R), mask


def make(backbone, parts, heads=1, level="final"):
    torch.manual_seed(0)
    model = ClassMaps(backbone, K, heads=heads, level=level, parts=parts)
    return model.eval().requires_grad_(requires_grad=False)


def test_a_logit_is_the_mean_of_its_map(lite0, images):
    model = make(lite0, ("means", "concepts"))
    (output,) = model(*images)
    maps = model.evidence(model.maps(images[0], ("final",))["final"])
    assert maps.shape == (2, K, 2, 2)
    torch.testing.assert_close(maps.mean((2, 3)), output.logits, atol=1e-5, rtol=1e-4)


def test_vectors_are_the_parts_side_by_side(lite0, images):
    features = lite0(lite0.normalize(images[0]))["final"]
    weight, bias = lite0.classifier
    cells = features.permute(0, 2, 3, 1) @ weight.T + bias
    expected = {
        "means": features.mean((2, 3)),
        "peaks": features.amax((2, 3)),
        "concepts": cells.softmax(-1).sqrt().mean((1, 2)),
    }
    for parts in (("peaks", "means"), ("concepts",), ("means", "peaks", "concepts")):
        model = make(lite0, parts)
        wanted = torch.cat([expected[part] for part in model.parts], 1)
        torch.testing.assert_close(model.vectors(features), wanted, atol=1e-5, rtol=1e-4)
        (output,) = model(*images)
        torch.testing.assert_close(output.logits, model.heads[0](wanted), atol=1e-4, rtol=1e-4)


def test_cells_are_pooled_by_log_mean_exp(resnet, images):
    model = make(resnet, ("means", "cells"))
    maps = model.maps(images[0], ("final",))["final"]
    means, cells = model.heads[0].weight.split(maps.shape[1], 1)
    evidence = torch.einsum("nchw,kc->nkhw", maps, cells)
    pooled = evidence.exp().mean((2, 3)).log()
    wanted = maps.mean((2, 3)) @ means.T + pooled + model.heads[0].bias
    (output,) = model(*images)
    torch.testing.assert_close(output.logits, wanted, atol=1e-4, rtol=1e-4)
    whole = torch.einsum("nchw,kc->nkhw", maps, means + cells)
    shown = whole + model.heads[0].bias[:, None, None]
    torch.testing.assert_close(model.evidence(maps), shown, atol=1e-4, rtol=1e-4)


def test_regions_share_an_images_probabilities(resnet, images):
    model = make(resnet, ("means", "peaks"), heads=2)
    outputs = model(*images, heads=(0, 1))
    for output in outputs:
        scores = output.region_scores()
        assert scores.shape == (2, R, K)
        torch.testing.assert_close(scores.sum(1), output.image_probabilities())
        assert (scores[1, 3:] == 0).all()
        softened = output.image_probabilities(class_temperature=2.0)
        torch.testing.assert_close(softened, (output.logits / 2).sigmoid())
    assert not torch.equal(outputs[0].logits, outputs[1].logits)
    alone = model.answer(
        type("Images", (), dict(zip(("pixels", "boxes", "scores", "mask"), images, strict=True)))
    )
    assert torch.equal(alone.logits, outputs[0].logits)


def test_an_image_without_regions_has_probabilities(resnet, images):
    pixels, _, _, _ = images
    none = torch.zeros(2, 0, 4), torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool)
    (output,) = make(resnet, ("means",))(pixels, *none)
    assert output.region_scores().shape == (2, 0, K)
    assert torch.isfinite(output.image_probabilities()).all()


def test_padding_changes_nothing(resnet, images):
    pixels, boxes, scores, mask = images
    model = make(resnet, ("means",))
    (whole,) = model(*images)
    (part,) = model(pixels[1:], boxes[1:, :3], scores[1:, :3], mask[1:, :3])
    torch.testing.assert_close(
        whole.region_scores()[1:, :3], part.region_scores(), atol=1e-4, rtol=0
    )


def test_box_sums_are_integrals():
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    boxes = torch.tensor([[[0, 0, 1, 1], [0.25, 0, 0.5, 0.25], [0.125, 0, 0.375, 0.25]]])
    found = box_sums(maps, boxes)[0, :, 0] * 16
    torch.testing.assert_close(found, torch.tensor([120.0, 1.0, 0.5]))


def test_the_region_round_the_object_fits_best():
    maps = torch.zeros(1, 1, 10, 10)
    maps[..., 3:7, 2:6] = 1.0
    right, part, half, wide, whole = (
        [0.2, 0.3, 0.6, 0.7], [0.3, 0.4, 0.5, 0.6], [0.2, 0.3, 0.6, 0.5],
        [0.0, 0.1, 0.8, 0.9], [0.0, 0.0, 1.0, 1.0],
    )  # fmt: skip
    scores = region_contrast(maps, torch.tensor([[right, part, half, wide, whole]]))[0, :, 0]
    assert int(scores.argmax()) == 0
    assert float(scores[4]) == 0


def test_sharpness_prefers_the_best_region():
    logits, mask = torch.zeros(1, K), torch.ones(1, R, dtype=torch.bool)
    regions = torch.randn(1, R, K, generator=torch.Generator().manual_seed(1))
    best = [
        float(ClassMapOutput(logits, sharp * regions, mask).region_scores().amax())
        for sharp in (0.0, 1.0, 4.0)
    ]
    assert best[0] == pytest.approx(0.5 / R)
    assert best[0] < best[1] < best[2] <= 0.5


@pytest.mark.parametrize("level", ["final", "stride16"])
def test_concepts_need_the_classifier_of_the_weights(resnet, lite0, level):
    backbone = resnet if level == "final" else lite0
    with pytest.raises(ConfigError, match=r"level '\w+'.*has none.*channels"):
        make(backbone, ("concepts",), level=level)
