"""Who may call: by the server's name in the request, and by key (ASGI)."""

from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from boxless.serving.faults import RequestError, answer
from boxless.serving.observer import notes_of

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
