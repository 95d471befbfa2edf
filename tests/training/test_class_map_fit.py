"""Fitting class maps: unseen images, the chosen penalty, heads on raw features."""

import pytest
import torch
from torch.nn import functional

from boxless.errors import DataError
from boxless.models.backbone import Backbone
from boxless.models.class_maps import ClassMaps
from boxless.models.logistic import fit_logistic, rotate
from boxless.training import class_map_fit as module
from boxless.training.class_map_fit import cross_validate, fit_class_maps

M, K = 60, 3
RIDGES = (0.01, 0.1, 1.0)
FOLDS = torch.arange(M) % 3


@pytest.fixture(scope="module")
def backbone():
    return Backbone("test_resnet").eval()


def made(width=40, noise=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.rand(M, width, generator=generator)
    truth = torch.randn(width, K, generator=generator)
    scores = (vectors - 0.5) @ truth + noise * torch.randn(M, K, generator=generator)
    return vectors, (scores > 0.5).to(torch.int8)


def model_of(backbone, heads):
    return ClassMaps(backbone, K, heads=heads, parts=("means", "peaks"))


def wide(model, vectors):
    """Vectors as wide as the model's: the first columns tell, the rest are constant."""
    whole = torch.ones(M, sum(model.widths.values()))
    whole[:, : vectors.shape[1]] = vectors
    return whole


def test_heads_say_what_was_fitted(backbone):
    vectors, labels = made()
    model = model_of(backbone, 4)
    given = wide(model, vectors)
    found = fit_class_maps(model, given, labels, FOLDS, RIDGES)
    assert found.ridge in RIDGES
    assert found.losses[found.ridge] == min(found.losses.values())
    unseen = torch.stack([model.heads[1 + int(f)](v) for f, v in zip(FOLDS, given, strict=True)])
    torch.testing.assert_close(unseen.double(), found.logits, atol=1e-3, rtol=1e-3)
    known = torch.nn.functional.binary_cross_entropy_with_logits(found.logits, labels.double())
    assert float(known) == pytest.approx(found.losses[found.ridge])
    seen = model.heads[0](given).double()
    better = torch.nn.functional.binary_cross_entropy_with_logits(seen.detach(), labels.double())
    assert float(better) < float(known)


def crowded():
    """Maps whose class is one cell in 16, among cells that say nothing."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(M, 96, 4, 4, generator=generator)
    labels = (torch.arange(M * K).view(M, K) % 7 < 3).to(torch.int8)
    for label in range(K):
        maps[labels[:, label] == 1, label, 1, label] += 4.0
    return maps, labels


@pytest.mark.parametrize("parts", [("means", "cells"), ("cells",)])
def test_crowded_images_are_read_cell_by_cell(backbone, parts):
    maps, labels = crowded()
    model = ClassMaps(backbone, K, heads=4, parts=parts)
    vectors = model.vectors(maps)
    found = fit_class_maps(model, vectors, labels, FOLDS, RIDGES, maps.flatten(2))
    for head in model.heads:
        assert not head.weight[:, : vectors.shape[1]].any()
        assert head.weight[:, vectors.shape[1] :].any()
    none = torch.zeros(M, 0, 4), torch.zeros(M, 0), torch.zeros(M, 0, dtype=torch.bool)
    read = model.read(maps, *none, view_size=128, heads=(1, 2, 3))
    unseen = torch.stack([read[int(f)].logits[row] for row, f in enumerate(FOLDS)])
    torch.testing.assert_close(unseen.double(), found.logits, atol=1e-3, rtol=1e-3)
    if len(parts) > 1:
        means = fit_class_maps(model, vectors, labels, FOLDS, RIDGES)
        assert found.loss < means.loss


def test_other_images_are_not(backbone):
    maps, labels = crowded()
    maps[:] = torch.randn(M, 96, 4, 4, generator=torch.Generator().manual_seed(1))
    maps[:, :K] += (labels.float() - 0.5)[..., None, None]
    model = ClassMaps(backbone, K, heads=4, parts=("means", "cells"))
    vectors = model.vectors(maps)
    found = fit_class_maps(model, vectors, labels, FOLDS, RIDGES, maps.flatten(2))
    assert not model.heads[0].weight[:, 96:].any()
    alone = ClassMaps(backbone, K, heads=4, parts=("means",))
    assert fit_class_maps(alone, vectors, labels, FOLDS, RIDGES).loss == found.loss
    assert torch.equal(alone.heads[0].weight, model.heads[0].weight[:, :96])


@pytest.mark.parametrize("seen", ["means", "peaks"])
def test_one_of_mean_and_maximum_is_picked(backbone, seen):
    """The one that knows the classes, as if it were the only part; the other weighs nothing."""
    _, labels = crowded()
    vectors = torch.randn(M, 192, generator=torch.Generator().manual_seed(2))
    mine = slice(0, 96) if seen == "means" else slice(96, 192)
    vectors[:, mine][:, :K] += 2 * labels.float()
    both, alone = model_of(backbone, 4), ClassMaps(backbone, K, heads=4, parts=(seen,))
    found = fit_class_maps(both, vectors, labels, FOLDS, RIDGES)
    assert found.loss == pytest.approx(
        fit_class_maps(alone, vectors[:, mine], labels, FOLDS, RIDGES).loss, rel=1e-9
    )
    for head, own in zip(both.heads, alone.heads, strict=True):
        torch.testing.assert_close(head.weight[:, mine], own.weight)
        assert int((head.weight != 0).any(0).sum()) == 96


def test_cells_of_a_fold_do_not_teach_its_head(backbone):
    maps, labels = crowded()
    changed = labels.clone()
    changed[FOLDS == 1] = 1 - changed[FOLDS == 1]
    models = [ClassMaps(backbone, K, heads=4, parts=("cells",)) for _ in range(2)]
    for model, tags in zip(models, (labels, changed), strict=True):
        fit_class_maps(model, model.vectors(maps), tags, FOLDS, (0.1,), maps.flatten(2))
    assert torch.equal(models[0].heads[2].weight, models[1].heads[2].weight)
    assert not torch.allclose(models[0].heads[0].weight, models[1].heads[0].weight, atol=1e-3)


def test_a_head_does_not_depend_on_the_tags_of_its_fold(backbone):
    vectors, labels = made()
    first, second = (ClassMaps(backbone, K, heads=4, parts=("means",)) for _ in range(2))
    fit_class_maps(first, wide(first, vectors), labels, FOLDS, (0.1,))
    changed = labels.clone()
    changed[FOLDS == 1] = 1 - changed[FOLDS == 1]
    fit_class_maps(second, wide(second, vectors), changed, FOLDS, (0.1,))
    assert torch.equal(first.heads[2].weight, second.heads[2].weight)
    assert not torch.allclose(first.heads[0].weight, second.heads[0].weight, atol=1e-3)


def test_noise_asks_for_a_stronger_penalty():
    strong = []
    for noise in (0.05, 6.0):
        vectors, labels = made(noise=noise)
        centered = (vectors - vectors.mean(0)).double()
        strong.append(cross_validate(rotate(centered)[0], labels, FOLDS, (0.01, 0.1, 1, 10)).ridge)
    assert strong[0] < strong[1]


def test_the_scale_of_a_part_does_not_matter(backbone):
    vectors, labels = made()
    found = []
    for scale in (1.0, 1000.0):
        model = model_of(backbone, 1)
        given = wide(model, vectors)
        given[:, : model.widths["means"]] *= scale
        found.append(fit_class_maps(model, given, labels, FOLDS, RIDGES))
    torch.testing.assert_close(found[0].logits, found[1].logits, atol=1e-5, rtol=1e-4)


def test_cross_validation_is_a_fit_without_each_fold():
    vectors, labels = made()
    rotated, _ = rotate((vectors - vectors.mean(0)).double())
    found = cross_validate(rotated, labels, FOLDS, RIDGES)
    seen = FOLDS != 2
    own = fit_logistic(rotated[seen], labels[seen], ridge=found.ridge)
    torch.testing.assert_close(found.fits[2], own, atol=1e-6, rtol=1e-6)
    with pytest.raises(DataError, match="no label"):
        cross_validate(rotated, torch.full_like(labels, -1), FOLDS, RIDGES)


def test_a_look_at_one_fold_is_the_part_of_cross_validation_that_leaves_it_out():
    vectors, labels = made()
    rotated, _ = rotate((vectors - vectors.mean(0)).double())
    whole = cross_validate(rotated, labels, FOLDS, (0.1,))
    look = cross_validate(rotated, labels, FOLDS, (0.1,), looks=1)
    assert len(look.fits) == 1
    torch.testing.assert_close(look.fits[0], whole.fits[0], atol=1e-6, rtol=1e-6)
    own = FOLDS == 0
    expected = functional.binary_cross_entropy_with_logits(whole.logits[own], labels[own].double())
    assert look.loss == pytest.approx(float(expected), abs=1e-6)
    assert not look.logits[~own].any()


@pytest.mark.parametrize(("telling", "fits"), [(False, 1), (True, 1 + 3 + 1)])
def test_cells_that_one_fold_shows_to_be_worse_are_not_tried_on_others(
    backbone, monkeypatch, telling, fits
):
    vectors, labels = made()
    model = ClassMaps(backbone, K, heads=4, parts=("means", "cells"))
    given = torch.ones(M, model.widths["means"])
    cells = torch.rand(M, model.widths["cells"], 4, generator=torch.Generator().manual_seed(1))
    if telling:  # the cells tell the tags, the vectors nothing
        cells[:, :K, 0] += 5 * labels
    else:
        given[:, : vectors.shape[1]] = vectors
    looked = []
    own = module.fit_cells
    monkeypatch.setattr(module, "fit_cells", lambda *a, **k: looked.append(1) or own(*a, **k))
    fit_class_maps(model, given, labels, FOLDS, (0.1,), cells)
    assert len(looked) == fits  # a look; three folds and the fit to all images
    assert bool(model.heads[0].weight[:, model.widths["means"] :].any()) == telling
