"""Every figure that botocore's service models hold still agrees with them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from portable.resources.table_options import INDEXES
from portable.resources.transaction import OPERATIONS
from portable_aws import limits

botocore_session = pytest.importorskip("botocore.session")


@pytest.fixture(scope="module")
def text() -> Any:
    """The documentation of a parameter, or of an operation, as words."""
    session = botocore_session.Session()

    def read(service: str, operation: str, parameter: str | None = None) -> str:
        model = session.get_service_model(service).operation_model(operation)
        html = model.documentation if parameter is None else model.input_shape.members[parameter].documentation
        return " ".join(re.sub(r"<[^>]+>", " ", html).split())

    return read


def test_lambda(text: Any) -> None:
    shape = botocore_session.Session().get_service_model("lambda").shape_for
    assert f"the maximum allowed value is {limits.FUNCTION_SECONDS} seconds" in text(
        "lambda", "CreateFunction", "Timeout"
    )
    assert shape("MemorySize").metadata["min"] == limits.MEMORY_LEAST
    assert shape("MemorySize").metadata["max"] >= limits.MEMORY_LARGEST
    size = shape("EphemeralStorageSize").metadata
    assert size["min"] == limits.STORAGE_LEAST
    assert size["max"] >= limits.STORAGE_LARGEST
    megabytes = limits.LAMBDA_PAYLOAD_BYTES // 1024**2
    assert f"For synchronous invocations, the maximum payload size is {megabytes} MB" in text("lambda", "Invoke")
    assert {f"python{version}" for version in limits.PYTHONS} <= set(shape("Runtime").enum)


def test_http(text: Any) -> None:
    words = text("apigatewayv2", "CreateIntegration", "TimeoutInMillis")
    assert f"50 and {limits.HTTP_API_SECONDS},000 milliseconds for HTTP APIs" in words
    words = text("apigateway", "PutIntegration", "timeoutInMillis")
    assert f"50 and {limits.REST_API_SECONDS},000 milliseconds" in words
    assert f"longer than {limits.REST_API_SECONDS} seconds for Regional or private APIs" in words


def test_schedules() -> None:
    shape = botocore_session.Session().get_service_model("scheduler").shape_for
    assert shape("ScheduleExpression").metadata["max"] == limits.SCHEDULE_CHARACTERS
    rule = botocore_session.Session().get_service_model("events").shape_for("ScheduleExpression")
    assert rule.metadata["max"] == limits.SCHEDULE_CHARACTERS


def test_sockets() -> None:
    session = botocore_session.Session()
    timeout = session.get_service_model("apigatewayv2").operation_model("CreateIntegration").input_shape
    assert timeout.members["TimeoutInMillis"].metadata["max"] >= limits.SOCKET_SECONDS * 1000
    words = timeout.members["TimeoutInMillis"].documentation
    assert f"{limits.SOCKET_SECONDS},000 milliseconds for WebSocket APIs" in " ".join(words.split())
    post = session.get_service_model("apigatewaymanagementapi").operation_model("PostToConnection").input_shape
    assert post.members["Data"].metadata["max"] == limits.SOCKET_BYTES


def test_sqs(text: Any) -> None:
    assert f"{limits.MESSAGE_BYTES:,} bytes" in text("sqs", "SendMessage", "MessageBody")
    assert f"{limits.BATCH_BYTES:,} bytes" in text("sqs", "SendMessageBatch")
    assert f"up to {limits.BATCH_MESSAGES} messages" in text("sqs", "SendMessageBatch")
    assert f"Valid values: 1 to {limits.BATCH_MESSAGES}." in text("sqs", "ReceiveMessage", "MaxNumberOfMessages")
    assert f"Valid values: 0 to {limits.DELAY_SECONDS}." in text("sqs", "SendMessage", "DelaySeconds")
    words = text("sqs", "ChangeMessageVisibility", "VisibilityTimeout")
    assert re.search(rf"Values range: 0 to {limits.VISIBILITY_SECONDS} ", words)
    words = text("sqs", "CreateQueue", "Attributes").partition("ReceiveMessageWaitTimeSeconds")[2]
    assert f"Valid values: An integer from 0 to {limits.RECEIVE_WAIT_SECONDS} (seconds)" in words


def test_dynamodb() -> None:
    shape = botocore_session.Session().get_service_model("dynamodb").shape_for
    assert shape("KeyList").metadata["max"] == limits.KEYS_READ
    assert shape("TransactWriteItemList").metadata["max"] == limits.TRANSACTION_WRITES == OPERATIONS
    events = botocore_session.Session().get_service_model("lambda").shape_for("BatchSize")
    assert events.metadata["max"] == limits.CHANGE_EVENT_BATCH
    assert limits.TABLE_INDEXES == INDEXES


def test_sns(text: Any) -> None:
    assert f"By default, a message can be at most 256 KiB in size ({limits.TOPIC_BYTES:,} bytes" in text(
        "sns", "Publish", "Message"
    )
    words = text("sns", "PublishBatch")
    assert f"are both 256 KiB ({limits.TOPIC_BYTES:,} bytes)" in words
    assert f"up to {limits.BATCH_MESSAGES} messages" in words


def test_sqs_to_lambda(text: Any) -> None:
    words = text("lambda", "CreateEventSourceMapping", "BatchSize").partition("Amazon Simple Queue Service")[2]
    assert f"For standard queues the max is {limits.EVENT_BATCH:,}" in words
    assert f"For FIFO queues the max is {limits.FIFO_EVENT_BATCH}" in words
    words = text("lambda", "CreateEventSourceMapping", "MaximumBatchingWindowInSeconds")
    assert (
        f"greater than {limits.EVENT_BATCH_WITHOUT_WINDOW}, you must set MaximumBatchingWindowInSeconds to at least 1"
        in words
    )


def test_cloudformation(text: Any) -> None:
    words = text("cloudformation", "CreateChangeSet", "TemplateBody")
    assert f"maximum length of {limits.TEMPLATE_INLINE_BYTES:,} bytes" in words
    words = text("cloudformation", "CreateChangeSet", "TemplateURL")
    assert f"max size: {limits.TEMPLATE_BYTES // 1024**2} MB" in words


def test_every_figure_is_listed() -> None:
    assert sorted(limits.__all__) == sorted(name for name in vars(limits) if name.isupper())
