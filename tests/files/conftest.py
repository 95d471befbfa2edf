"""An S3-compatible server on this machine, and a store in memory."""

import io
import uuid

import numpy as np
import pytest
from PIL import Image

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture
def memory():
    """A folder of its own in fsspec's store in memory."""
    pytest.importorskip("fsspec")
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def s3_server():
    """Its address; moto answers as S3 does."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """A bucket of its own, as ``s3://NAME``; credentials and address stand in the environment."""
    import boto3
    import s3fs

    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_server, "AWS_DEFAULT_REGION": "us-east-1",
                        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere",
                        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = uuid.uuid4().hex
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def png(number: int) -> bytes:
    """A picture of blocks."""
    random = np.random.default_rng(number)
    pixels = np.full((50 + number, 70, 3), random.integers(0, 256, 3), np.uint8)
    pixels[10:30, 20 : 40 + number] = random.integers(0, 256, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def put():
    """Write an object."""

    def write(url: str, data: bytes | str) -> None:
        from boxless.files.atomic import write_atomically
        from boxless.files.paths import place

        write_atomically(place(url), data.encode() if isinstance(data, str) else data)

    return write


@pytest.fixture
def photos(put):
    """Four pictures below a folder, one of them deep; returns their names, sorted."""

    def fill(root: str) -> list[str]:
        names = ["a.png", "b.png", "deep/c.png", "deep/d.png"]
        for number, name in enumerate(names):
            put(f"{root}/{name}", png(number))
        put(f"{root}/notes.txt", "no image")
        return names

    return fill
