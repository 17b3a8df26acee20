"""From the errors of Google's libraries to ours: one table, by the name of the class.

By name, so that a library that is not installed or not yet imported need not be. An error's base classes are looked up
too. https://googleapis.dev/python/google-api-core/latest/exceptions.html,
https://googleapis.dev/python/google-auth/latest/reference/google.auth.exceptions.html
"""

from __future__ import annotations

from portable.errors import (
    AlreadyExistsError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)

__all__ = ["TABLE", "kind_of", "translate"]

TABLE: dict[str, type[ServiceError]] = {
    # google.api_core.exceptions, of Pub/Sub
    "NotFound": NotFoundError,
    "AlreadyExists": AlreadyExistsError,
    "FailedPrecondition": PreconditionFailedError,
    "PreconditionFailed": PreconditionFailedError,
    "Forbidden": PermissionDeniedError,
    "Unauthorized": PermissionDeniedError,
    "MethodNotImplemented": UnsupportedError,
    "TooManyRequests": UnavailableError,
    "Cancelled": UnavailableError,
    "Aborted": UnavailableError,
    "RetryError": UnavailableError,
    "ServerError": UnavailableError,
    # google.auth.exceptions
    "TransportError": UnavailableError,
    "TimeoutError": UnavailableError,
    "GoogleAuthError": PermissionDeniedError,
    # requests.exceptions, which google-cloud-storage lets through
    "ConnectionError": UnavailableError,
    "Timeout": UnavailableError,
}


def kind_of(error: type[Exception]) -> type[ServiceError]:
    """The class of ours that stands for a vendor's; ServiceError itself where the table has none."""
    return next((TABLE[base.__name__] for base in error.__mro__ if base.__name__ in TABLE), ServiceError)


def translate(error: Exception, resource: str, key: str | None = None) -> ServiceError:
    """Our error for a vendor's, to be raised from it. ``resource``: kind and declared name."""
    name = type(error).__name__
    return kind_of(type(error))(f"{name}: {error}", resource=resource, key=key)
