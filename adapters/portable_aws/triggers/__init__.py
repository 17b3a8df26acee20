"""Event sources: one class each, with ``decode`` and ``encode``. The build knows which one calls a function."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CODECS", "codec_of", "malformed", "source_of"]

CODECS: dict[str, dict[str, tuple[str, str]]] = {
    "http": {
        "http-api": ("http_v2", "HTTPAPI"),
        "rest-api": ("http_v1", "RESTAPI"),
        "alb": ("http_v1", "ALB"),
        "function-url": ("http_v2", "FunctionURL"),
    },
    "message": {"sqs": ("sqs", "SQS")},
    "stream": {
        "kinesis": ("kinesis", "Kinesis"),
        "msk": ("kafka", "MSK"),
        "kafka": ("kafka", "SelfManagedKafka"),
    },
    "blob": {"s3": ("s3", "S3"), "s3-eventbridge": ("s3", "S3EventBridge")},
    "change": {"dynamodb-stream": ("dynamodb", "DynamoDBStream")},
    "schedule": {
        "scheduler": ("schedule", "Scheduler"),
        "eventbridge-rule": ("schedule", "EventBridgeRule"),
    },
    "direct": {"direct": ("direct", "Direct")},
    "socket": {"websocket-api": ("websocket", "WebSocketAPI")},
}
"""Module and class of each event source, by trigger kind; the default source first."""


def source_of(kind: str, chosen: str | None) -> str:
    """An event source of a trigger kind: its default when none is chosen. Raises ConfigError for one AWS has not."""
    sources = CODECS[kind]
    if chosen is None:
        return next(iter(sources))
    if chosen not in sources:
        from portable.errors import ConfigError

        raise ConfigError(f"AWS has no source {chosen!r} for {kind} functions; there are {', '.join(sources)}")
    return chosen


def codec_of(kind: str, source: str | None) -> Any:
    """The class that reads a source's events; of the kind's default when ``source`` is None. Raises ConfigError."""
    module, name = CODECS[kind][source_of(kind, source)]
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
