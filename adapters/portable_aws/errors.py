"""AWS's errors as ours, in one table."""

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

__all__ = ["BY_CODE", "BY_TYPE", "code_of", "translate"]

_MISSING = NotFoundError
_DENIED = PermissionDeniedError
_BUSY = UnavailableError
_UNFIT = UnsupportedError

BY_CODE: dict[str, type[ServiceError]] = {
    # S3
    "NoSuchBucket": _MISSING,
    "NoSuchKey": _MISSING,
    "NoSuchVersion": _MISSING,
    "NoSuchUpload": _BUSY,  # the bucket's lifecycle rule gave the upload up; from the start it can succeed
    "NotFound": _MISSING,
    "404": _MISSING,  # HeadObject has no body, and botocore gives the status for a code
    "PreconditionFailed": PreconditionFailedError,
    "412": PreconditionFailedError,
    "ConditionalRequestConflict": _BUSY,
    "OperationAborted": _BUSY,
    "SlowDown": _BUSY,
    "InternalError": _BUSY,
    "RequestTimeout": _BUSY,
    "EntityTooLarge": _UNFIT,
    "EntityTooSmall": _UNFIT,
    "KeyTooLongError": _UNFIT,
    "MetadataTooLarge": _UNFIT,
    "NotImplemented": _UNFIT,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "InvalidObjectState": _DENIED,
    # SQS
    "QueueDoesNotExist": _MISSING,
    "AWS.SimpleQueueService.NonExistentQueue": _MISSING,
    "AWS.SimpleQueueService.QueueDeletedRecently": _BUSY,
    "QueueDeletedRecently": _BUSY,
    "OverLimit": _BUSY,
    "PurgeQueueInProgress": _BUSY,
    "AWS.SimpleQueueService.PurgeQueueInProgress": _BUSY,
    "BatchRequestTooLong": _UNFIT,
    "AWS.SimpleQueueService.BatchRequestTooLong": _UNFIT,
    "InvalidMessageContents": _UNFIT,
    "UnsupportedOperation": _UNFIT,
    "AWS.SimpleQueueService.UnsupportedOperation": _UNFIT,
    "KmsAccessDenied": _DENIED,
    "KMS.AccessDeniedException": _DENIED,
    "KmsDisabled": _DENIED,
    "KmsInvalidKeyUsage": _DENIED,
    "KmsInvalidState": _DENIED,
    "KmsNotFound": _DENIED,
    "KmsOptInRequired": _DENIED,
    "KmsThrottled": _BUSY,
    # SNS
    "AuthorizationError": _DENIED,
    "EndpointDisabled": _DENIED,
    "KMSAccessDenied": _DENIED,
    "KMSDisabled": _DENIED,
    "KMSInvalidState": _DENIED,
    "KMSNotFound": _DENIED,
    "KMSOptInRequired": _DENIED,
    "KMSThrottling": _BUSY,
    "PlatformApplicationDisabled": _DENIED,
    "Throttled": _BUSY,
    # DynamoDB
    "ResourceNotFoundException": _MISSING,
    "ConditionalCheckFailedException": PreconditionFailedError,
    "InternalServerError": _BUSY,
    "ItemCollectionSizeLimitExceededException": _UNFIT,
    "LimitExceededException": _BUSY,
    "ProvisionedThroughputExceededException": _BUSY,
    "ReplicatedWriteConflictException": _BUSY,
    "ResourceInUseException": _BUSY,
    "TransactionConflictException": _BUSY,
    "TransactionInProgressException": _BUSY,
    # Kinesis
    "InvalidArgumentException": _UNFIT,  # a record beyond the stream's own MaxRecordSize
    "ExpiredIteratorException": _BUSY,
    "InternalFailureException": _BUSY,
    "KMSAccessDeniedException": _DENIED,
    "KMSDisabledException": _DENIED,
    "KMSInvalidStateException": _DENIED,
    "KMSNotFoundException": _DENIED,
    "KMSThrottlingException": _BUSY,
    # Secrets Manager and Parameter Store
    "InvalidRequestException": _MISSING,  # of GetSecretValue: marked for deletion, or without a current version
    "ParameterNotFound": _MISSING,
    "ParameterVersionNotFound": _MISSING,
    "DecryptionFailure": _DENIED,
    "InvalidKeyId": _DENIED,
    "InternalServiceError": _BUSY,
    # connections of a WebSocket API
    "GoneException": _MISSING,
    "410": _MISSING,
    "ForbiddenException": _DENIED,
    "PayloadTooLargeException": _UNFIT,
    # any
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "403": _DENIED,
    "AuthFailure": _DENIED,
    "ExpiredToken": _DENIED,
    "ExpiredTokenException": _DENIED,
    "InvalidAccessKeyId": _DENIED,
    "InvalidClientTokenId": _DENIED,
    "InvalidSecurity": _DENIED,
    "InvalidToken": _DENIED,
    "MissingAuthenticationToken": _DENIED,
    "OptInRequired": _DENIED,
    "RequestTimeTooSkewed": _DENIED,
    "SignatureDoesNotMatch": _DENIED,
    "UnrecognizedClientException": _DENIED,
    "InternalFailure": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "RequestThrottled": _BUSY,
    "ServiceUnavailable": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "TooManyRequestsException": _BUSY,
}
"""By the code in an answer of AWS."""

BY_TYPE: dict[str, type[ServiceError]] = {
    "NoCredentialsError": _DENIED,
    "PartialCredentialsError": _DENIED,
    "CredentialRetrievalError": _DENIED,
    "TokenRetrievalError": _DENIED,
    "HTTPClientError": _BUSY,  # ConnectionError and the timeouts are subclasses, or named here
    "ConnectionError": _BUSY,
    "IncompleteReadError": _BUSY,
    "ResponseStreamingError": _BUSY,
    "FlexibleChecksumError": _BUSY,
}
"""By the name of a class of botocore's, for what fails before or after an answer."""


def code_of(error: BaseException | None) -> str:
    """The code in the answer an error of botocore's stands for, else ""."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def translate(error: BaseException, resource: str, key: str | None = None) -> Exception:
    """Ours for a vendor's error, to be raised ``from`` it. An unknown one becomes a plain ServiceError.

    A ConfigError passes through.
    """
    if isinstance(error, (ServiceError, ConfigError)):
        return error
    response = getattr(error, "response", None)
    kind: type[ServiceError] = ServiceError
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = (
            BY_CODE.get(code_of(error))
            or BY_CODE.get(str(status))
            or (_BUSY if status >= 500 or status == 429 else kind)
        )
    else:
        for base in type(error).__mro__:
            if base.__name__ in BY_TYPE:
                kind = BY_TYPE[base.__name__]
                break
    return kind(str(error) or type(error).__name__, resource=resource, key=key)
