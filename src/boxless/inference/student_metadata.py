"""What an exported student says about itself: everything but the graph, in the file's metadata."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from boxless.errors import BoxlessError, StoreError
from boxless.files.paths import AnyPath
from boxless.inference.location import LocationSettings

PREFIX = "boxless."

Triple = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Provenance(BaseModel):
    """Where a student comes from.

    Attributes:
        backbone: timm name of the network.
        weights: What it started from: a package, a file's name, ``timm``, or ``random``.
        weights_licence: Licence of those weights, as far as it is known.
        teacher: timm name of the teacher's network; empty if nothing was distilled.
        recipe: Name of the recipe.
        variant: Method of the run that trained it, with ``@SIZE`` where its input size is another.
        seed: Seed of the run that was exported.
        data: The data set as its user named it, without folders.
        data_fingerprint: Hash of its images' names and labels.
        training_images: Images trained on.
        precision: Numbers that the graph computes with.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    backbone: str
    weights: str = ""
    weights_licence: str = ""
    teacher: str = ""
    recipe: str = ""
    variant: str = "regions"
    seed: int = 0
    data: str = ""
    data_fingerprint: str = ""
    training_images: int = 0
    precision: Literal["float32", "float16", "int8"] = "float32"


class StudentMetrics(BaseModel):
    """Figures of the exported student, shares in [0, 1]; None where it was not measured.

    Attributes:
        held_out_map: mAP on the held-out part of train.
        test_map: mAP on the test images.
        test_f1: Overall F1 on the test images at 0.5, of the probabilities before temperatures.
        test_f1_tuned: The same at the file's own temperatures and thresholds.
        baseline_test_map: mAP on the test images of the same student without distillation.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    held_out_map: float | None = None
    test_map: float | None = None
    test_f1: float | None = None
    test_f1_tuned: float | None = None
    baseline_test_map: float | None = None


class StudentMetadata(BaseModel):
    """What an exported student knows about itself; each field is a key ``boxless.FIELD``.

    The fields without a default stand at the end of the file, so that a cut-off copy is noticed
    even if its graph still opens. Files of older versions lack the others.

    Attributes:
        thresholds: K probabilities from which on a label counts as present; () = 0.5 each.
        temperatures: K divisors of the logits, part of the graph already; () = 1 each.
        location: How boxes are made of class maps; None = the usual way.
        provenance: Where the student comes from.
        metrics: How good it is.
        classes: K names, in the order of the outputs.
        input_size: S, side of the square input in pixels.
        mean: Subtracted from pixels of 0 to 255, per channel in the order of `channels`.
        std: What they are divided by then.
        channels: Channel order of the input.
        resize: How an image becomes a square.
        antialias: See `boxless.data.resize.resize_square`.
        version: Version of boxless that wrote the file.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    thresholds: tuple[Share, ...] = ()
    temperatures: tuple[Positive, ...] = ()
    location: LocationSettings | None = None
    provenance: Provenance | None = None
    metrics: StudentMetrics | None = None
    classes: tuple[str, ...] = Field(min_length=1)
    input_size: int = Field(ge=1)
    mean: Triple
    std: tuple[Positive, Positive, Positive]
    channels: Literal["RGB", "BGR"]
    resize: Literal["bilinear"]
    antialias: bool
    version: str

    @model_validator(mode="after")
    def _one_a_class(self) -> Self:
        for name in ("thresholds", "temperatures"):
            found, wanted = len(getattr(self, name)), len(self.classes)
            if found not in (0, wanted):
                raise ValueError(f"{name} must be one per class ({wanted}), found {found}")
        return self

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of one image: (3, S, S)."""
        return 3, self.input_size, self.input_size

    def to_props(self) -> dict[str, str]:
        """Metadata properties to write into the ONNX file; what is not known is left out."""
        values = self.model_dump(mode="json")
        required = {name for name, field in type(self).model_fields.items() if field.is_required()}
        kept = {key: value for key, value in values.items() if value or key in required}
        return {PREFIX + key: json.dumps(value) for key, value in kept.items()}

    @classmethod
    def from_props(cls, props: dict[str, str], *, path: AnyPath) -> "StudentMetadata":
        """Read and check the metadata properties of an ONNX file.

        Raises:
            StoreError: If keys are missing or hold something else.
        """
        own = {key.removeprefix(PREFIX): props[key] for key in props if key.startswith(PREFIX)}
        fields = cls.model_fields.items()
        missing = [PREFIX + name for name, f in fields if f.is_required() and name not in own]
        if missing:
            raise StoreError(
                f"{path} is an ONNX model, but no complete student that boxless exported: "
                f"its metadata lacks {', '.join(missing)}",
                hint="pass export/student.onnx of a run; if it is one, copy it again",
            )
        hint = "export the student again, or update boxless if the file is newer"
        try:
            return cls.model_validate({key: _value(key, text) for key, text in own.items()})
        except ValidationError as error:
            first = error.errors()[0]
            key = PREFIX + ".".join(str(part) for part in first["loc"])
            found = "" if not first["loc"] else f", found {first['input']!r}"
            raise StoreError(
                f"{path}: metadata {key} is wrong: {first['msg']}{found}", hint=hint
            ) from error
        except BoxlessError as error:  # settings that check themselves
            raise StoreError(f"{path}: metadata is wrong: {error.message}", hint=hint) from error


def _value(key: str, text: str) -> Any:
    """Decode one property; plain words need no quotation marks."""
    if key == "version":
        return text.strip('"')
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
