"""Shapes of requests and answers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Options(BaseModel):
    """What a request for predictions asks for, in its query."""

    model_config = ConfigDict(extra="forbid")

    boxes: bool = Field(False, description="Add a box for each present label.")
    maps: bool = Field(False, description="Add a heat map for each label in the answer.")
    top: int | None = Field(
        None, ge=1, le=10_000, description="Most labels in the answer; all where left out."
    )


class LabelAnswer(BaseModel):
    """A class and how probable it is."""

    name: str
    probability: Share
    threshold: Share = Field(description="At or above it the label counts as present.")
    present: bool


class BoxAnswer(BaseModel):
    """Where a label was seen: pixels of the upright image, ends exclusive."""

    name: str
    score: float
    x1: float
    y1: float
    x2: float
    y2: float


class MapAnswer(BaseModel):
    """Heat map of a label, stretched over the whole image."""

    name: str
    width: int
    height: int
    data: str = Field(description="Base64 of width x height bytes, row by row, 0 to 255.")


class ImageAnswer(BaseModel):
    """What the student says about one image."""

    name: str | None = Field(description="File name as sent, without folders.")
    width: int = Field(description="Of the upright image, in pixels.")
    height: int
    labels: list[LabelAnswer] = Field(description="Most probable first.")
    boxes: list[BoxAnswer] | None = Field(None, description="With `boxes=true`.")
    maps: list[MapAnswer] | None = Field(None, description="With `maps=true`.")


class PredictAnswer(BaseModel):
    """Predictions in the order of the images."""

    predictions: list[ImageAnswer]


class ClassAnswer(BaseModel):
    """A class that the student knows."""

    name: str
    threshold: Share


class LabelsAnswer(BaseModel):
    """What the student can say."""

    labels: list[ClassAnswer] = Field(description="In the order of the student's outputs.")
    input_size: int = Field(description="Side of the square that images are scaled to.")
    version: str = Field(description="Version of boxless that wrote the student.")
    locates: bool = Field(description="Can it answer boxes and maps?")


class StateAnswer(BaseModel):
    """State of the server."""

    status: str


class Fault(BaseModel):
    """Why there is no answer."""

    code: str = Field(description="Short name for programs.")
    message: str
    hint: str | None = None
    file: str | None = Field(None, description="Name of the image at fault.")


class FaultAnswer(BaseModel):
    """Every answer but 200."""

    error: Fault
