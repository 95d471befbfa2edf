"""The page, the documents of the API and the sample images: all of it from this process alone."""

import base64
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from fastapi import APIRouter
from PIL import Image
from starlette.responses import JSONResponse, Response

from boxless.data import scenes
from boxless.data.find_images import find_images
from boxless.data.images import load_image
from boxless.data.scene_layout import CLASSES
from boxless.errors import DataError
from boxless.serving.faults import RequestError
from boxless.types import UInt8Array

MAX_SAMPLES = 24
_SIDE = 640  # of a sample, in pixels
_PAINTED = "train=1,test=7,seed=0,size=160"  # as in `make demo`, which never trained on them
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sample:
    """An image that the page offers.

    Attributes:
        name: Shown, and read out.
        jpeg: The file.
    """

    name: str
    jpeg: bytes


def painted_samples(classes: Sequence[str]) -> list[Sample]:
    """Scenes of the embedded data set for a student of their classes; none for any other."""
    if tuple(classes) != CLASSES:
        return []
    records = scenes.read(_PAINTED).records
    shown = [record for record in records if record.split == "test"]
    return [
        Sample(f"painted scene {number}", _jpeg(scenes.render(record.path)))
        for number, record in enumerate(shown, 1)
    ]


def samples_in(folder: Path) -> list[Sample]:
    """Samples of one's own, scaled down for the page.

    Args:
        folder: The first `MAX_SAMPLES` images in it are taken.

    Returns:
        One sample per image.

    Raises:
        DataError: There is no such folder, no image in it, or one cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"expected a folder of sample images, but {folder} is none")
    found = find_images(folder)[:MAX_SAMPLES]
    return [Sample(path.stem[:60], _jpeg(load_image(str(path)))) for path in found]


def pages(samples: Sequence[Sample]) -> APIRouter:
    """Build the routes for people: ``/``, ``/docs``, ``/samples`` and ``/samples/N``."""
    router = APIRouter(include_in_schema=False)
    page, documents = _Page("page.html"), _Page("docs.html")

    @router.get("/")
    async def show_page() -> Response:
        return page.response()

    @router.get("/docs")
    async def show_documents() -> Response:
        return documents.response()

    @router.get("/samples")
    async def list_samples() -> Response:
        return JSONResponse(
            [{"name": s.name, "url": f"samples/{n}"} for n, s in enumerate(samples)]
        )

    @router.get("/samples/{number}")
    async def show_sample(number: str) -> Response:
        index = int(number) if number.isdecimal() and len(number) < 4 else len(samples)
        if index >= len(samples):
            raise RequestError(404, "not_found", "there is no such sample")
        headers = {"Cache-Control": "max-age=3600"}
        return Response(samples[index].jpeg, media_type="image/jpeg", headers=headers)

    return router


class _Page:
    """A document whose own script and style, and no others, may run."""

    def __init__(self, name: str) -> None:
        text = files("boxless.serving").joinpath("assets", name).read_text("utf-8")
        hashes: dict[str, str] = {}
        for kind, content in _INLINE.findall(text):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            hashes[kind] = f"{hashes.get(kind, '')} 'sha256-{digest}'"
        self._content = text.encode()
        policy = (
            "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
            f"script-src{hashes.get('script', '')}; style-src{hashes.get('style', '')}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}

    def response(self) -> Response:
        return Response(self._content, media_type="text/html", headers=self._headers)


def _jpeg(pixels: UInt8Array) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()
