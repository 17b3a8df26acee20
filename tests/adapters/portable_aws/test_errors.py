"""The table of AWS's errors."""

from __future__ import annotations

from typing import Any

import pytest

from portable import errors
from portable_aws.errors import BY_CODE, BY_TYPE, code_of, translate

exceptions = pytest.importorskip("botocore.exceptions")
botocore_session = pytest.importorskip("botocore.session")


def answered(code: str, status: int = 400) -> Any:
    return exceptions.ClientError(
        {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation"
    )


@pytest.mark.parametrize("code", BY_CODE)
def test_codes(code: str) -> None:
    error = translate(answered(code), "bucket uploads", "a")
    assert type(error) is BY_CODE[code]
    assert str(error).startswith("bucket uploads, key 'a': ")
    assert code_of(answered(code)) == code


def test_every_error_of_the_operations_in_use_is_in_the_table() -> None:
    operations = {
        "s3": ("PutObject", "GetObject", "HeadObject", "DeleteObject", "ListObjectsV2"),
        "sqs": (
            *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage"),
            *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
        ),
        "kinesis": ("PutRecords", "GetRecords", "GetShardIterator", "ListShards"),
        "sns": ("Publish", "PublishBatch"),
        "secretsmanager": ("GetSecretValue",),
        "ssm": ("GetParameter",),
        "dynamodb": (
            *("GetItem", "BatchGetItem", "Query", "Scan"),
            *("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"),
        ),
    }
    # Mistakes of the caller, which the drivers do not make or expect by name.
    ours = {
        "DryRunOperationException",
        "ExpiredNextTokenException",
        "InvalidParameter",
        "InvalidParameterException",
        "ParameterValueInvalid",
        "ValidationException",
        "BatchEntryIdsNotDistinct",
        "EmptyBatchRequest",
        "InvalidAddress",
        "InvalidBatchEntryId",
        "InvalidIdFormat",
        "InvalidRequest",
        "InvalidWriteOffset",
        "EncryptionTypeMismatch",
        "TooManyEntriesInBatchRequest",
        "TooManyParts",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
        "IdempotentParameterMismatchException",
        "TransactionCanceledException",  # the driver reads its reasons
    }
    declared = {
        shape.error_code if service == "sns" else shape.name  # whose protocol gives codes, not names
        for service, names in operations.items()
        for name in names
        for shape in botocore_session.Session().get_service_model(service).operation_model(name).error_shapes
    }
    assert declared - ours - set(BY_CODE) == set()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.NoCredentialsError(), errors.PermissionDeniedError),
        (exceptions.EndpointConnectionError(endpoint_url="x"), errors.UnavailableError),
        (exceptions.ConnectTimeoutError(endpoint_url="x"), errors.UnavailableError),
        (exceptions.ReadTimeoutError(endpoint_url="x"), errors.UnavailableError),
        (exceptions.ConnectionClosedError(endpoint_url="x"), errors.UnavailableError),
        (exceptions.SSLError(endpoint_url="x", error="y"), errors.UnavailableError),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), errors.UnavailableError),
        (answered("Unheard", 503), errors.UnavailableError),
        (answered("Unheard", 429), errors.UnavailableError),
        (answered("Unheard", 403), errors.PermissionDeniedError),
        (answered("Unheard", 404), errors.NotFoundError),
        (answered("Unheard", 400), errors.ServiceError),
        (RuntimeError("odd"), errors.ServiceError),
    ],
)
def test_kinds(error: Exception, kind: type[Exception]) -> None:
    translated = translate(error, "queue emails")
    assert type(translated) is kind
    assert "queue emails: " in str(translated)


def test_ours_pass_through() -> None:
    error = errors.ConfigError("no SDK")
    assert translate(error, "queue emails") is error


def test_the_named_classes_exist() -> None:
    assert {name for name in BY_TYPE if not hasattr(exceptions, name)} == set()
