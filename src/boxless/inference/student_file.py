"""The exported student: one ONNX file that says itself how to be fed and what its outputs mean.

Input ``image`` (N, 3, S, S) float32, output ``probabilities`` (N, K). Everything else is in the
file's metadata, one JSON value a key, so that no second file can get lost or mixed up.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from boxless.errors import RunError, StoreError

PREFIX = "boxless."
INPUT, OUTPUT = "image", "probabilities"

Triple = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]


class StudentMetadata(BaseModel):
    """What an exported student knows about itself; each field is a key ``boxless.FIELD``.

    All are required: they stand at the end of the file, so that a cut-off copy is noticed even if
    its graph still opens.

    Attributes:
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

    classes: tuple[str, ...] = Field(min_length=1)
    input_size: int = Field(ge=1)
    mean: Triple
    std: tuple[Positive, Positive, Positive]
    channels: Literal["RGB", "BGR"]
    resize: Literal["bilinear"]
    antialias: bool
    version: str

    def to_props(self) -> dict[str, str]:
        """Metadata properties to write into the ONNX file."""
        return {PREFIX + key: json.dumps(value) for key, value in self.model_dump().items()}

    @classmethod
    def from_props(cls, props: dict[str, str], *, path: Path) -> "StudentMetadata":
        """Read and check the properties of an ONNX file.

        Args:
            props: All metadata of the file.
            path: The file, for messages.

        Returns:
            The metadata.

        Raises:
            StoreError: If keys are missing or hold something else.
        """
        own = {key.removeprefix(PREFIX): props[key] for key in props if key.startswith(PREFIX)}
        missing = [PREFIX + name for name in cls.model_fields if name not in own]
        if missing:
            raise StoreError(
                f"{path} is an ONNX model, but no complete student that boxless exported: "
                f"its metadata lacks {', '.join(missing)}",
                hint="pass export/student.onnx of a run; if it is one, copy it again",
            )
        try:
            return cls.model_validate({key: _value(key, text) for key, text in own.items()})
        except ValidationError as error:
            first = error.errors()[0]
            key = PREFIX + ".".join(str(part) for part in first["loc"])
            raise StoreError(
                f"{path}: metadata {key} is wrong: {first['msg']}, found {first['input']!r}",
                hint="export the student again, or update boxless if the file is newer",
            ) from error


@dataclass(frozen=True, slots=True)
class StudentFile:
    """An opened student.

    Attributes:
        path: The ONNX file.
        metadata: What the file says about itself.
        session: onnxruntime session.
        fixed_batch: Batch size the graph was exported for; None where any will do.
    """

    path: Path
    metadata: StudentMetadata
    session: Any
    fixed_batch: int | None


def find_student(run: Path) -> Path:
    """Path of the exported student.

    Args:
        run: Run folder, or an ONNX file.

    Returns:
        The ONNX file.

    Raises:
        RunError: If there is none.
    """
    if run.is_file():
        return run
    if not run.exists():
        raise RunError(f"expected a run folder or an .onnx file, but {run} does not exist")
    path = run / "export" / "student.onnx"
    if not path.is_file():
        raise RunError(
            f"{run} has no exported student: {path} does not exist",
            hint="finish the run with the `boxless train` command that started it",
        )
    return path


def open_student(path: Path, *, threads: int = 0) -> StudentFile:
    """Open an exported student with onnxruntime on the CPU.

    Args:
        path: ONNX file.
        threads: Threads that one batch is computed with; 0 takes all cores.

    Returns:
        The student, checked.

    Raises:
        RunError: If the file does not exist.
        StoreError: If it is damaged, no ONNX model or no student of boxless.
    """
    import onnxruntime  # noqa: PLC0415  (0.1 s that only predictions should pay)

    if not path.is_file():
        raise RunError(f"expected an exported student, but there is no file {path}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is told below
    try:
        session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a dozen of unrelated exceptions
        reason = " ".join(str(error).split())[:300]
        raise StoreError(
            f"{path} is no ONNX model that onnxruntime can open, or it is damaged or cut off "
            f"({path.stat().st_size} bytes; {reason})",
            hint="copy the file again, or export the student again",
        ) from error
    metadata = StudentMetadata.from_props(
        dict(session.get_modelmeta().custom_metadata_map), path=path
    )
    _check_graph(path, session, metadata)
    batch = session.get_inputs()[0].shape[0]
    return StudentFile(path, metadata, session, batch if isinstance(batch, int) else None)


def _value(key: str, text: str) -> Any:
    """Decode one property; plain words need no quotation marks."""
    if key == "version":
        return text.strip('"')
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _check_graph(path: Path, session: Any, metadata: StudentMetadata) -> None:
    """Check names, types and sizes of input and output."""
    S, K = metadata.input_size, len(metadata.classes)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise StoreError(f"{path}: expected one input, found {[value.name for value in inputs]}")
    for values, name, wanted in ((inputs, INPUT, (3, S, S)), (outputs, OUTPUT, (K,))):
        known = {value.name: value for value in values}
        found = known.get(name)
        if found is None or found.type != "tensor(float)" or not _fits(found.shape, wanted):
            tensors = ", ".join(f"{v.name} {v.type} {v.shape}" for v in values)
            raise StoreError(
                f"{path}: expected a float32 tensor {name!r} (N, {', '.join(map(str, wanted))}) "
                f"as its metadata say, found {tensors}",
                hint="graph and metadata disagree; export the student again",
            )


def _fits(shape: list[Any], wanted: tuple[int, ...]) -> bool:
    """Does a shape (names stand for any size), less its first axis, fit?"""
    return len(shape) == len(wanted) + 1 and all(
        size == have or not isinstance(have, int)
        for have, size in zip(shape[1:], wanted, strict=True)
    )
