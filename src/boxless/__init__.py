"""boxless: image classifiers that learned where to look, from tags alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boxless.inference.predictor import Predictor
    from boxless.runs.context import Run

__version__ = "0.1.0"
__all__ = ["__version__", "load", "train"]


def load(path: str | Path, threads: int = 0) -> "Predictor":
    """Open an exported student; needs onnxruntime, NumPy and Pillow alone.

    Args:
        path: A run folder, or a ``student.onnx``; also ``hf://OWNER/NAME`` on the Hugging Face
            Hub, and ``https://…/student.onnx#sha256=…``: both are downloaded once and kept.
        threads: Threads that one batch is computed with; 0 takes all cores.

    Returns:
        A predictor, as in ``boxless.load("runs/first").predict(["street.jpg"])``.

    Raises:
        BoxlessError: There is no student, it cannot be downloaded, or it is damaged or foreign.
    """
    from boxless.inference.predictor import Predictor  # noqa: PLC0415  (onnxruntime takes a while)

    return Predictor.load(path, threads=threads)


def train(
    spec: str,
    *,
    out: str | Path,
    untagged: str | Path | None = None,
    recipe: str | Path = "auto",
    seeds: int | None = None,
    tags: int | None = None,
    methods: Sequence[str] | None = None,
    teacher: object | None = None,
    **overrides: Any,
) -> "Run":
    """From tags to a distilled, evaluated, exported classifier; what ``boxless train`` does.

    Stopped at any time, the same call resumes where it stopped; finished steps are skipped.

    Args:
        spec: The data set, such as ``"csv:tags.csv"`` or ``"voc:VOCdevkit/VOC2007"``.
        out: Run folder; everything is written below it.
        untagged: Further images without tags, which distilling learns from too: a folder, a
            pattern such as ``"photos/**/*.jpg"``, or a data set, whose tags are not read.
        recipe: A built-in recipe or a TOML file; ``"auto"``: the run folder's own, or one chosen
            for the images and this machine, which is told with its reasons.
        seeds: Students per variant.
        tags: How many training images keep their tags; the others count as untagged.
        methods: Further ways to distill, compared with the recipe's own, such as ``["hinton"]``.
        teacher: A network of your own that turns RGB pixels (N, 3, S, S) in 0-255 into logits
            (N, K), S being ``teacher.input_size``; it is asked once about every image, and tells
            nothing of regions (docs/your-own-teacher.md). Or settings of the recipe's teacher.
        **overrides: Any setting of the recipe, nested or dotted: ``student={"input_size": 96}``,
            ``**{"stage2.optim.epochs": 4}``.

    Returns:
        The finished run, with ``run.results.gain.map`` (what distilling gains, in fractions, and
        its interval), ``run.best`` (the student that is shipped), ``run.student`` (as `load` opens
        it), ``run.folder``.

    Raises:
        BoxlessError: Something is wrong with the data, a setting or the machine; the message says
            what to do.
    """
    from boxless.runs.start import train as start  # noqa: PLC0415  (pydantic takes a while)

    given = {"data.untagged": untagged, "data.tags": tags, "run.seeds": seeds, "methods": methods}
    asked = {key: value for key, value in given.items() if value is not None}
    return start(spec, out=out, recipe=recipe, teacher=teacher, settings={**asked, **overrides})
