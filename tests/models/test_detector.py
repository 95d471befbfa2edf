"""The teacher: probabilities, temperatures, padding, permutation, pooled forms, parameter count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boxless.losses.region_pooling import pool_regions
from boxless.losses.tag_loss import detector_loss
from boxless.models.backbone import Backbone
from boxless.models.detector import Detector, DetectorHead, DetectorOutput, SharedDropout

K, R = 5, 9


def raw_output(seed, images=3, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, R + 1, (images,), generator=generator)
    by_class, by_region = scale * torch.randn(2, images, R, K, generator=generator)
    return DetectorOutput(by_class, by_region, torch.arange(R)[None] < counts[:, None])


def make(resnet, kind="pooled_linear", pooling="align", heads=1, hidden=16, **options):
    torch.manual_seed(0)
    level, bins = "stride16", 2
    return Detector(
        resnet,
        level=level,
        heads=[
            DetectorHead(
                resnet.channels(level), K, kind=kind, bins=bins, hidden=hidden, dropout=0.5
            )
            for _ in range(heads)
        ],
        bins=bins,
        pooling=pooling,
        **{"score_scale": 10.0, "score_bias": 1.0, **options},
    ).eval()


def inputs(seed=0, images=2, regions=R):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, 3, 64, 64), generator=generator).float()
    low = torch.rand(images, regions, 2, generator=generator) * 0.6
    boxes = torch.cat([low, low + 0.3], -1)
    scores = torch.rand(images, regions, generator=generator) * 0.2
    mask = torch.arange(regions)[None] < torch.tensor([[regions], [4]][:images])
    return pixels, boxes, scores, mask


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.3, 5), st.floats(0.3, 5))
def test_probabilities_lie_between_0_and_1(seed, class_temperature, region_temperature):
    output = raw_output(seed)
    options = {"class_temperature": class_temperature, "region_temperature": region_temperature}
    scores = output.region_scores(**options)
    probabilities = output.image_probabilities(**options)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores[~output.mask] == 0).all()
    assert ((probabilities > 0) & (probabilities <= 1)).all()
    torch.testing.assert_close(probabilities, scores.sum(1))
    moderate = raw_output(seed, scale=1.0).image_probabilities()
    assert (moderate < 1).all()


def test_is_the_product_of_both_softmaxes_over_valid_regions():
    """Method 2.1 and 5.2, image by image without padding; temperatures divide the logits."""
    output = raw_output(1)
    for tc, td in ((1.0, 1.0), (0.5, 0.5), (2.0, 0.7)):
        found = output.image_probabilities(class_temperature=tc, region_temperature=td)
        for n in range(3):
            count = int(output.mask[n].sum())
            by_class = torch.softmax(output.class_logits[n, :count] / tc, dim=1)
            by_region = torch.softmax(output.region_logits[n, :count] / td, dim=0)
            torch.testing.assert_close(found[n], (by_class * by_region).sum(0))


def test_temperatures_of_1_reproduce_plain_probabilities():
    output = raw_output(2)
    plain = output.image_probabilities()
    torch.testing.assert_close(
        output.image_probabilities(class_temperature=1.0, region_temperature=1.0), plain
    )
    sharp = output.image_probabilities(class_temperature=0.5, region_temperature=0.5)
    assert not torch.allclose(sharp, plain)


def test_image_without_regions_has_probability_0_and_finite_gradients():
    output = raw_output(3)
    by_class = output.class_logits.requires_grad_()
    by_region = output.region_logits.requires_grad_()
    mask = output.mask.clone()
    mask[1] = False
    probabilities = DetectorOutput(by_class, by_region, mask).image_probabilities()
    assert (probabilities[1] == 0).all()
    labels = torch.ones(3, K, dtype=torch.int8)
    detector_loss(probabilities, labels).backward()
    for logits in (by_class, by_region):
        assert torch.isfinite(logits.grad).all()
        assert (logits.grad[1] == 0).all()
        assert (logits.grad[~mask] == 0).all()
        assert (logits.grad[0] != 0).any()


@pytest.mark.parametrize("kind", ["pooled_linear", "fc6_fc7"])
@pytest.mark.parametrize("pooling", ["max", "align"])
@torch.no_grad()
def test_padding_has_no_influence(resnet, kind, pooling):
    detector = make(resnet, kind, pooling)
    pixels, boxes, scores, mask = inputs()
    plain = detector(pixels, boxes, scores, mask)[0]
    junk_boxes = torch.where(mask[..., None], boxes, torch.tensor([0.0, 0.2, 0.9, 1.0]))
    junk_scores = torch.where(mask, scores, 9.0)
    more = [torch.cat([x, x[:, :3]], 1) for x in (junk_boxes, junk_scores, torch.zeros_like(mask))]
    more[2] = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], 1)
    other = detector(pixels, *more)[0]
    torch.testing.assert_close(other.image_probabilities(), plain.image_probabilities())
    torch.testing.assert_close(other.region_scores()[:, :R], plain.region_scores())
    assert (other.region_scores()[:, R:] == 0).all()


@torch.no_grad()
def test_permuting_regions_permutes_scores(resnet):
    detector = make(resnet)
    pixels, boxes, scores, mask = inputs(1)
    order = torch.randperm(R, generator=torch.Generator().manual_seed(0))
    plain = detector(pixels, boxes, scores, mask)[0]
    moved = detector(pixels, boxes[:, order], scores[:, order], mask[:, order])[0]
    torch.testing.assert_close(moved.region_scores(), plain.region_scores()[:, order])
    torch.testing.assert_close(moved.image_probabilities(), plain.image_probabilities())


@torch.no_grad()
def test_images_of_a_batch_do_not_touch(resnet):
    detector = make(resnet, pooling="max")
    pixels, boxes, scores, mask = inputs(2)
    both = detector(pixels, boxes, scores, mask)[0].region_scores()
    second = detector(pixels[1:], boxes[1:], scores[1:], mask[1:])[0].region_scores()
    torch.testing.assert_close(both[1:], second)


@torch.no_grad()
def test_averaged_align_equals_pooling_every_bin(resnet):
    """The short cut of ``pooled_linear`` on RoIAlign is the mean of its bins."""
    detector = make(resnet, score_scale=0.0)
    maps = torch.randn(2, resnet.channels("stride16"), 4, 4)
    _, boxes, scores, _ = inputs(3)
    bins = pool_regions(maps, boxes, bins=2, pooling="align", view_size=64)
    expected = bins.mean((2, 3)).view(2, R, -1)
    found = detector.pooled(maps, boxes, scores, view_size=64)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_score_weights_scale_the_pooled_features(resnet):
    maps = torch.randn(2, resnet.channels("stride16"), 4, 4)
    _, boxes, scores, _ = inputs(4)
    for kind in ("pooled_linear", "fc6_fc7"):
        plain = make(resnet, kind, score_scale=0.0).pooled(maps, boxes, scores, view_size=64)
        found = make(resnet, kind).pooled(maps, boxes, scores, view_size=64)
        torch.testing.assert_close(found, plain * (1 + 10 * scores)[..., None])


@torch.no_grad()
def test_convention_flipped_map_with_mirrored_boxes_pools_the_same(resnet):
    """A stored map serves the mirrored view: flipped map, mirrored boxes."""
    detector = make(resnet)
    maps = torch.randn(2, resnet.channels("stride16"), 4, 4)
    _, boxes, scores, _ = inputs(5)
    x1, y1, x2, y2 = boxes.unbind(-1)
    turned = torch.stack([1 - x2, y1, 1 - x1, y2], -1)
    plain = detector.pooled(maps, boxes, scores, view_size=64)
    other = detector.pooled(maps.flip(-1), turned, scores, view_size=64)
    torch.testing.assert_close(other, plain, atol=1e-5, rtol=1e-4)


def test_each_head_has_its_own_say(resnet):
    detector = make(resnet, heads=3)
    pixels, boxes, scores, mask = inputs()
    with torch.no_grad():
        first, third = detector(pixels, boxes, scores, mask, (0, 2))
        (alone,) = detector(pixels, boxes, scores, mask, (2,))
    torch.testing.assert_close(alone.class_logits, third.class_logits)
    assert not torch.allclose(first.class_logits, third.class_logits)


@torch.no_grad()
def test_region_temperature_divides_the_detection_logits(resnet):
    """WSDDN's release: 2, in training and at inference; t^d comes on top."""
    plain, warm = make(resnet), make(resnet, region_temperature=2.0)
    warm.load_state_dict(plain.state_dict())
    (one,), (two,) = plain(*inputs()), warm(*inputs())
    assert torch.equal(one.class_logits, two.class_logits)
    torch.testing.assert_close(two.region_logits, one.region_logits / 2)
    torch.testing.assert_close(
        two.image_probabilities(region_temperature=0.5), one.image_probabilities()
    )


def test_linear_head_drops_channels_of_an_image_in_all_regions_alike():
    torch.manual_seed(0)
    dropout = SharedDropout(0.5).train()
    vectors = torch.ones(4, 6, 100)
    dropped = dropout(vectors)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[:, :1]).all()
    assert not torch.equal(dropped[0], dropped[1])
    assert torch.equal(dropout.eval()(vectors), vectors)
    assert torch.equal(SharedDropout(0.0).train()(vectors), vectors)


def test_head_without_hidden_layer_is_two_linear_maps(resnet):
    head = DetectorHead(8, K, kind="pooled_linear", bins=2, hidden=0, dropout=0.5).eval()
    pooled = torch.randn(2, R, 8)
    by_class, by_region = head(pooled)
    torch.testing.assert_close(by_class, pooled @ head.class_scores.weight.T)
    torch.testing.assert_close(by_region, pooled @ head.region_scores.weight.T)
    assert sum(p.numel() for p in head.parameters()) == 2 * (8 * K + K)


def test_parameters_of_the_papers_teacher():
    """Method 2.1: 134,916,064 with 80 classes (VGG16 convolutions, fc6, fc7, two heads)."""
    with torch.device("meta"):
        backbone = Backbone("vgg16")
        head = DetectorHead(512, 80, kind="fc6_fc7", bins=7, hidden=4096, dropout=0.5)
        detector = Detector(
            backbone,
            level="stride16",
            heads=[head],
            bins=7,
            pooling="max",
            score_scale=10.0,
            score_bias=1.0,
        )
    assert sum(p.numel() for p in detector.parameters()) == 134_916_064
    assert head.fc6.weight.shape == backbone.vgg_fc["fc6.weight"].shape
