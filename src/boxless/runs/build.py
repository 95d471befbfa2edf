"""From a recipe's values to objects. The only module that knows configs and components both."""

from pathlib import Path

import torch
from torch import Tensor

from boxless.recipe.schema import ModelConfig, OptimConfig, Recipe, StudentConfig, TeacherConfig
from boxless.losses.objectness import objectness, select_by_nms, weigh_whole_image
from boxless.losses.prediction_transfer import SoftLoss
from boxless.losses.region_transfer import Adapter
from boxless.errors import ConfigError
from boxless.methods.table import REGIONAL, Features
from boxless.models.backbone import Backbone
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector, DetectorHead
from boxless.models.folding import fold_batch_norms
from boxless.models.weight_files import read_safetensors
from boxless.models.weights import build_backbone, load_matching
from boxless.runs.levels import keeps_maps
from boxless.training.batches import Batch, BatchStream, ViewDataset
from boxless.training.map_store import LevelMaps, MapStore
from boxless.training.optimization import OptimSettings
from boxless.training.tasks import (
    ClassifierTask,
    MapsOf,
    RegionTask,
    TargetsOf,
    TeacherTask,
    VectorTask,
)
from boxless.training.teacher_cache import Knowledge

STRIDE = 32
"""Scaled input sides are multiples of this, so that every level has whole cells."""


def optim_settings(config: OptimConfig) -> OptimSettings:
    """Plain settings of an optimiser section."""
    return OptimSettings(**config.model_dump())


def backbone(config: ModelConfig) -> Backbone:
    """Backbone of a model section, with its weights."""
    trunk = build_backbone(
        config.backbone, weights=config.weights, pixel_scheme=config.pixel_scheme
    )
    if config.fold_norms:
        fold_batch_norms(trunk)
    return trunk


def detector(recipe: Recipe, classes: int) -> Detector:
    """A teacher with pretrained backbone and new heads (one, plus one a fold)."""
    config = recipe.teacher
    trunk = backbone(config)
    channels = trunk.channels(config.level)
    heads = [
        DetectorHead(
            channels,
            classes,
            kind=config.head,
            bins=config.bins,
            hidden=config.hidden,
            dropout=config.dropout,
        )
        for _ in range(1 + config.folds)
    ]
    require_fc(trunk, "teacher", config)
    for head in heads:
        if config.head == "fc6_fc7" and trunk.vgg_fc is not None:
            head.start_from_vgg(trunk.vgg_fc)
    trunk.vgg_fc = None  # half a gigabyte that is no longer needed
    return Detector(
        trunk,
        level=config.level,
        heads=heads,
        bins=config.bins,
        pooling=config.pooling,
        score_scale=config.score_scale,
        score_bias=config.score_bias,
        region_temperature=config.region_temperature,
    )


def require_fc(trunk: Backbone, section: str, config: TeacherConfig | StudentConfig) -> None:
    """Refuse VGG weights that lack fc6 and fc7 where a head of both is asked for."""
    if config.head == "fc6_fc7" and trunk.is_vgg and trunk.vgg_fc is None:
        raise ConfigError(
            f"{section}.weights = {config.weights!r} holds no fc6 and fc7, which {section}.head ="
            " 'fc6_fc7' starts from",
            hint=f"take a file of the whole VGG, or another {section}.head",
        )


def trained_detector(recipe: Recipe, classes: int, weights: Path) -> Detector:
    """The teacher of a finished teacher step, frozen and in evaluation mode."""
    teacher = detector(recipe, classes)
    part = teacher.heads if recipe.teacher.trainable == "head" else teacher
    load_matching(part, read_safetensors(weights), where=str(weights))
    return teacher.eval().requires_grad_(False)


def teaching_detector(recipe: Recipe, classes: int, weights: Path) -> Detector:
    """`trained_detector` as it is while it teaches: with the region weight asked for."""
    teacher = trained_detector(recipe, classes, weights)
    if recipe.teaching.region_weight == "released":
        teacher.score_scale, teacher.score_bias = 1.0, 0.0
    return teacher


def student(recipe: Recipe, classes: int, size: int = 0) -> Classifier:
    """A student with pretrained backbone and a new last layer.

    Args:
        recipe: All settings.
        classes: K.
        size: Input side; 0 = the recipe's.
    """
    config = recipe.student
    trunk = backbone(config)
    if config.frozen_to:
        trunk.freeze_to(config.frozen_to)
    require_fc(trunk, "student", config)
    model = Classifier(
        trunk,
        classes,
        head=config.head,
        dropout=config.dropout,
        hidden=config.hidden,
        resize_to=(size or config.input_size) if config.resize_from else 0,
    )
    trunk.vgg_fc = None  # half a gigabyte that is no longer needed
    return model


def student_view(recipe: Recipe, size: int = 0) -> int:
    """Side of the images a student of that input side is given; see `student`."""
    return recipe.student.resize_from or size or recipe.student.input_size


def trained_student(recipe: Recipe, classes: int, weights: Path, size: int = 0) -> Classifier:
    """The student of a finished baseline or stage-2 step, in evaluation mode."""
    model = student(recipe, classes, size)
    state = {
        key.removeprefix("classifier."): value
        for key, value in read_safetensors(weights).items()
        if key.startswith("classifier.")
    }
    load_matching(model, state, where=str(weights))
    return model.eval()


def start_from_stage1(model: Classifier, weights: Path) -> None:
    """Give a student the layers that stage 1 trained; Psi is thrown away."""
    state = read_safetensors(weights)
    for part in ("backbone", "neck"):
        own = {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}
        if own:
            load_matching(getattr(model, part), own, where=str(weights))


def stream(
    dataset: ViewDataset, optim: OptimConfig, *, sizes: tuple[int, ...], seed: int, workers: int
) -> BatchStream:
    """Training batches of a step."""
    return BatchStream(
        dataset,
        batch_size=optim.batch_size,
        seed=seed,
        sizes=sizes,
        crop=optim.crop,
        workers=workers,
    )


def teacher_sizes(recipe: Recipe) -> tuple[int, ...]:
    """Input sides of multi-scale training, rounded to whole cells."""
    side = recipe.teacher.input_size
    return tuple(
        side if f == 1 else max(STRIDE, round(side * f / STRIDE) * STRIDE)
        for f in recipe.teacher.scales
    )


def trains_on_maps(recipe: Recipe) -> bool:
    """Whether the teacher's heads are trained on kept maps: frozen backbone, one scale."""
    frozen = recipe.teacher.trainable == "head"
    return keeps_maps(recipe) and frozen and teacher_sizes(recipe) == (recipe.teacher.input_size,)


def teacher_task(
    recipe: Recipe, model: Detector, folds: Tensor | None, maps: MapStore | None
) -> TeacherTask:
    """Training of the teacher on tags."""
    return TeacherTask(
        model,
        frozen_backbone=recipe.teacher.trainable == "head",
        folds=folds,
        train_norm_statistics=recipe.teacher.optim.train_norm_statistics,
        maps=maps,
        map_size=recipe.teacher.input_size,
    )


def knowledge(recipe: Recipe) -> Knowledge:
    """How the teacher cache softens predictions and weights regions."""
    stage1, stage2 = recipe.stage1, recipe.stage2

    def weigh(region_scores: Tensor, batch: Batch) -> Tensor:
        config = stage1.objectness
        weights = objectness(
            region_scores,
            batch.scores,
            batch.mask,
            aggregate=config.aggregate,
            top_classes=config.top_classes,
            normalize=config.normalize,
        )
        if config.whole_image:
            weights = weigh_whole_image(weights, batch.mask, config.whole_image)
        if stage1.selection == "nms":
            return select_by_nms(
                batch.boxes, weights, batch.mask, iou=stage1.nms_iou, keep=stage1.nms_keep
            )
        return weights

    return Knowledge(stage2.class_temperature, stage2.region_temperature, weigh)


def distillation_updates(recipe: Recipe, dataset: ViewDataset) -> int | None:
    """Updates of both stages together, the baseline's budget; None if it has its own epochs."""
    return None if recipe.baseline.optim is not None else budget(recipe, dataset)


def budget(recipe: Recipe, dataset: ViewDataset) -> int:
    """Updates that the recipe's own method has, all its stages together."""
    parts = [recipe.stage2.optim, *([recipe.stage1.optim] if recipe.stage1.enabled else [])]
    return sum(stage_updates(dataset, optim) for optim in parts)


def stage_updates(dataset: ViewDataset, optim: OptimConfig) -> int:
    """Updates of one stage."""
    return stream(dataset, optim, sizes=(1,), seed=0, workers=0).updates(optim.epochs)


def baseline_task(optim: OptimConfig, model: Classifier) -> ClassifierTask:
    """Training of the plain student."""
    return ClassifierTask(model, train_norm_statistics=optim.train_norm_statistics)


def online_targets(recipe: Recipe, teacher: Detector, *, softened: bool = True) -> TargetsOf:
    """What the teacher predicts for the very views that the student sees.

    Args:
        recipe: All settings.
        teacher: In evaluation mode but for the dropout that the recipe may leave on.
        softened: p'^T, as the released code computes it; False: p^T.
    """
    config = recipe.stage2
    of_class, of_region = (
        (config.class_temperature, config.region_temperature) if softened else (1.0, 1.0)
    )
    teacher.eval().heads.train(recipe.teaching.dropout)

    @torch.no_grad()
    def targets(batch: Batch) -> Tensor:
        pixels = batch.pixels.float()
        (output,) = teacher(pixels, batch.boxes, batch.scores, batch.mask)
        found: Tensor = output.image_probabilities(
            class_temperature=of_class, region_temperature=of_region
        )
        return found.float()

    return targets


def stage2_task(
    recipe: Recipe, model: Classifier, classes: int, targets: Tensor | TargetsOf
) -> ClassifierTask:
    """Prediction-level transfer."""
    config = recipe.stage2
    soft = SoftLoss(
        config.soft_loss,
        classes=classes,
        temperature=config.student_temperature,
        learn_temperature=config.learn_temperature,
    )
    return ClassifierTask(
        model,
        train_norm_statistics=config.optim.train_norm_statistics,
        soft=soft,
        soft_weight=config.soft_weight,
        targets=targets,
    )


def region_task(
    recipe: Recipe,
    model: Classifier,
    teacher: Detector,
    objectness: Tensor,
    maps: MapStore | LevelMaps | None,
) -> RegionTask | VectorTask:
    """Feature-level transfer."""
    config = recipe.stage1
    if config.target == "fc7":
        return _vector_task(recipe, model, teacher)
    adapters = {
        level: Adapter(
            model.backbone.channels(level), teacher.backbone.channels(level), kind=config.adapter
        )
        for level in config.levels
    }
    scaled = config.channel_scale == "std" and maps is not None
    return RegionTask(
        model.backbone,
        adapters,
        maps_online(teacher) if maps is None else maps.batch,
        objectness,
        bins=config.bins,
        form=config.form,
        spreads={lv: maps.spread(lv) for lv in config.levels} if scaled and maps else {},
        student_size=recipe.student.input_size,
        teacher_size=recipe.teacher.input_size,
        teacher_backbone=teacher.backbone,
        flipped_maps=maps is not None,
        train_norm_statistics=config.optim.train_norm_statistics,
    )


def maps_online(teacher: Detector) -> MapsOf:
    """Maps computed from the very pixels of a batch."""

    @torch.no_grad()
    def online(batch: Batch, levels: tuple[str, ...]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = teacher.backbone(
            teacher.backbone.normalize(batch.pixels.float()), levels
        )
        return found

    return online


def _vector_task(recipe: Recipe, model: Classifier, teacher: Detector) -> VectorTask:
    ours, theirs = recipe.student, recipe.teacher
    if (ours.head, theirs.head) != ("fc6_fc7", "fc6_fc7") or ours.hidden != theirs.hidden:
        raise ConfigError(
            "stage1.target = 'fc7' compares fc7 vectors, so teacher and student both need"
            " head = 'fc6_fc7' of one width; found"
            f" teacher.head = {theirs.head!r}, teacher.hidden = {theirs.hidden}, student.head ="
            f" {ours.head!r}, student.hidden = {ours.hidden}",
            hint="use stage1.target = 'conv', or VGG16 for both",
        )
    return VectorTask(
        model,
        teacher,
        student_size=recipe.student.input_size,
        train_norm_statistics=recipe.stage1.optim.train_norm_statistics,
        teacher_dropout=recipe.teaching.dropout,
    )


def stage1_size(recipe: Recipe, features: Features) -> int:
    """Side of stage 1's views: the teacher's where it runs along, else the student's."""
    vectors = recipe.stage1.target == "fc7" and features in REGIONAL
    online = recipe.stage1.teacher_maps == "online" or vectors
    return recipe.teacher.input_size if online else recipe.student.input_size
