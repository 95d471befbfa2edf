"""The application: routes, pages and the layers around them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from boxless import __version__
from boxless.inference.predictor import Predictor
from boxless.serving.access import Access
from boxless.serving.faults import RequestError, answer
from boxless.serving.guard import Guard
from boxless.serving.labelling import Labeller
from boxless.serving.observer import Observer, notes_of
from boxless.serving.pages import Sample, pages
from boxless.serving.routes import api
from boxless.serving.settings import ServeSettings


def create_app(
    predictor: Predictor, settings: ServeSettings, *, samples: Sequence[Sample] = ()
) -> FastAPI:
    """Build the application of a student.

    Returns:
        An ASGI application.
    """
    labeller = Labeller(predictor, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await labeller.start()
        yield
        await labeller.close()

    app = FastAPI(
        title="boxless",
        version=__version__,
        description="Labels images with an exported student, and localizes the labels.",
        lifespan=lifespan,
        docs_url=None,  # those of FastAPI fetch scripts from another host
        redoc_url=None,
    )
    app.include_router(api(labeller, settings))
    app.include_router(pages(samples))
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _http_fault)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Guard, limits=settings.limits)
    app.add_middleware(Access, api_key=settings.api_key, hosts=settings.hosts)
    known = frozenset(app.openapi()["paths"]) | {"/", "/docs"}
    app.add_middleware(Observer, metrics=labeller.metrics, routes=known)  # the outermost
    return app


async def _refused(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, RequestError)
    notes_of(request.scope).code = fault.code
    return answer(fault)


async def _http_fault(request: Request, fault: Exception) -> Response:
    """Answer what Starlette refuses itself: unknown paths and methods."""
    assert isinstance(fault, HTTPException)
    code = {404: "not_found", 405: "wrong_method"}.get(fault.status_code, "bad_request")
    refused = RequestError(
        fault.status_code, code, str(fault.detail), hint="/docs lists what there is"
    )
    response = await _refused(request, refused)
    response.headers.update(fault.headers or {})
    return response


async def _invalid(request: Request, fault: Exception) -> Response:
    """Answer a wrong parameter."""
    assert isinstance(fault, RequestValidationError)
    first = fault.errors()[0]
    place = ".".join(str(part) for part in first["loc"])[:80]
    message = f"{place}: {first['msg']}, found {str(first.get('input'))[:80]!r}"
    hint = "/docs lists the parameters"
    return await _refused(request, RequestError(422, "invalid_parameter", message, hint=hint))
