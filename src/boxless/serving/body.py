"""One request's body on its way in: counted, timed, and read to the end before a refusal.

A client that only reads after it has sent everything would otherwise see a broken connection in
place of the answer.
"""

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from boxless.serving.faults import RequestError
from boxless.serving.settings import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

LINGER = 2.0  # seconds that the rest of a refused body is read for


def now() -> float:
    """Time of the event loop."""
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


class Body:
    """One request's body.

    Args:
        scope: The request.
        receive: Where its pieces come from.
        limits: `body_bytes` and `body_seconds` count here.
        budget: Shared by all requests.

    Attributes:
        complete: Has all of it arrived?
        on_complete: Called when it has.
    """

    def __init__(self, scope: Scope, receive: Receive, limits: Limits, budget: Budget) -> None:
        headers = Headers(scope=scope)
        self._receive, self._limits, self._budget = receive, limits, budget
        self._declared = headers.get("content-length", "")
        self._taken = self._seen = 0
        self._until = now() + limits.body_seconds
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
            async with asyncio.timeout(LINGER):
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
