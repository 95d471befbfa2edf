"""Limits on what a request may send and how long it may take (ASGI)."""

import asyncio
from collections import deque

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boxless.serving.faults import RequestError, answer
from boxless.serving.observer import notes_of
from boxless.serving.settings import Limits

LINGER = 2.0  # seconds that the rest of a refused body, or of an answer, is waited for


class Guard:
    """Middleware that enforces `Limits` on every request and drops work nobody waits for.

    Args:
        app: What is guarded; it is called when the whole body is there.
        limits: What a request may cost.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            await self._serve(scope, body, receive, send)
        except RequestError as fault:
            notes_of(scope).code = fault.code
            response = answer(fault)
            response.headers["Connection"] = "close"  # some of the body may still be on its way
            await response(scope, receive, send)
        except ClientDisconnect:
            notes_of(scope).code = "client_gone"
        finally:
            self._buffered -= body.reserved

    async def _serve(self, scope: Scope, body: "_Body", receive: Receive, send: Send) -> None:
        clock = asyncio.get_running_loop()
        until = clock.time() + self._limits.seconds
        await body.read(Headers(scope=scope))
        reply = _Reply(send)
        work = asyncio.ensure_future(self._app(scope, body.replay, reply.send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait((work, gone), timeout=until - clock.time(), return_when=first)
            if reply.started:
                await asyncio.wait((work,), timeout=LINGER)
            if work.done():
                return work.result()
            left = reply.started or gone.done()
        finally:
            work.cancel()
            gone.cancel()
        await asyncio.wait((work,))
        if left:
            raise ClientDisconnect
        message = f"no answer within {self._limits.seconds:g} s"
        raise RequestError(503, "too_slow", message, retry_after=5)

    def reserve(self, body: "_Body", size: int) -> RequestError | None:
        """Make room for a body of so many bytes; the refusal if there is none."""
        limit = self._limits.body_bytes
        if size > limit:
            return RequestError(
                413,
                "body_too_large",
                f"expected a body of at most {limit:,} bytes, found {size:,} or more",
                hint="send fewer or smaller images",
            )
        more = max(size - body.reserved, 0)
        if self._buffered + more > self._limits.buffered_bytes:
            message = "too many request bodies are in work"
            return RequestError(503, "overloaded", message, retry_after=1)
        self._buffered += more
        body.reserved += more
        return None

    @property
    def patience(self) -> float:
        """Seconds that a body may take."""
        return min(self._limits.body_seconds, self._limits.seconds)


class _Body:
    """The pieces of one request's body, counted and timed on their way in."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self._guard, self._receive = guard, receive
        self._pieces: deque[bytes] = deque()
        self.reserved = 0

    async def read(self, headers: Headers) -> None:
        """Read all of it, also before a refusal.

        A client that only reads after it has sent everything would otherwise see a broken
        connection in place of the answer.
        """
        declared = headers.get("content-length", "")
        fault = self._guard.reserve(self, int(declared) if declared.isdecimal() else 0)
        if fault and "expect" in headers:  # it sends nothing before it hears "100 Continue"
            raise fault
        seen, more = 0, True
        patience = self._guard.patience
        try:
            async with asyncio.timeout(LINGER if fault else patience) as clock:
                while more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    more = message.get("more_body", False)
                    piece = message.get("body", b"")
                    seen += len(piece)
                    if fault is None and (fault := self._guard.reserve(self, seen)):
                        clock.reschedule(asyncio.get_running_loop().time() + LINGER)
                        self._pieces.clear()
                    if fault is None:
                        self._pieces.append(piece)
        except TimeoutError:
            reason = f"the body did not arrive within {patience:g} s"
            fault = fault or RequestError(408, "body_too_slow", reason)
        if fault:
            raise fault

    async def replay(self) -> Message:
        """Hand the pieces on, each once."""
        piece = self._pieces.popleft() if self._pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}


class _Reply:
    """The answer on its way out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        self.started = True
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "closed" not in str(error):
                raise  # uvloop has no type of its own for a connection that is gone
            raise ClientDisconnect from error


async def _disconnected(receive: Receive) -> None:
    """Return when the client has gone away; with a server that says nothing of it, never."""
    if (await receive())["type"] != "http.disconnect":
        await asyncio.get_running_loop().create_future()
