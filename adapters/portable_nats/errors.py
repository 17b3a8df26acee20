"""NATS's errors as ours, in one table."""

from __future__ import annotations

from portable.errors import (
    ConfigError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)

__all__ = ["BY_CODE", "BY_STATUS", "BY_TYPE", "kind_of", "translate"]

_MISSING = NotFoundError
_DENIED = PermissionDeniedError
_BUSY = UnavailableError
_UNFIT = UnsupportedError

BY_CODE: dict[int, type[ServiceError]] = {
    10002: _UNFIT,  # resource limits exceeded for account
    10014: _MISSING,  # consumer not found
    10037: _MISSING,  # no message found
    10043: _MISSING,  # sequence not found
    10047: _UNFIT,  # insufficient storage resources available
    10028: _UNFIT,  # insufficient memory resources available
    10054: _UNFIT,  # message size exceeds maximum allowed
    10059: _MISSING,  # stream not found
    10060: PreconditionFailedError,  # expected stream does not match
    10070: PreconditionFailedError,  # wrong last message id
    10071: PreconditionFailedError,  # wrong last sequence
    10164: PreconditionFailedError,  # wrong last sequence, as newer servers say it
    10077: _UNFIT,  # a limit of the stream is reached: maximum messages or bytes
    10110: _DENIED,  # message delete not permitted
    10111: _DENIED,  # stream purge not permitted
}
"""By ``err_code`` in an answer of JetStream: server/errors.json of the server's sources."""

BY_STATUS: dict[int, type[ServiceError]] = {404: _MISSING, 408: _BUSY, 500: _BUSY, 503: _BUSY}
"""By the status of such an answer, where the code is not in the table."""

BY_TYPE: dict[str, type[ServiceError]] = {
    "AuthorizationError": _DENIED,
    "InvalidUserCredentialsError": _DENIED,
    "PermissionsViolation": _DENIED,
    "MaxPayloadError": _UNFIT,
    "NoRespondersError": _BUSY,
    "NoServersError": _BUSY,
    "ConnectionClosedError": _BUSY,
    "ConnectionDrainingError": _BUSY,
    "ConnectionReconnectingError": _BUSY,
    "OutboundBufferLimitError": _BUSY,
    "SlowConsumerError": _BUSY,
    "StaleConnectionError": _BUSY,
    "TimeoutError": _BUSY,
    "OSError": _BUSY,
}
"""By the name of a class of the client's, or of Python's own."""


def kind_of(error: type[BaseException]) -> type[ServiceError] | None:
    """Ours for a class of the client's, by its nearest base in the table."""
    return next((BY_TYPE[base.__name__] for base in error.__mro__ if base.__name__ in BY_TYPE), None)


def translate(error: BaseException, resource: str, key: str | None = None) -> Exception:
    """Ours for a vendor's error, to be raised ``from`` it. An unknown one becomes a plain ServiceError.

    A ConfigError passes through, and what is no error of NATS but the caller's (TypeError, ValueError) too.
    """
    if isinstance(error, (ServiceError, ConfigError, TypeError, ValueError)):
        return error
    kind: type[ServiceError] | None = None
    code = getattr(error, "err_code", None)
    if code is not None:
        kind = BY_CODE.get(code) or BY_STATUS.get(getattr(error, "code", 0))
    else:
        kind = kind_of(type(error))
    return (kind or ServiceError)(str(error) or type(error).__name__, resource=resource, key=key)
