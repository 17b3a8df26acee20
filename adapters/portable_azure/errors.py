"""Azure's errors in ours: one table by the service's error code, one by HTTP status, one by the SDK's class.

Read by name and number, so that nothing of the SDK is imported to ask.
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["BY_CLASS", "BY_CODE", "BY_COSMOS", "BY_STATUS", "code_of", "translate"]

# Codes that say more than their status. https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
BY_CODE: dict[str, type[ServiceError]] = {
    "BlobAlreadyExists": AlreadyExistsError,
    "ContainerBeingDeleted": NotFoundError,
    "ContainerDisabled": UnavailableError,
    "FeatureVersionMismatch": UnsupportedError,
    "InternalError": UnavailableError,
    "LeaseIdMissing": PreconditionFailedError,
    "MessageTooLarge": UnsupportedError,
    "OperationTimedOut": UnavailableError,
    "PopReceiptMismatch": NotFoundError,
    "QueueBeingDeleted": NotFoundError,
    "QueueDisabled": UnavailableError,
    "RequestBodyTooLarge": UnsupportedError,
    "ServerBusy": UnavailableError,
    "SnapshotsPresent": PreconditionFailedError,
    "TargetConditionNotMet": PreconditionFailedError,
}

BY_STATUS: dict[int, type[ServiceError]] = {
    401: PermissionDeniedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: UnavailableError,
    409: PreconditionFailedError,
    410: UnavailableError,  # Cosmos DB: a partition moves
    412: PreconditionFailedError,
    413: UnsupportedError,
    429: UnavailableError,
    449: UnavailableError,  # Cosmos DB: two writes met, and neither won
    500: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}

# Where no answer came, the class says what happened.
BY_CLASS: dict[str, type[ServiceError]] = {
    "AutoLockRenewFailed": NotFoundError,
    "AutoLockRenewTimeout": NotFoundError,
    "ClientAuthenticationError": PermissionDeniedError,
    "CredentialUnavailableError": PermissionDeniedError,
    "HttpResponseError": ServiceError,
    "IncompleteReadError": UnavailableError,
    "MessageAlreadySettled": NotFoundError,
    "MessageLockLostError": NotFoundError,
    "MessageNotFoundError": NotFoundError,
    "MessageSizeExceededError": UnsupportedError,
    "MessagingEntityAlreadyExistsError": AlreadyExistsError,
    "MessagingEntityDisabledError": UnavailableError,
    "MessagingEntityNotFoundError": NotFoundError,
    "OperationTimeoutError": UnavailableError,
    "ResourceExistsError": AlreadyExistsError,
    "ResourceModifiedError": PreconditionFailedError,
    "ResourceNotFoundError": NotFoundError,
    "ServiceBusAuthenticationError": PermissionDeniedError,
    "ServiceBusAuthorizationError": PermissionDeniedError,
    "ServiceBusCommunicationError": UnavailableError,
    "ServiceBusConnectionError": UnavailableError,
    "ServiceBusError": ServiceError,
    "ServiceBusQuotaExceededError": UnavailableError,
    "ServiceBusServerBusyError": UnavailableError,
    "ServiceRequestError": UnavailableError,
    "ServiceRequestTimeoutError": UnavailableError,
    "ServiceResponseError": UnavailableError,
    "ServiceResponseTimeoutError": UnavailableError,
    "SessionCannotBeLockedError": UnavailableError,
    "SessionLockLostError": NotFoundError,
    "StreamClosedError": UnavailableError,
    "StreamConsumedError": UnavailableError,
}


# Classes of azure-cosmos that say more than their status.
# https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb
BY_COSMOS: dict[str, type[ServiceError]] = {
    "CosmosClientTimeoutError": UnavailableError,
    "CosmosResourceExistsError": AlreadyExistsError,
}


def code_of(error: Exception) -> str:
    """The service's error code (``BlobNotFound``), "" where there is none."""
    code: Any = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def translate(error: Exception, resource: str, key: str | None = None) -> ServiceError:
    """An error of the SDK as one of ours, to be raised ``from`` it. What is unknown is a plain ServiceError."""
    kind = BY_CODE.get(code_of(error)) or BY_COSMOS.get(type(error).__name__)
    if kind is None:
        # Service Bus says 404 while it is asked for access: its SDK wraps that in an error of authentication.
        wrapped = getattr(error, "inner_exception", None)
        status = getattr(error, "status_code", None) or getattr(wrapped, "status_code", None)
        kind = BY_STATUS.get(status) if isinstance(status, int) else None
    if kind is None:
        names = (base.__name__ for base in type(error).__mro__)
        kind = next((BY_CLASS[name] for name in names if name in BY_CLASS), ServiceError)
    text = str(error).strip().splitlines()
    return kind(text[0] if text else type(error).__name__, resource=resource, key=key)
