"""The log as AWS's own runtime client writes it: to Lambda's pipe where there is one, text or JSON, with request ids.

https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from portable.events import current_context

__all__ = ["configure"]

_TEXT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_FRAME = {"text": 0xA55A0003, "json": 0xA55A0002}  # awslambdaric: a frame of Lambda's pipe, its level added
_LEVELS = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}


def configure() -> None:
    """Add a handler to the root logger, unless the app has one, and set the level a deployment chose."""
    root = logging.getLogger()
    if root.handlers:
        return
    form = "json" if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON" else "text"
    pipe = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", "")
    handler = _Frames(int(pipe), _FRAME[form]) if pipe.isdigit() else logging.StreamHandler(sys.stdout)
    handler.addFilter(_add_request)
    formatter: logging.Formatter = _JSON("%Y-%m-%dT%H:%M:%SZ") if form == "json" else logging.Formatter(_TEXT)
    if form == "text":
        formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = _LEVELS.get(level, level)
    if level in logging.getLevelNamesMapping():
        root.setLevel(level)


def _add_request(record: logging.LogRecord) -> bool:
    context = current_context.get()
    record.aws_request_id = "" if context is None else context.request_id
    return True


class _Frames(logging.Handler):
    """Whole records to Lambda's pipe, so that one of several lines stays one."""

    def __init__(self, pipe: int, kind: int) -> None:
        super().__init__()
        self._pipe = pipe
        self._kind = kind

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{self.format(record)}\n".encode(errors="backslashreplace")
        kind = self._kind + (min(50, max(0, record.levelno)) // 10 * 4 + 4 if record.levelno >= 10 else 0)
        head = kind.to_bytes(4, "big") + len(text).to_bytes(4, "big") + (time.time_ns() // 1000).to_bytes(8, "big")
        os.write(self._pipe, head + text)


class _JSON(logging.Formatter):
    """A line of JSON a record."""

    def __init__(self, datefmt: str) -> None:
        super().__init__(datefmt=datefmt)

    def format(self, record: logging.LogRecord) -> str:
        from json import dumps

        line: dict[str, Any] = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": getattr(record, "aws_request_id", ""),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["errorType"] = record.exc_info[0].__name__
            line["errorMessage"] = str(record.exc_info[1])
            line["stackTrace"] = self.formatException(record.exc_info).splitlines()
        return dumps(line, ensure_ascii=False, default=str)
