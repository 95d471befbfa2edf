"""Every answer that is not 200: one shape, one place."""

from starlette.responses import JSONResponse

from boxless.errors import BoxlessError


class RequestError(BoxlessError):
    """A request that gets no prediction, with the status to answer.

    Args:
        status: HTTP status.
        code: Short name for programs, such as ``"too_many_pixels"``.
        message: What was expected and what was found.
        hint: What to do about it.
        file: Name of the image at fault.
        retry_after: Seconds until trying again makes sense; None where it never does.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str = "",
        file: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status, self.code = status, code
        self.file, self.retry_after = file, retry_after


def answer(fault: RequestError) -> JSONResponse:
    """A refusal as JSON ``{"error": {"code", "message", "hint", "file"}}``."""
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    error = {"code": fault.code, "message": fault.message, "hint": fault.hint or None}
    return JSONResponse({"error": error | {"file": fault.file}}, fault.status, headers)
