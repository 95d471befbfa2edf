"""The student as an ONNX graph: probabilities and class maps from one pass over the image."""

import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from boxless.errors import RunError
from boxless.files.seals import sealed
from boxless.inference.student_file import INPUT, MAPS, OUTPUT
from boxless.inference.student_metadata import StudentMetadata
from boxless.models.classifier import Classifier

OPSET = 18


class ExportedStudent(nn.Module):
    """What is exported: normalised image in, probabilities and class maps out.

    Args:
        classifier: The trained student.
        temperatures: K divisors of the logits; () = none.
    """

    scales: Tensor | None

    def __init__(self, classifier: Classifier, temperatures: Sequence[float] = ()) -> None:
        super().__init__()
        self.classifier = classifier
        scales = 1 / torch.tensor(temperatures) if temperatures else None
        self.register_buffer("scales", scales)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and class maps.

        Args:
            image: (N, 3, S, S) normalised.

        Returns:
            (N, K) ``sigmoid(logit / temperature)``, and (N, K, h, w) logits cell by cell, before
            the temperature.
        """
        features = self.classifier.final_maps(image)
        logits = self.classifier.classify(features)
        if self.scales is not None:
            logits = logits * self.scales
        return logits.sigmoid(), self.classifier.evidence(features)


def onnx_bytes(classifier: Classifier, about: StudentMetadata) -> bytes:
    """Content of the ONNX file.

    Args:
        classifier: The trained student; moved to the CPU.
        about: Goes into the file; its temperatures go into the graph too.

    Raises:
        RunError: PyTorch could not export the network.
    """
    program = torch.onnx.export(
        ExportedStudent(classifier.cpu(), about.temperatures).eval(),
        (torch.zeros(2, *about.input_shape),),
        input_names=[INPUT],
        output_names=[OUTPUT, MAPS],
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RunError("torch.onnx.export gave no program")
    return with_metadata(program.model_proto, about)


def with_metadata(proto: Any, about: StudentMetadata) -> bytes:
    """Serialise an ONNX model with a student's metadata instead of its own.

    Args:
        proto: ``onnx.ModelProto``; changed.
        about: What the file says about itself.
    """
    import onnx  # noqa: PLC0415  (slow to import, needed here alone)

    del proto.metadata_props[:]
    for key, value in about.to_props().items():
        proto.metadata_props.add(key=key, value=value)
    buffer = io.BytesIO()
    onnx.save(proto, buffer)
    return sealed(buffer.getvalue(), ".onnx")
