import numpy as np
import pytest
from tiny_student import write_student


@pytest.fixture
def student(tmp_path):
    return write_student(tmp_path / "run" / "export" / "student.onnx")


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = [(20, 30), (31, 17), (8, 8), (5, 50), (9, 9), (64, 48), (12, 12)]
    return [(rng.random((*shape, 3)) * rng.random(3) * 255).astype(np.uint8) for shape in shapes]
