"""Azure's errors become ours, by a table that is complete."""

from __future__ import annotations

import azure.core.exceptions
import pytest

from portable.errors import (
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from portable_azure import _sdk
from portable_azure.errors import BY_CLASS, translate

SERVICE_CLASSES = [
    kind
    for kind in vars(azure.core.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, azure.core.exceptions.AzureError)
]


def answered(status: int | None = None, code: str | None = None) -> Exception:
    error = azure.core.exceptions.HttpResponseError("the service said no\nRequestId: 1")
    error.status_code = status
    error.error_code = code
    return error


@pytest.mark.parametrize("kind", SERVICE_CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_the_sdk_has_a_translation(kind: type[Exception]) -> None:
    unspecific = {"AzureError", "DecodeError", "DeserializationError", "SerializationError", "ODataV4Error"}
    unspecific |= {"ResponseNotReadError", "TooManyRedirectsError", "ResourceNotModifiedError"}
    named = any(base.__name__ in BY_CLASS for base in kind.__mro__)
    assert named or kind.__name__ in unspecific


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answered(404, "BlobNotFound"), NotFoundError),
        (answered(403), PermissionDeniedError),
        (answered(412, "ConditionNotMet"), PreconditionFailedError),
        (answered(400, "PopReceiptMismatch"), NotFoundError),
        (answered(503, "ServerBusy"), UnavailableError),
        (answered(413, "RequestBodyTooLarge"), UnsupportedError),
        (answered(418), ServiceError),
        (azure.core.exceptions.ServiceRequestError("no route"), UnavailableError),
        (azure.core.exceptions.ClientAuthenticationError("no identity"), PermissionDeniedError),
        (azure.core.exceptions.AzureError("what"), ServiceError),
    ],
)
def test_translation(error: Exception, ours: type[ServiceError]) -> None:
    translated = translate(error, "bucket uploads", "a.txt")
    assert type(translated) is ours
    assert (translated.resource, translated.key) == ("bucket uploads", "a.txt")
    assert "\n" not in str(translated)


def test_every_code_is_one_the_service_has() -> None:
    from azure.storage.blob import StorageErrorCode as BlobCode
    from azure.storage.queue import StorageErrorCode as QueueCode

    from portable_azure.errors import BY_CODE

    known = {code.value for code in BlobCode} | {code.value for code in QueueCode}
    assert set(BY_CODE) - known <= {"ServerBusy", "TargetConditionNotMet"}


def test_a_connection_that_never_came_about_is_tried_again_and_nothing_else() -> None:
    from azure.servicebus.exceptions import ServiceBusConnectionError, ServiceBusError

    said = "Failed to initiate the connection due to exception: [Errno 104] Connection reset by peer"
    answers: list[Exception | str] = [ServiceBusConnectionError(message=said), "taken"]

    def operation() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert _sdk.bus_call(operation) == "taken"
    answers = [ServiceBusConnectionError(message="the connection was closed while sending"), "never"]
    with pytest.raises(ServiceBusError, match="while sending"):
        _sdk.bus_call(operation)
    answers = [ServiceBusConnectionError(message=said) for _ in range(3)]
    with pytest.raises(ServiceBusConnectionError):
        _sdk.bus_call(operation)
    assert answers == []
