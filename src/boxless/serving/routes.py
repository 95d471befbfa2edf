"""The routes of the API."""

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from boxless.serving.labelling import Labeller
from boxless.serving.metrics import CONTENT_TYPE
from boxless.serving.observer import notes_of
from boxless.serving.options import query_parameters, read_options
from boxless.serving.schemas import (
    FaultAnswer,
    LabelsAnswer,
    PredictAnswer,
    StateAnswer,
)
from boxless.serving.settings import Limits
from boxless.serving.uploads import read_uploads

_BINARY = {"type": "string", "format": "binary"}
_FAULTS = {
    400: "The body is malformed, empty or no form as described",
    401: "The API key is missing or wrong",
    408: "The body came too slowly",
    413: "The body, the number of files or an image is too large",
    415: "The content type or the format of an image is not known",
    421: "The server is called by a foreign name",
    422: "A parameter is wrong or an image is damaged",
    503: "The server is busy or stopping; `Retry-After` says when to try again",
}


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries of answers that are not 200."""
    return {code: {"model": FaultAnswer, "description": _FAULTS[code]} for code in statuses}


def api(labeller: Labeller, limits: Limits) -> APIRouter:
    """Build the routes.

    Args:
        labeller: Answers requests.
        limits: What a request may cost.

    Returns:
        Routes below ``/``.
    """
    router = APIRouter()
    _add_predictions(router, labeller, limits)
    _add_state(router, labeller)
    return router


def _bodies(limits: Limits) -> dict[str, Any]:
    """OpenAPI entry of the bodies that are taken."""
    files = {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": limits.files}
    form = {
        "type": "object",
        "required": ["files"],
        "properties": {"files": files},
        "additionalProperties": False,
    }
    return {
        "multipart/form-data": {"schema": form},
        "image/*": {"schema": _BINARY},
        "application/octet-stream": {"schema": _BINARY},
    }


def _add_predictions(router: APIRouter, labeller: Labeller, limits: Limits) -> None:
    @router.post(
        "/v1/predict",
        tags=["predictions"],
        response_model=PredictAnswer,
        response_model_exclude_unset=True,
        responses=faults(400, 401, 408, 413, 415, 421, 422, 503),
        openapi_extra={
            "requestBody": {"required": True, "content": _bodies(limits)},
            "parameters": query_parameters(),
        },
    )
    async def predict(request: Request) -> Response:
        """Label one image, or several.

        Send files in the form field `files`, or one image as the body. Images of one request, and
        of requests that arrive together, are computed together.
        """
        options = read_options(request.query_params)
        labeller.batcher.check_room()
        uploads = await read_uploads(request, max_files=limits.files)
        notes_of(request.scope).images = len(uploads)
        predictions = await labeller.label(uploads, options)
        return _json({"predictions": predictions})

    @router.get(
        "/v1/labels",
        tags=["predictions"],
        response_model=LabelsAnswer,
        responses=faults(401, 421),
    )
    async def labels() -> Response:
        """Name the classes of the student and their thresholds."""
        student = labeller.predictor
        known = [
            {"name": name, "threshold": round(threshold, 6)}
            for name, threshold in zip(student.classes, student.thresholds, strict=True)
        ]
        return _json(
            {
                "labels": known,
                "input_size": student.metadata.input_size,
                "version": student.metadata.version,
                "locates": student.has_maps,
            }
        )


def _add_state(router: APIRouter, labeller: Labeller) -> None:
    @router.get("/healthz", tags=["state"], response_model=StateAnswer, responses=faults(421))
    async def healthz() -> Response:
        """Tell that the process is alive."""
        return _json({"status": "alive"})

    @router.get(
        "/readyz",
        tags=["state"],
        response_model=StateAnswer,
        responses=faults(421) | {503: {"model": StateAnswer, "description": "Not ready"}},
    )
    async def readyz() -> Response:
        """Tell whether requests for predictions can be answered."""
        if labeller.batcher.alive:
            return _json({"status": "ready"})
        return _json({"status": "not ready"}, 503)

    @router.get(
        "/metrics",
        tags=["state"],
        response_class=Response,
        responses=faults(401, 421)
        | {200: {"content": {"text/plain": {}}, "description": "Counters for Prometheus"}},
    )
    async def metrics() -> Response:
        """Count requests, images, batches and refusals, in the text format of Prometheus."""
        return Response(labeller.metrics.text(), media_type=CONTENT_TYPE)


def _json(values: dict[str, Any], status: int = 200) -> Response:
    content = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return Response(content.encode(), status, media_type="application/json")
