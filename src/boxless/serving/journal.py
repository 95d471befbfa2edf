"""Structured logs on stderr: one line per record, for the server's own records and uvicorn's."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

LOGGER = logging.getLogger("boxless.serving")
LogFormat = Literal["json", "text"]


class JsonLines(logging.Formatter):
    """A record as one JSON object, with the fields of ``extra={"fields": {…}}``."""

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


def log_config(form: LogFormat) -> dict[str, Any]:
    """Settings for `logging.config.dictConfig`: everything in one place and one form."""
    formatter = {"json": JsonLines, "text": PlainLines}[form]
    stderr = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "line"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"line": stderr},
        "root": {"handlers": ["line"], "level": "WARNING"},  # uvicorn, Python's warnings, Pillow
        "loggers": {
            "boxless.serving": {"handlers": ["line"], "level": "INFO", "propagate": False},
            "uvicorn": {"level": "WARNING"},  # the server tells itself when it starts and stops
            "python_multipart": {"level": "ERROR"},  # the answer says what is wrong with a form
        },
    }
