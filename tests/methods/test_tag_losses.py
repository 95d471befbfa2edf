"""The losses on tags as students train on them: settings, passes, pseudo-labels, trust, resume."""

from types import SimpleNamespace

import pytest
import torch
from task_case import Kept, batch_of, student, task
from training_case import CLASSES, IMAGES, REGIONS, dataset

from boxless.errors import ConfigError
from boxless.losses import (
    AsymmetricLoss,
    BoostLU,
    LargeLoss,
    TagLoss,
    balanced_weights,
    trusted_weights,
)
from boxless.methods.class_aware import ClassAware
from boxless.methods.table import METHODS
from boxless.methods.tag_loss_state import NONE, TagLossState
from boxless.methods.tags import Tags, TagSettings, TrustedTags
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier

LABELS = torch.tensor([record.labels for record in dataset(0).records])


def a_task(*kinds, model=None, **tags):
    made = task(*(kinds or (Tags,)), model=model or student(dropout=0), tags=tags)
    made.train_mode()
    return made


def state_of(made):
    return made.module["terms"]["tags"]


def test_the_chosen_loss_is_learned():
    batch = batch_of(regions=0)
    made = a_task(loss="asl", focus_absent=2.0)
    made.module.eval()
    logits = made.student(batch.pixels.float())
    expected = AsymmetricLoss(focus_absent=2.0)(logits, batch.labels)
    torch.testing.assert_close(made.losses(batch)["loss"], expected)


def test_classes_are_balanced_over_all_training_images():
    rows = [0, 1, 2]
    batch = batch_of(rows, regions=0)
    made = a_task(class_weights="balanced")
    made.module.eval()
    present, absent = balanced_weights(LABELS)
    weights = torch.where(batch.labels == 1, present, absent)
    logits = made.student(batch.pixels.float())
    expected = TagLoss()(logits, batch.labels, weights)
    torch.testing.assert_close(made.losses(batch)["loss"], expected)


@pytest.mark.parametrize(("name", "kind"), [("ll-r", "reject"), ("ll-ct", "correct")])
def test_the_rate_grows_with_each_pass(name, kind):
    batch = batch_of(regions=0)  # all images: one pass
    made = a_task(loss=name, growth=0.1)
    for module in made.module.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    for passes in range(3):
        logits = made.view(batch, made.lessons).logits
        found = made.losses(batch)["loss"]
        torch.testing.assert_close(found, LargeLoss(kind)(logits, batch.labels, rate=0.1 * passes))
        assert state_of(made).passes == passes + 1


def test_looking_at_a_batch_counts_no_pass():
    made = a_task(loss="ll-r")
    made.module.eval()
    made.losses(batch_of(regions=0))
    assert state_of(made).passes == 0


def test_what_is_counted_lies_in_the_checkpoint():
    one, other = a_task(loss="em", warmup=1), a_task(loss="em", warmup=1)
    for _ in range(3):
        one.losses(batch_of(regions=0))
    other.module.load_state_dict(one.module.state_dict())
    assert state_of(other).passes == 3
    assert torch.equal(state_of(other).pseudo, state_of(one).pseudo)
    assert a_task().module.state_dict().keys() < other.module.state_dict().keys()


def test_the_least_likely_absent_tags_become_pseudo_labels():
    """In two passes after the second 60 % of each class, as likely as they were when last seen."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 2, (40, 3), generator=generator)
    state = TagLossState(
        TagSettings(loss="em", warmup=2, pseudo_share=0.6, pseudo_passes=2), labels
    )
    everyone, counts = torch.arange(40), []
    for _ in range(5):
        latest, before = state.latest.clone(), state.pseudo.clone()
        for rows in everyone.split(16):  # a pass, its first update assigns
            batch = SimpleNamespace(labels=labels[rows], index=rows, everyone=rows)
            state(torch.randn(len(rows), 3, generator=generator), batch, None, None)
        new = (state.pseudo >= 0) & (before < 0)
        assert torch.equal(state.pseudo[new], latest[new])
        for k in range(3):
            left = (labels[:, k] == 0) & (state.pseudo[:, k] < 0)
            if new[:, k].any():
                assert latest[new[:, k], k].max() <= latest[left, k].min()
        counts.append((state.pseudo >= 0).sum(0))
    total = (0.6 * (labels == 0).sum(0)).long()
    assert counts[0].sum() == counts[1].sum() == 0
    assert torch.equal(counts[2], (total / 2).ceil().long())
    assert torch.equal(counts[3], total)
    assert torch.equal(counts[4], total)
    assert (state.pseudo[labels != 0] == NONE).all()


def test_trust_weighs_absent_tags_by_what_the_teacher_sees():
    batch = batch_of(regions=0)
    made = a_task(TrustedTags, ClassAware, trust=0.5)
    made.module.eval()
    logits = made.student(batch.pixels.float())
    weights = trusted_weights(batch.labels, Kept.probabilities[batch.index], 0.5)
    expected = TagLoss()(logits, batch.labels, weights)
    torch.testing.assert_close(made.losses(batch)["tags"], expected)
    assert TrustedTags.of(made_of(trust=0.5)).needs.predictions
    assert not TrustedTags.of(made_of()).needs.predictions


def made_of(**tags):
    return SimpleNamespace(tags=TagSettings(**tags))


def test_a_student_depends_on_what_its_loss_reads_alone():
    def reads(kind, **tags):
        return [sorted(read.values) for read in kind.of(made_of(**tags)).reads]

    assert reads(Tags) == reads(Tags, growth=0.1) == []
    assert reads(Tags, loss="ll-r") == [["growth", "loss"]]
    assert reads(Tags, class_weights="balanced") == [["class_weights"]]
    assert reads(Tags, trust=0.5) == []  # the plain student has no teacher
    assert reads(TrustedTags, trust=0.5) == [["trust"]]


def test_no_plain_student_trusts_anybody():
    for name in ("plain", "oracle"):
        (phase,) = METHODS[name].phases
        assert not any(issubclass(kind, TrustedTags) for kind in phase)
    assert TrustedTags in METHODS["class-aware"].phases[-1]


class TestBoostedStudent:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return Classifier(Backbone("test_efficientnet"), CLASSES, boost=3.0).eval()

    def test_its_logit_is_the_mean_of_its_boosted_map(self, model):
        pixels = batch_of(regions=0).pixels.float()
        maps = model.final_maps(model.backbone.normalize(pixels))
        weight, bias = model.fc.weight, model.fc.bias
        plain = torch.einsum("nchw,kc->nkhw", maps, weight) + bias[:, None, None]
        torch.testing.assert_close(model.evidence(maps), BoostLU(3.0)(plain))
        torch.testing.assert_close(model(pixels), BoostLU(3.0)(plain).mean((2, 3)))

    def test_it_is_written_and_read_again(self, model, tmp_path):
        whole = model.save_pretrained(
            tmp_path, classes=[f"c{k}" for k in range(CLASSES)], input_size=64
        )
        assert not whole  # timm alone does not boost
        again = Classifier.from_pretrained(tmp_path)
        pixels = batch_of(regions=0).pixels.float()
        torch.testing.assert_close(again(pixels), model(pixels), rtol=1e-4, atol=1e-4)

    def test_fully_connected_layers_have_no_map_to_boost(self):
        with pytest.raises(ConfigError, match="needs head = 'gap'"):
            Classifier(Backbone("test_efficientnet"), CLASSES, head="fc6_fc7", boost=2.0)


def test_regions_are_no_matter():
    """The losses look at tags alone, whatever else a batch carries."""
    one, other = (a_task(loss="ll-r").losses(batch_of(regions=n))["loss"] for n in (0, REGIONS))
    assert one == other
    assert len(LABELS) == IMAGES
