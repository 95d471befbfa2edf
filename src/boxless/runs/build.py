"""From a recipe's values to objects. The only module that knows configs and components both."""

from functools import lru_cache
from pathlib import Path

from torch import Tensor, nn

from boxless.errors import ConfigError
from boxless.losses.objectness import objectness, weigh_whole_image
from boxless.models.backbone import Backbone
from boxless.models.class_maps import ClassMaps
from boxless.models.classifier import Classifier
from boxless.models.detector import Detector, DetectorHead
from boxless.models.folding import fold_batch_norms
from boxless.models.quick_maps import QuickMaps, quick_maps
from boxless.models.weight_files import read_safetensors
from boxless.models.weights import build_backbone, load_matching
from boxless.recipe.schema import Recipe
from boxless.recipe.sections import ModelConfig, OptimConfig, StudentConfig, TeacherConfig
from boxless.runs.phases import MAPS, kept_levels
from boxless.runs.variant import Variant, variants
from boxless.training.batches import Batch, BatchStream, ViewDataset
from boxless.training.events import WEIGHTS
from boxless.training.map_store import MapStore
from boxless.training.optimization import OptimSettings
from boxless.training.teacher_cache import Knowledge
from boxless.training.teacher_task import TeacherTask

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


@lru_cache(maxsize=1)
def quick_backbone(config: TeacherConfig, levels: tuple[str, ...]) -> QuickMaps:
    """A frozen teacher's backbone as ONNX Runtime computes it; the last one is kept."""
    return quick_maps(backbone(config).eval(), config.input_size, levels)


TrainedTeacher = Detector | ClassMaps


def teacher(recipe: Recipe, classes: int) -> TrainedTeacher:
    """A teacher with pretrained backbone and new heads (one, plus one per fold)."""
    config = recipe.teacher
    return detector(recipe, classes) if config.kind == "wsddn" else class_maps(config, classes)


def class_maps(config: TeacherConfig, classes: int) -> ClassMaps:
    """A teacher of linear class maps."""
    return ClassMaps(
        backbone(config),
        classes,
        heads=1 + config.folds,
        level=config.level,
        parts=config.parts,
        sharpness=config.sharpness,
    )


def detector(recipe: Recipe, classes: int) -> Detector:
    """The paper's detector with pretrained backbone and new heads (one, plus one per fold)."""
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


def trained_teacher(recipe: Recipe, classes: int, weights: Path) -> TrainedTeacher:
    """The teacher of a finished teacher step, frozen and in evaluation mode."""
    model = teacher(recipe, classes)
    part = model.heads if recipe.teacher.trainable == "head" else model
    load_matching(part, read_safetensors(weights), where=str(weights))
    return model.eval().requires_grad_(requires_grad=False)


def teaching_teacher(recipe: Recipe, classes: int, weights: Path) -> TrainedTeacher:
    """`trained_teacher` as it is while it teaches: with the region weight asked for."""
    model = trained_teacher(recipe, classes, weights)
    if recipe.teaching.region_weight == "released" and isinstance(model, Detector):
        model.score_scale, model.score_bias = 1.0, 0.0
    return model


def student(recipe: Recipe, classes: int, variant: Variant | None = None) -> Classifier:
    """A student with pretrained backbone and a new last layer; None: of the recipe's size."""
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
        input_size=(variant or variants(recipe)[0]).input_size,
        boost=recipe.tags.boost if recipe.tags.boosts else 1.0,
    )
    trunk.vgg_fc = None  # half a gigabyte that is no longer needed
    return model


def trained_student(recipe: Recipe, classes: int, variant: Variant, run: Path) -> Classifier:
    """The student of a finished variant below a run's folder, in evaluation mode."""
    model = student(recipe, classes, variant)
    start_from(model, run / variant.folder / WEIGHTS)
    return model.eval()


def start_from(model: Classifier, weights: Path) -> None:
    """Give a student the weights that a phase left; what its terms trained beside is dropped."""
    state = {
        key.removeprefix("student."): value
        for key, value in read_safetensors(weights).items()
        if key.startswith("student.")
    }
    load_matching(model, state, where=str(weights))


def stream(
    dataset: ViewDataset,
    optim: OptimConfig,
    *,
    sizes: tuple[int, ...],
    seed: int,
    workers: int,
    tagged: int = 0,
    tagged_share: float = 0,
) -> BatchStream:
    """Training batches of a step.

    Args:
        dataset: Source of views.
        optim: Batch size and crop.
        sizes: Input sides.
        seed: Seed of order and views.
        workers: Loading processes.
        tagged: Images that have tags, the first rows.
        tagged_share: Share of every batch that they make up, at least one image; 0 = all images
            are drawn alike.
    """
    quota = max(1, round(tagged_share * optim.batch_size)) if tagged_share else 0
    return BatchStream(
        dataset,
        batch_size=optim.batch_size,
        seed=seed,
        sizes=sizes,
        crop=optim.crop,
        workers=workers,
        tagged=tagged,
        quota=min(quota, optim.batch_size - 1),
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
    kept = bool(kept_levels(recipe, MAPS))
    return kept and frozen and teacher_sizes(recipe) == (recipe.teacher.input_size,)


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
    """How the teacher's predictions are softened and its regions weighted."""
    config, stage2 = recipe.stage1.objectness, recipe.stage2

    def weigh(region_scores: Tensor, batch: Batch) -> Tensor:
        if not batch.mask.shape[1]:  # nothing was proposed
            return batch.scores
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
        return weights

    return Knowledge(stage2.class_temperature, stage2.region_temperature, weigh)


def parameters(module: nn.Module) -> int:
    """Number of parameters of a module."""
    return sum(p.numel() for p in module.parameters())
