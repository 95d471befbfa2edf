"""Structured logs: one JSON object per line, for the server's own records and uvicorn's."""

import json
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from boxless.errors import ConfigError, RunError

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
    """Formats a record as one JSON object, with those of ``extra={"fields": {…}}``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """The same for people: ``12:01:02 info request status=200 …``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        fields = getattr(record, "fields", {})
        words = " ".join(f"{k}={_plain(v)}" for k, v in fields.items() if v is not None)
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{when} {record.levelname.lower()} {record.getMessage()} {words}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _plain(value: Any) -> str:
    """A value as one word; text that could break the line is quoted."""
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where logs go and in which form.

    Attributes:
        form: JSON lines or lines for people.
        file: File to append to, instead of stderr.
        size: Bytes after which the file is put aside as ``FILE.1`` and a new one begun.
        kept: Files put aside that are kept; the oldest is deleted.

    Raises:
        ConfigError: A size or number below 1.
    """

    form: Literal["json", "text"] = "json"
    file: Path | None = None
    size: int = 10_000_000
    kept: int = 5

    def __post_init__(self) -> None:
        for name in ("size", "kept"):
            if getattr(self, name) < 1:
                raise ConfigError(f"log {name} must be at least 1, found {getattr(self, name)}")

    def require_writable(self) -> None:
        """Look whether the file can be written, before the server begins.

        Raises:
            RunError: It cannot.
        """
        if self.file is None:
            return
        try:
            self.file.open("ab").close()
        except OSError as error:
            raise RunError(
                f"cannot write the log {self.file}: {error.strerror or error}",
                hint="choose another --log-file, or leave it out to log on stderr",
            ) from error

    def handler(self) -> dict[str, Any]:
        """The handler for `logging.config.dictConfig`."""
        if self.file is None:
            return {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
        return {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": str(self.file),
            "maxBytes": self.size,
            "backupCount": self.kept,
            "encoding": "utf-8",
        }


def log_config(log: LogSettings, *, level: str = "INFO") -> dict[str, Any]:
    """Logging settings for uvicorn: everything in one place and one form.

    Args:
        log: Place and form.
        level: Least level that is written.

    Returns:
        Settings for `logging.config.dictConfig`.
    """
    formatter = {"json": JsonLines, "text": PlainLines}[log.form]
    own = {"handlers": ["line"], "level": level, "propagate": False}
    others = {"handlers": ["line"], "level": "WARNING"}  # uvicorn, Python's warnings, Pillow
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"line": {**log.handler(), "formatter": "line"}},
        "root": others,
        "loggers": {
            "boxless.serving": own,
            "uvicorn": {"level": "WARNING"},  # the server tells itself when it starts and stops
            "python_multipart": {"level": "ERROR"},  # the answer says what is wrong with a form
        },
    }
