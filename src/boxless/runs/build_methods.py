"""From a recipe's values to what the compared methods train."""

import torch
from torch import Tensor

from boxless.recipe.schema import Recipe, Stage1Config
from boxless.losses.hinton import HintonLoss
from boxless.losses.objectness import select_by_nms
from boxless.losses.region_transfer import Adapter
from boxless.methods.table import Features, Method
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector
from boxless.runs import build
from boxless.runs.levels import feature_levels
from boxless.training.batches import ViewDataset
from boxless.training.map_store import LevelMaps, MapStore
from boxless.training.tasks import ClassifierTask, TargetsOf
from boxless.training.teacher_cache import ObjectnessOf
from boxless.training.whole_map_tasks import AttentionTask, HintTask, TeacherMaps

Maps = MapStore | LevelMaps


def method_updates(recipe: Recipe, dataset: ViewDataset, method: Method) -> int:
    """Updates of a method's phase on tags: the whole budget less those of its first phase."""
    whole = build.budget(recipe, dataset)
    first = build.stage_updates(dataset, recipe.stage1.optim) if method.has_first_phase else 0
    return max(1, whole - first)


def region_weigher(recipe: Recipe, features: Features) -> ObjectnessOf:
    """What weights regions the teacher has just scored, selected by NMS where a method does so."""
    nms = features == "regions-nms" and recipe.stage1.selection == "all"
    stage1 = recipe.stage1.model_copy(update={"selection": "nms"}) if nms else recipe.stage1
    return build.knowledge(recipe.model_copy(update={"stage1": stage1})).objectness


def selected_regions(dataset: ViewDataset, weights: Tensor, config: Stage1Config) -> Tensor:
    """Hard selection of the training images' regions by NMS on s'.

    Args:
        dataset: Training images with proposals.
        weights: (M, R), s'.
        config: Threshold and number.

    Returns:
        (M, R) of 0 and 1.
    """
    selected = torch.zeros_like(weights)
    for row, record in enumerate(dataset.records):
        boxes = torch.from_numpy(dataset.unit_boxes(record)[0])
        mask = torch.ones(1, len(boxes), dtype=torch.bool)
        own = weights[row, : len(boxes)]
        kept = select_by_nms(boxes[None], own[None], mask, iou=config.nms_iou, keep=config.nms_keep)
        selected[row, : len(boxes)] = kept[0]
    return selected


def hint_task(recipe: Recipe, model: Classifier, teacher: Detector, maps: Maps | None) -> HintTask:
    """FitNets' first phase."""
    levels = feature_levels(recipe, "hint")
    adapters = {
        level: Adapter(
            model.backbone.channels(level),
            teacher.backbone.channels(level),
            kind=recipe.hint.adapter,
        )
        for level in levels
    }
    scaled = recipe.stage1.channel_scale == "std" and maps is not None
    return HintTask(
        model.backbone,
        adapters,
        _teacher_maps(recipe, teacher, maps),
        spreads={lv: maps.spread(lv) for lv in levels} if scaled and maps else {},
        student_size=recipe.student.input_size,
        train_norm_statistics=recipe.stage1.optim.train_norm_statistics,
    )


def attention_task(
    recipe: Recipe, model: Classifier, teacher: Detector, maps: Maps | None
) -> AttentionTask:
    """Attention transfer beside the tags."""
    return AttentionTask(
        model,
        _teacher_maps(recipe, teacher, maps),
        levels=feature_levels(recipe, "attention"),
        beta=recipe.attention.beta,
        form=recipe.attention.form,
        student_size=recipe.student.input_size,
        train_norm_statistics=recipe.stage2.optim.train_norm_statistics,
    )


def _teacher_maps(recipe: Recipe, teacher: Detector, maps: Maps | None) -> TeacherMaps:
    return TeacherMaps(
        build.maps_online(teacher) if maps is None else maps.batch,
        teacher.backbone,
        recipe.teacher.input_size,
        flipped=maps is not None,
    )


def hinton_task(recipe: Recipe, model: Classifier, targets: Tensor | TargetsOf) -> ClassifierTask:
    """Tags, and the teacher's image probabilities p^T, softened."""
    return ClassifierTask(
        model,
        train_norm_statistics=recipe.stage2.optim.train_norm_statistics,
        soft=HintonLoss(recipe.hinton.temperature),
        soft_weight=recipe.hinton.weight,
        targets=targets,
    )
