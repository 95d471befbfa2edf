"""Student of voc-lite0, one image at a time: ONNX Runtime against eager PyTorch.

Both get the same normalised image and compute probabilities; their difference is shown. Random
weights: they do not change the speed.

    python benchmarks/bench_onnx.py [--quick] [--out bench_onnx.json]
"""

import numpy as np
import onnxruntime
import torch
from measure import Figure, interleaved, parser, publish, ratio

from boxless import __version__
from boxless.inference.student_metadata import StudentMetadata
from boxless.models.classifier import Classifier
from boxless.pipeline import build
from boxless.pipeline.onnx_graph import ExportedStudent, onnx_bytes
from boxless.recipe_files import load_recipe

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


def main() -> None:
    """Time and publish."""
    options = parser(__doc__, "onnx").parse_args()
    rounds = options.rounds or (2 if options.quick else 15)
    threads = torch.get_num_threads()
    figures = []
    for size in (128,) if options.quick else (128, 224):
        model, about = student(size)
        data = onnx_bytes(model, about)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
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
