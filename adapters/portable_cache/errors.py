"""What redis-py and Upstash's REST interface say, as portable errors."""

from __future__ import annotations

from portable.errors import PermissionDeniedError, ServiceError, UnavailableError, UnsupportedError

__all__ = ["BY_CODE", "BY_STATUS", "BY_TYPE", "translate"]

BY_CODE: dict[str, type[ServiceError]] = {
    "BUSY": UnavailableError,
    "CLUSTERDOWN": UnavailableError,
    "LOADING": UnavailableError,
    "MASTERDOWN": UnavailableError,
    "MISCONF": UnavailableError,
    "NOREPLICAS": UnavailableError,
    "OOM": UnavailableError,
    "READONLY": UnavailableError,  # a replica, until a failover is over
    "TRYAGAIN": UnavailableError,
    "UNBLOCKED": UnavailableError,
    "NOAUTH": PermissionDeniedError,
    "NOPERM": PermissionDeniedError,
    "WRONGPASS": PermissionDeniedError,
    "DENIED": PermissionDeniedError,
    "MOVED": UnsupportedError,  # a cluster that shows its nodes
    "ASK": UnsupportedError,
    "CROSSSLOT": UnsupportedError,
    "WRONGTYPE": UnsupportedError,
    "value is not an integer or out of range": UnsupportedError,
    "increment or decrement would overflow": UnsupportedError,
    "max number of clients reached": UnavailableError,
    "max daily request limit exceeded": UnavailableError,
    "max requests limit exceeded": UnavailableError,
    "max request size exceeded": UnsupportedError,
    "invalid password": PermissionDeniedError,
}
"""By the first word of an error of Redis, or by how it begins where that word says no more than ERR."""

BY_TYPE: dict[str, type[ServiceError]] = {
    "AuthenticationError": PermissionDeniedError,  # before ConnectionError, which it is too
    "AuthorizationError": PermissionDeniedError,
    "NoPermissionError": PermissionDeniedError,
    "AskError": UnsupportedError,  # MovedError, too: a cluster that shows its nodes
    "ClusterCrossSlotError": UnsupportedError,
    "BusyLoadingError": UnavailableError,
    "ClusterDownError": UnavailableError,
    "MaxConnectionsError": UnavailableError,
    "OutOfMemoryError": UnavailableError,
    "ReadOnlyError": UnavailableError,
    "TryAgainError": UnavailableError,
    "TimeoutError": UnavailableError,
    "ConnectionError": UnavailableError,
    "InvalidResponse": UnavailableError,
    "OSError": UnavailableError,
    "HTTPException": UnavailableError,
}
"""By the name of a class, of redis-py, of http.client or built in."""

BY_STATUS: dict[int, type[ServiceError]] = {
    401: PermissionDeniedError,
    403: PermissionDeniedError,
    408: UnavailableError,
    413: UnsupportedError,
    429: UnavailableError,
}
"""By the status of an answer of Upstash."""


def kind_of_code(text: str) -> type[ServiceError] | None:
    """The class for the text of an error of Redis."""
    text = text.removeprefix("ERR ")  # redis-py takes it off
    kind = BY_CODE.get(text.partition(" ")[0])
    return kind or next((BY_CODE[start] for start in BY_CODE if " " in start and text.startswith(start)), None)


def kind_of_status(status: int) -> type[ServiceError] | None:
    """The class for a status of Upstash."""
    return BY_STATUS.get(status) or (UnavailableError if status >= 500 else None)


def translate(error: BaseException, resource: str, key: str | None = None) -> ServiceError:
    """Ours for an error of theirs, to be raised ``from`` it. An unknown one becomes a plain ServiceError."""
    kind = kind_of_code(str(error))
    if kind is None:
        names = [base.__name__ for base in type(error).__mro__]
        kind = next((BY_TYPE[name] for name in names if name in BY_TYPE), ServiceError)
    return kind(f"{type(error).__name__}: {error}", resource=resource, key=key)
