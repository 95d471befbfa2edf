"""The exported student: one ONNX file that says itself how to be fed and what its outputs mean.

Input ``image`` (N, 3, S, S) float32, outputs ``probabilities`` (N, K) and ``maps`` (N, K, h, w).
Everything else is in the file's metadata, one JSON value per key, so that no second file can get
lost or mixed up. Files of before version 0.2 have no maps.

A student lies here, in a store of objects, on the web, or on the Hugging Face Hub.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from boxless.errors import ConfigError, MissingExtraError, RunError, StoreError
from boxless.files.copies import fetched
from boxless.files.downloads import downloaded, is_web
from boxless.files.launched import available_cores, side_by_side
from boxless.files.paths import AnyPath, place
from boxless.files.seals import damage
from boxless.inference.student_metadata import StudentMetadata

HUB: Final = "hf://"
HUB_FILE: Final = "student.onnx"
_REPOSITORY: Final = re.compile(r"hf://([\w.-]+/[\w.-]+?)(?:@([\w.-]+))?(?:/(.+\.onnx))?/?")


def student_place(address: str | AnyPath) -> AnyPath:
    """The place of a student; what lies on the web or on the Hub is downloaded and kept.

    Args:
        address: A path, an object such as ``s3://bucket/student.onnx``,
            ``https://…/student.onnx#sha256=…``, or ``hf://OWNER/NAME``, with ``@REVISION`` or
            ``/FILE.onnx`` behind it where those are not the newest and ``student.onnx``.

    Raises:
        ConfigError: It is no such address.
        MissingExtraError: ``huggingface_hub`` is not installed.
        RunError: It cannot be downloaded.
        StoreError: It has another checksum.
    """
    text = str(address)
    if isinstance(address, Path):
        return address
    if text.startswith(HUB):
        return _from_hub(text)
    return downloaded(text) if is_web(text) else place(address)


def _from_hub(address: str) -> Path:
    found = _REPOSITORY.fullmatch(address)
    if found is None:
        raise ConfigError(
            f"expected hf://OWNER/NAME, hf://OWNER/NAME@REVISION or hf://OWNER/NAME/FILE.onnx,"
            f" found {address}",
            hint="OWNER/NAME is what stands at the top of the model's page on the Hub",
        )
    repository, revision, file = found.groups()
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub") from error
    try:
        path: str = hf_hub_download(repository, file or HUB_FILE, revision=revision)
    except Exception as error:  # the library's own, and those of whichever it speaks HTTP with
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{address} cannot be downloaded: {reason}",
            hint="look at the name and at the network; a private model needs `hf auth login`; only"
            f" folders of `boxless export RUN --push` have a {HUB_FILE}",
        ) from error
    return Path(path)


INPUT, OUTPUT, MAPS = "image", "probabilities", "maps"

PART_PIXELS = 2**16
"""Pixels of a part of a batch, so that all of it stays in a core's caches. Measured with
EfficientNet-Lite0, ms of CPU per image in parts of 1, 4 and 16: 4.6, 4.8, 5.9 at 224 px, 1.6, 1.6,
1.7 at 128 px; on two threads of one session, which wait for each other, 7.2, 6.3 and 7.3 at 224."""


@dataclass(frozen=True, slots=True)
class StudentFile:
    """An opened student.

    Attributes:
        path: The ONNX file.
        metadata: What it says about itself.
        session: Its onnxruntime session, which takes all threads for one part of a batch.
        lone: One that takes one thread, for parts that are computed side by side.
        threads: How many there are.
        fixed_batch: The batch size the graph was exported for; None where any will do.
        has_maps: Whether it has class maps.
    """

    path: AnyPath
    metadata: StudentMetadata
    session: Any
    lone: Any
    threads: int
    fixed_batch: int | None
    has_maps: bool

    def part_size(self, images: int) -> int:
        """Images of a batch that are computed together."""
        small = max(1, PART_PIXELS // self.metadata.input_size**2)
        return self.fixed_batch or min(small, max(1, -(-images // self.threads)))

    def compute(self, names: list[str], parts: list[Any]) -> list[list[Any]]:
        """Outputs of each part, (n, 3, S, S) float32, in order; several run side by side."""
        if len(parts) == 1:
            return [self.session.run(names, {INPUT: parts[0]})]

        def work(part: Any) -> list[Any]:
            found: list[Any] = self.lone.run(names, {INPUT: part})
            return found

        return list(side_by_side(self.threads)(work, parts))


def find_student(run: AnyPath) -> AnyPath:
    """The ONNX file itself, or the exported student of a run folder (`RunError` if none)."""
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


def open_student(path: AnyPath, *, threads: int = 0) -> StudentFile:
    """Open an exported student with onnxruntime on the CPU, checked; the file is closed again.

    Args:
        path: ONNX file.
        threads: Threads that one batch is computed with; 0 takes all cores.

    Raises:
        RunError: If the file does not exist, or a store of objects cannot be reached.
        StoreError: If it is damaged, no ONNX model or no student of boxless.
    """
    if not path.is_file():
        raise RunError(f"expected an exported student, but there is no file {path}")
    with fetched(path) as file:
        fault = damage(file)
        if fault:
            raise StoreError(
                f"{path} is damaged or cut off: {fault}",
                hint="copy the file again, or export the student again",
            )
        threads = threads or available_cores()
        session = _session(file, path, threads)
        lone = session if threads == 1 else _session(file, path, 1)
    metadata = StudentMetadata.from_props(
        dict(session.get_modelmeta().custom_metadata_map), path=path
    )
    _check_graph(path, session, metadata)
    batch = session.get_inputs()[0].shape[0]
    has_maps = any(output.name == MAPS for output in session.get_outputs())
    fixed = batch if isinstance(batch, int) else None
    return StudentFile(path, metadata, session, lone, threads, fixed, has_maps)


def _session(file: Path, path: AnyPath, threads: int) -> Any:
    """A session of onnxruntime; `path` is what messages call the file."""
    import onnxruntime  # noqa: PLC0415  (0.1 s that only predictions should pay)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for work would take the cores of those that decode: 30 % of all CPU time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is told below
    try:
        return onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a dozen of unrelated exceptions
        reason = " ".join(str(error).split())[:300]
        raise StoreError(
            f"{path} is no ONNX model that onnxruntime can open, or it is damaged or cut off "
            f"({file.stat().st_size} bytes; {reason})",
            hint="copy the file again, or export the student again",
        ) from error


def _check_graph(path: AnyPath, session: Any, metadata: StudentMetadata) -> None:
    """Check names, types and sizes of input and output."""
    K = len(metadata.classes)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise StoreError(f"{path}: expected one input, found {[value.name for value in inputs]}")
    tables: list[tuple[list[Any], str, tuple[int | None, ...]]] = [
        (inputs, INPUT, metadata.input_shape),
        (outputs, OUTPUT, (K,)),
    ]
    if any(value.name == MAPS for value in outputs):
        tables.append((outputs, MAPS, (K, None, None)))
    for values, name, wanted in tables:
        known = {value.name: value for value in values}
        found = known.get(name)
        if found is None or found.type != "tensor(float)" or not _fits(found.shape, wanted):
            tensors = ", ".join(f"{v.name} {v.type} {v.shape}" for v in values)
            raise StoreError(
                f"{path}: expected a float32 tensor {name!r} (N, {', '.join(map(_side, wanted))}) "
                f"as its metadata say, found {tensors}",
                hint="graph and metadata disagree; export the student again",
            )


def _side(size: int | None) -> str:
    return "any" if size is None else str(size)


def _fits(shape: list[Any], wanted: tuple[int | None, ...]) -> bool:
    """Does a shape (names stand for any size), less its first axis, fit?"""
    return len(shape) == len(wanted) + 1 and all(
        size in (have, None) or not isinstance(have, int)
        for have, size in zip(shape[1:], wanted, strict=True)
    )
