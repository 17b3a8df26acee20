"""Every error this framework raises.

PortableError
├── ConfigError                  the app or its settings are wrong; raised before any traffic
├── BuildError                   a build, check or run of an artifact cannot go on
├── DeployError                  a deployment did not go through; the message names the resource and why
├── DeadlineExceededError        an invocation was ended shortly before its cloud would have ended the process
├── HTTPError                    an answer with an error status, raised by a handler or by binding
├── Retry                        a message handler asks for another attempt, maybe later
├── Reject                       a message handler asks for the dead-letter queue, now
└── ServiceError                 a cloud said no; `__cause__` is the vendor's own error
    ├── NotFoundError            the bucket, key, queue … is not there
    ├── AlreadyExistsError       `if_absent` found something
    ├── PreconditionFailedError  `if_match` did not match
    ├── PermissionDeniedError    the identity lacks a permission, or there is no identity
    ├── UnavailableError         throttled, timed out, unreachable: worth a retry
    └── UnsupportedError         this cloud cannot do it
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    FieldProblem = Mapping[str, str]

__all__ = [
    "AlreadyExistsError",
    "BuildError",
    "ConfigError",
    "DeadlineExceededError",
    "DeployError",
    "HTTPError",
    "NotFoundError",
    "PermissionDeniedError",
    "PortableError",
    "PreconditionFailedError",
    "Reject",
    "Retry",
    "ServiceError",
    "UnavailableError",
    "UnsupportedError",
]


class PortableError(Exception):
    """Base of every error this framework raises."""


class ConfigError(PortableError):
    """The app, its settings or its environment are wrong. The message names the thing and the way out."""


class BuildError(PortableError):
    """A build, check or run of an artifact cannot go on. The message names the thing and the way out."""


class DeployError(PortableError):
    """A deployment or its end did not go through. The message names the resource and what the cloud said."""


class DeadlineExceededError(PortableError):
    """An invocation was ended shortly before its deadline: an async handler cancelled, a sync one interrupted.

    A request is answered 504; an event counts as failed, and is delivered again.
    """


class HTTPError(PortableError):
    """Answer the request with ``status`` as RFC 9457 ``application/problem+json``.

    Args:
        status: the HTTP status, 400 to 599; ValueError for another.
        detail: what went wrong in this request; shown to the caller.
        headers: sent with the answer (``{"WWW-Authenticate": "Bearer"}``).
        errors: one mapping a wrong field, with ``in`` (path, query, header, cookie, body), ``name`` and ``detail``.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldProblem] = (),
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"an HTTPError's status is 400 to 599, got {status!r}")
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.errors = errors

    def __str__(self) -> str:
        return f"{self.status} {self.detail}".rstrip()


class Retry(PortableError):
    """Raised by a message handler: deliver this message again.

    Args:
        after: wait at least this long. Where a cloud cannot choose the delay of a failed message, the message comes
            back after the queue's own delay; ``portable check`` says where.
        reason: for the log.
    """

    def __init__(self, reason: str = "", *, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Reject(PortableError):
    """Raised by a message handler: no attempt will ever succeed; move the message to the dead-letter queue now."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class ServiceError(PortableError):
    """A cloud refused or failed an operation. ``__cause__`` is the vendor's own error.

    Attributes:
        resource: what was used, as ``kind name`` (``bucket uploads``).
        key: the key, message id or item, where there is one.
    """

    def __init__(self, message: str, *, resource: str = "", key: str | None = None) -> None:
        at = resource if key is None else f"{resource}, key {key!r}"
        super().__init__(f"{at}: {message}" if at else message)
        self.resource = resource
        self.key = key


class NotFoundError(ServiceError):
    """The bucket, key, queue, item … is not there."""


class AlreadyExistsError(ServiceError):
    """``if_absent`` was asked and the key exists; nothing was written."""


class PreconditionFailedError(ServiceError):
    """``if_match`` was asked and the stored version differs; nothing was written."""


class PermissionDeniedError(ServiceError):
    """The identity in use lacks the permission, or no identity was found."""


class UnavailableError(ServiceError):
    """Throttled, timed out or unreachable: the same call may succeed later."""


class UnsupportedError(ServiceError):
    """This cloud cannot do what was asked. ``portable check`` finds it before a deployment does."""
