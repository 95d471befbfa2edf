"""Limits on what a request may send and how long it may take, below everything else (ASGI).

Bodies are counted as they arrive, with or without ``Content-Length``. Before a request is refused
its body is read to the end for a moment, so that a client that only reads after it has sent
everything sees the answer and not a broken connection.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boxless.serving.faults import RequestError, answer
from boxless.serving.settings import Limits

_LINGER = 2.0  # seconds that the rest of a refused body is read for


def _now() -> float:
    return asyncio.get_running_loop().time()


class Budget:
    """Bytes of all bodies in work together.

    Args:
        limit: Most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def take(self, size: int) -> None:
        """Take bytes.

        Args:
            size: How many.

        Raises:
            RequestError: 503 if there are not so many left.
        """
        if self.used + size > self._limit:
            raise RequestError(
                503, "overloaded", "too many request bodies are in work", retry_after=1
            )
        self.used += size

    def give(self, size: int) -> None:
        """Give bytes back."""
        self.used -= size


class _Body:
    """One request's body on its way in."""

    def __init__(self, scope: Scope, receive: Receive, limits: Limits, budget: Budget) -> None:
        headers = Headers(scope=scope)
        self._receive, self._limits, self._budget = receive, limits, budget
        self._declared = headers.get("content-length", "")
        self._taken = self._seen = 0
        self._until = _now() + limits.body_seconds
        self._asked = "expect" not in headers  # a client that waits for "100 Continue" sends late
        self.complete = not self._declared and "transfer-encoding" not in headers
        self.on_complete: Callable[[], None] = lambda: None

    def check_declared(self) -> None:
        """Refuse a body by its declared length."""
        if self._declared:
            size = int(self._declared) if self._declared.isdecimal() else -1
            if size < 0:
                raise RequestError(400, "bad_length", "Content-Length is no whole number")
            self._check(size)
            self._take(size)

    async def receive(self) -> Message:
        """The next piece, counted."""
        self._asked = True
        if self.complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self._asked = False  # there is no sense in waiting any longer
            raise RequestError(
                408,
                "body_too_slow",
                f"the body did not arrive within {self._limits.body_seconds:g} s",
            ) from None
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            self._check(self._seen)
            self._take(self._seen)
            if not message.get("more_body", False):
                self.complete = True
                self.on_complete()
        return message

    async def drain(self) -> None:
        """Read and drop what is still on its way, for a moment."""
        if self.complete or not self._asked:
            return
        try:
            async with asyncio.timeout(_LINGER):
                while True:
                    message = await self._receive()
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        self.complete = message["type"] == "http.request"
                        return
        except TimeoutError:
            return

    def release(self) -> None:
        """Give the bytes back."""
        self._budget.give(self._taken)
        self._taken = 0

    def _take(self, total: int) -> None:
        if total > self._taken:
            self._budget.take(total - self._taken)
            self._taken = total

    def _check(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise RequestError(
                413,
                "body_too_large",
                f"expected a body of at most {self._limits.body_bytes:,} bytes, found {size:,}"
                + (" or more" if not self._declared else ""),
                hint="send fewer or smaller images",
            )


class Guard:
    """Middleware that enforces `Limits` on every request and drops work nobody waits for.

    Args:
        app: What is guarded.
        limits: What a request may cost.
        on_refused: Told the request and each refusal of this middleware.
        on_gone: Told each request whose client went away.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        on_refused: Callable[[Scope, RequestError], None],
        on_gone: Callable[[Scope], None],
    ) -> None:
        self._app, self._limits = app, limits
        self._budget = Budget(limits.buffered_bytes)
        self._on_refused, self._on_gone = on_refused, on_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._limits, self._budget)
        reply = _Reply(body, send)
        watcher = _Watcher(receive, reply)
        body.on_complete = watcher.start
        try:
            await self._serve(scope, body, reply)
        except RequestError as fault:
            self._on_refused(scope, fault)
            if not reply.started:
                await answer(fault)(scope, body.receive, reply.send)
        except ClientDisconnect:
            self._on_gone(scope)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):  # the server is to know it too before we end
                    await receive()
        except asyncio.CancelledError:
            if not watcher.gone:
                raise
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            self._on_gone(scope)
        finally:
            watcher.stop()
            body.release()

    async def _serve(self, scope: Scope, body: _Body, reply: "_Reply") -> None:
        body.check_declared()
        clock = asyncio.timeout(self._limits.seconds)
        reply.on_start = lambda: clock.reschedule(_now() + _LINGER + self._limits.seconds)
        try:
            async with clock:
                await self._app(scope, body.receive, reply.send)
        except TimeoutError:
            if not clock.expired():
                raise
            if reply.started:  # the client does not read
                raise ClientDisconnect from None
            limit = f"{self._limits.seconds:g} s"
            if not body.complete:
                raise RequestError(408, "body_too_slow", f"the body took over {limit}") from None
            raise RequestError(
                503, "too_slow", f"no answer within {limit}", retry_after=5
            ) from None


class _Reply:
    """The answer on its way out; reads the rest of the body first."""

    def __init__(self, body: _Body, send: Send) -> None:
        self._body, self._send = body, send
        self.started = self.finished = False
        self.on_start: Callable[[], None] = lambda: None

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.started = True
            self.on_start()
            if not self._body.complete:
                await self._body.drain()
            if not self._body.complete:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif message["type"] == "http.response.body":
            self.finished = not message.get("more_body", False)
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "closed" not in str(error):
                raise  # uvloop has no type of its own for a connection that is gone
            raise ClientDisconnect from error


class _Watcher:
    """Cancels the work on a request when its client goes away."""

    def __init__(self, receive: Receive, reply: _Reply) -> None:
        self._receive, self._reply = receive, reply
        self._work = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._reply.finished:
            self.gone = True
            assert self._work is not None
            self._work.cancel()
