"""Structured logs: one JSON object a line, for the server's own records and uvicorn's."""

import json
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

LOGGER = logging.getLogger("boxless.serving")
_OURS = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)


@dataclass(slots=True)
class Notes:
    """What becomes known of a request while it is worked on.

    Attributes:
        request_id: The client's ``X-Request-ID`` if it is a plain word, else a new one.
        route: Path template; ``other`` for paths that do not exist.
        images: Images in it.
        code: Code of the error it was refused with.
    """

    request_id: str
    route: str = "other"
    images: int = 0
    code: str | None = None


def request_id(proposed: str | None) -> str:
    """A request's name in logs: the client's own if it cannot break a line, else a new one."""
    return proposed if proposed and _OURS.match(proposed) else secrets.token_hex(8)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object; ``extra={"facts": {…}}`` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """The same facts for people: ``12:01:02 info request status=200 …``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        facts = getattr(record, "facts", {})
        words = " ".join(f"{k}={_plain(v)}" for k, v in facts.items() if v is not None)
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{when} {record.levelname.lower()} {record.getMessage()} {words}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _plain(value: Any) -> str:
    """A value as one word; text that could break the line is quoted."""
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def log_config(form: Literal["json", "text"], *, level: str = "INFO") -> dict[str, Any]:
    """Logging settings for uvicorn: everything on stderr in one form.

    Args:
        form: JSON lines or lines for people.
        level: Least level that is written.

    Returns:
        Settings for `logging.config.dictConfig`.
    """
    formatter = {"json": JsonLines, "text": PlainLines}[form]
    handler = {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
    own = {"handlers": ["line"], "level": level, "propagate": False}
    others = {"handlers": ["line"], "level": "WARNING"}  # uvicorn, Python's warnings, Pillow
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"line": handler},
        "root": others,
        "loggers": {
            "boxless.serving": own,
            "uvicorn": {"level": "WARNING"},  # the server tells itself when it starts and stops
            "python_multipart": {"level": "ERROR"},  # the answer says what is wrong with a form
        },
    }
