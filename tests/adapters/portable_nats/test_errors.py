"""Every error of NATS's client has a place in the table, or is a plain ServiceError on purpose."""

from __future__ import annotations

from typing import Any

import nats.errors
import pytest

from portable import errors
from portable_nats._sdk import JetStreamError, PermissionsViolation
from portable_nats.errors import BY_CODE, kind_of, translate

# What says that this adapter used the client wrongly, and means nothing to whoever called it.
PLAIN = {
    "BadHeaderError",
    "BadSubjectError",
    "BadSubscriptionError",
    "BadTimeoutError",
    "Error",
    "InvalidCallbackTypeError",
    "JsonParseError",
    "MsgAlreadyAckdError",
    "NotJSMessageError",
    "ProtocolError",
    "SecureConnFailedError",
    "SecureConnRequiredError",
    "SecureConnWantedError",
    "ServerNotInPoolError",
}


def test_the_table_is_complete() -> None:
    for name, found in vars(nats.errors).items():
        if isinstance(found, type) and issubclass(found, Exception) and found.__module__ == "nats.errors":
            assert (kind_of(found) is None) == (name in PLAIN), name


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"code": 404, "err_code": 10059, "description": "stream not found"}, errors.NotFoundError),
        ({"code": 400, "err_code": 10071, "description": "wrong last sequence: 7"}, errors.PreconditionFailedError),
        ({"code": 503, "err_code": 10008, "description": "temporarily unavailable"}, errors.UnavailableError),
        ({"code": 500, "err_code": 10047, "description": "insufficient storage"}, errors.UnsupportedError),
        ({"code": 404, "err_code": 99999, "description": "a new kind of not found"}, errors.NotFoundError),
        ({"code": 400, "err_code": 10003, "description": "bad request"}, errors.ServiceError),
        ({}, errors.UnavailableError),
    ],
)
def test_answers_of_jetstream(answer: dict[str, Any], kind: type[Exception]) -> None:
    error = translate(JetStreamError(answer), "bucket uploads", "a")
    assert type(error) is kind
    assert "bucket uploads, key 'a'" in str(error)
    assert str(answer.get("err_code", "")) in str(error)


def test_what_is_not_ours_to_translate() -> None:
    for error in (errors.ConfigError("no address"), errors.NotFoundError("gone"), TypeError("a key"), ValueError("b")):
        assert translate(error, "queue emails") is error
    assert type(translate(PermissionsViolation("no"), "queue emails")) is errors.PermissionDeniedError
    assert type(translate(ConnectionResetError(), "queue emails")) is errors.UnavailableError
    assert type(translate(TimeoutError(), "queue emails")) is errors.UnavailableError
    assert type(translate(RuntimeError("?"), "queue emails")) is errors.ServiceError
    assert len(BY_CODE) > 10
