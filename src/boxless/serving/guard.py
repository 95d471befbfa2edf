"""Limits on what a request may send and how long it may take (ASGI)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boxless.serving.body import LINGER, Body, Budget, now
from boxless.serving.faults import RequestError, answer
from boxless.serving.settings import Limits


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
        body = Body(scope, receive, self._limits, self._budget)
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
                async with asyncio.timeout(LINGER):  # the server is to know it too before we end
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

    async def _serve(self, scope: Scope, body: Body, reply: "_Reply") -> None:
        body.check_declared()
        clock = asyncio.timeout(self._limits.seconds)
        reply.on_start = lambda: clock.reschedule(now() + LINGER + self._limits.seconds)
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
            message = f"no answer within {limit}"
            raise RequestError(503, "too_slow", message, retry_after=5) from None
        finally:
            reply.on_start = lambda: None  # a clock that has run out cannot be set


class _Reply:
    """The answer on its way out; reads the rest of the body first."""

    def __init__(self, body: Body, send: Send) -> None:
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
