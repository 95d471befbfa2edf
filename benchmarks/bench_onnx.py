"""Student of voc-lite0, one image at a time: ONNX Runtime against eager PyTorch.

Both get the same normalised image and compute probabilities; their difference is shown. Random
weights: they do not change the speed.

    python benchmarks/bench_onnx.py [--quick] [--out bench_onnx.json]

With files of `boxless export`, each of them against the first one, batch 1 and 16:

    python benchmarks/bench_onnx.py --models student.onnx small.onnx half.onnx
"""

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from measure import Figure, interleaved, parser, publish, ratio

from boxless import __version__
from boxless.inference.student_metadata import StudentMetadata
from boxless.models.classifier import Classifier
from boxless.recipe.recipe_files import load_recipe
from boxless.runs import build
from boxless.runs.export import ExportedStudent, onnx_bytes

CLASSES = 20


def student(size: int) -> tuple[Classifier, StudentMetadata]:
    """The student of the recipe, and what its file says."""
    model = build.student(load_recipe("voc-lite0"), CLASSES).eval()
    scheme = model.backbone.scheme
    about = StudentMetadata(
        classes=tuple(f"class {k}" for k in range(CLASSES)),
        input_size=size,
        mean=scheme.mean,
        std=scheme.std,
        channels="RGB",
        resize="bilinear",
        antialias=True,
        version=__version__,
    )
    return model, about


def opened(model: bytes | str, threads: int) -> onnxruntime.InferenceSession:
    """A session of one model on the processor."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def of_files(paths: list[Path], rounds: int, threads: int) -> list[Figure]:
    """Each file's speed beside that of the first, in turns."""
    sessions = {path.name: opened(str(path), threads) for path in paths}
    first, *others = sessions
    given = sessions[first].get_inputs()[0]
    figures = []
    for batch in (1, 16):
        shape = (batch, *given.shape[1:])
        images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        calls = {
            name: partial(session.run, None, {given.name: images})
            for name, session in sessions.items()
        }
        spent = interleaved(calls, rounds, repeats=dict.fromkeys(calls, 32 // batch))
        for name in others:
            facts = {"images_per_second": {n: [batch / t for t in spent[n]] for n in (first, name)}}
            title = f"{first} / {name}, time of batch {batch}, {shape[-1]} px"
            figures.append(Figure(title, ratio(spent[first], spent[name]), facts=facts))
    return figures


def main() -> None:
    """Time and publish."""
    known = parser(__doc__, "onnx")
    known.add_argument("--models", type=Path, nargs="+", help="files of boxless export")
    options = known.parse_args()
    rounds = options.rounds or (2 if options.quick else 15)
    threads = torch.get_num_threads()
    if options.models:
        publish("exported files", of_files(options.models, rounds, threads), options)
        return
    figures = []
    for size in (128,) if options.quick else (128, 224):
        model, about = student(size)
        data = onnx_bytes(model, about)
        session = opened(data, threads)
        (name,) = (given.name for given in session.get_inputs())
        eager = ExportedStudent(model).eval().to(memory_format=torch.channels_last)
        image = np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)
        tensor = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)

        def by_torch(eager: ExportedStudent = eager, tensor: torch.Tensor = tensor) -> np.ndarray:
            with torch.inference_mode():
                return eager(tensor)[0].numpy()

        def by_onnx(
            session: onnxruntime.InferenceSession = session,
            name: str = name,
            image: np.ndarray = image,
        ) -> np.ndarray:
            return session.run(None, {name: image})[0]

        difference = float(np.abs(by_torch() - by_onnx()).max())
        spent = interleaved(
            {"torch": by_torch, "onnx": by_onnx}, rounds, repeats={"torch": 10, "onnx": 20}
        )
        facts = {
            "milliseconds": {key: [1000 * t for t in found] for key, found in spent.items()},
            "largest_difference": difference,
            "threads": threads,
        }
        figures.append(
            Figure(
                f"eager PyTorch / ONNX Runtime, batch 1, {size} px",
                ratio(spent["torch"], spent["onnx"]),
                "higher",
                2,
                4,
                facts,
            )
        )
    publish("the student by ONNX Runtime and by PyTorch", figures, options)


if __name__ == "__main__":
    main()
