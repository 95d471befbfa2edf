"""The application: routes, pages and the layers around them.

Who may call is asked first: by the server's name in the request, and by key.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hmac import compare_digest

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from boxless import __version__
from boxless.inference.predictor import Predictor
from boxless.serving.faults import RequestError, answer
from boxless.serving.guard import Guard
from boxless.serving.labelling import Labeller
from boxless.serving.observer import Observer, notes_of
from boxless.serving.pages import Sample, pages
from boxless.serving.routes import api
from boxless.serving.settings import ServeSettings

PROTECTED = ("/v1/", "/metrics")
"""Beginnings of paths that an API key protects."""


class Access:
    """Middleware that refuses strangers before anything of a body is read.

    A page of another site must not reach a server on loopback by a name that it made point there
    (DNS rebinding), so such a server answers to its own names alone.

    Args:
        app: What is protected.
        api_key: Asked for under ``/v1/`` and ``/metrics``; empty lets everybody in.
        hosts: Names, without ports; empty takes any.
    """

    def __init__(self, app: ASGIApp, api_key: str, hosts: frozenset[str]) -> None:
        self._app, self._hosts, self._key = app, hosts, api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        fault = self._refusal(scope) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
        else:
            notes_of(scope).code = fault.code
            await answer(fault)(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        if self._hosts and _host(headers.get("host", "")) not in self._hosts:
            return RequestError(
                421,
                "unknown_host",
                "this server does not answer to that name",
                hint="call it by its address, or start it with --allow-host NAME",
            )
        if not self._key or not scope["path"].startswith(PROTECTED):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if compare_digest(given.encode("latin-1", "replace"), self._key):
            return None
        return RequestError(
            401,
            "wrong_key" if given else "no_key",
            "the API key is wrong" if given else "this server asks for an API key",
            hint="send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
        )


def _host(value: str) -> str:
    """Host header without the port; brackets of IPv6 addresses dropped."""
    if value.startswith("["):
        return value[1:].partition("]")[0].lower()
    return value.partition(":")[0].lower()


def create_app(
    predictor: Predictor,
    settings: ServeSettings,
    *,
    samples: Sequence[Sample] = (),
    apart: bool = False,
) -> FastAPI:
    """Build the application of a student.

    Args:
        predictor: The student.
        settings: Sizes and limits.
        samples: Images that the page offers.
        apart: Compute in a process of its own, which no thread of this one can hold up.

    Returns:
        An ASGI application.
    """
    labeller = Labeller(predictor, settings, apart=apart)

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
