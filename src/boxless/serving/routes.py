"""The routes of the API."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import HTTPBearer
from starlette.responses import JSONResponse, Response

from boxless.serving.labelling import Labeller
from boxless.serving.observer import CONTENT_TYPE, notes_of
from boxless.serving.schemas import FaultAnswer, LabelsAnswer, Options, PredictAnswer, StateAnswer
from boxless.serving.settings import Limits, ServeSettings
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


def _faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries of answers that are not 200."""
    return {code: {"model": FaultAnswer, "description": _FAULTS[code]} for code in statuses}


def api(labeller: Labeller, settings: ServeSettings) -> APIRouter:
    """Build the routes.

    Args:
        labeller: Answers requests.
        settings: What a request may cost, and whether a key is asked for.

    Returns:
        Routes below ``/``.
    """
    router = APIRouter()
    # `Access` checks the key; this names it in the document
    key = [Depends(HTTPBearer(scheme_name="key", auto_error=False))] if settings.api_key else []
    router.include_router(_predictions(labeller, settings.limits), dependencies=key)
    router.include_router(_metrics(labeller), dependencies=key)
    router.include_router(_state(labeller))
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


def _predictions(labeller: Labeller, limits: Limits) -> APIRouter:
    router = APIRouter(tags=["predictions"])

    @router.post(
        "/v1/predict",
        response_model=PredictAnswer,
        response_model_exclude_unset=True,
        responses=_faults(400, 401, 408, 413, 415, 421, 422, 503),
        openapi_extra={"requestBody": {"required": True, "content": _bodies(limits)}},
    )
    async def predict(request: Request, options: Annotated[Options, Query()]) -> Response:
        """Label one image, or several.

        Send files in the form field `files`, or one image as the body. Images of one request, and
        of requests that arrive together, are computed together.
        """
        uploads = await read_uploads(request, max_files=limits.files)
        notes_of(request.scope).images = len(uploads)
        predictions = await labeller.label(uploads, options)
        return JSONResponse({"predictions": predictions})

    @router.get("/v1/labels", response_model=LabelsAnswer, responses=_faults(401, 421))
    async def labels() -> Response:
        """Name the classes of the student and their thresholds."""
        student = labeller.predictor
        known = [
            {"name": name, "threshold": round(threshold, 6)}
            for name, threshold in zip(student.classes, student.thresholds, strict=True)
        ]
        return JSONResponse(
            {
                "labels": known,
                "input_size": student.metadata.input_size,
                "version": student.metadata.version,
                "locates": student.has_maps,
            }
        )

    return router


def _state(labeller: Labeller) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/healthz", response_model=StateAnswer, responses=_faults(421))
    async def healthz() -> Response:
        """Tell that the process is alive."""
        return JSONResponse({"status": "alive"})

    @router.get(
        "/readyz",
        response_model=StateAnswer,
        responses=_faults(421) | {503: {"model": StateAnswer, "description": "Not ready"}},
    )
    async def readyz() -> Response:
        """Tell whether requests for predictions can be answered."""
        if labeller.batcher.alive:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, 503)

    return router


def _metrics(labeller: Labeller) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get(
        "/metrics",
        response_class=Response,
        responses=_faults(401, 421)
        | {200: {"content": {"text/plain": {}}, "description": "Counters for Prometheus"}},
    )
    async def metrics() -> Response:
        """Count requests, images, batches and refusals, in the text format of Prometheus."""
        return Response(labeller.metrics.text(), media_type=CONTENT_TYPE)

    return router
