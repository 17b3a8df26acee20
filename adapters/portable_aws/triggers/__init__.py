"""Event sources: one class each, with ``decode`` and ``encode``. The build knows which one calls a function."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CODECS", "codec_of", "malformed"]

CODECS: dict[str, dict[str, tuple[str, str]]] = {
    "http": {
        "http-api": ("http_v2", "HTTPAPI"),
        "rest-api": ("http_v1", "RESTAPI"),
        "alb": ("http_v1", "ALB"),
        "function-url": ("http_v2", "FunctionURL"),
    },
    "message": {"sqs": ("sqs", "SQS")},
    "blob": {"s3": ("s3", "S3"), "s3-eventbridge": ("s3", "S3EventBridge")},
    "schedule": {
        "scheduler": ("schedule", "Scheduler"),
        "eventbridge-rule": ("schedule", "EventBridgeRule"),
    },
    "direct": {"direct": ("direct", "Direct")},
}
"""Module and class of each event source, by trigger kind; the default source first."""


def codec_of(kind: str, source: str | None) -> Any:
    """The class that reads this source's events; the kind's default when ``source`` is None. Raises ConfigError."""
    sources = CODECS[kind]
    known = next(iter(sources)) if source is None else source
    if known not in sources:
        from portable.errors import ConfigError

        raise ConfigError(f"AWS has no source {known!r} for {kind} functions; there are {', '.join(sources)}")
    module, name = sources[known]
    full = f"{__name__}.{module}"
    __import__(full)
    from sys import modules

    return getattr(modules[full], name)


def malformed(source: str, what: str, error: BaseException, event: object) -> ValueError:
    """The error for an event that is not what its source documents, naming what is missing."""
    if isinstance(error, KeyError):
        problem = f"{error} is missing"
    elif isinstance(event, dict):
        problem = str(error)
    else:
        problem = f"it is {type(event).__name__}, not an object"
    return ValueError(f"not {what} ({source}): {problem}")
