"""Every error of Google's libraries has a place in the table, or is a plain ServiceError on purpose."""

from __future__ import annotations

from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import pytest
import requests.exceptions

from portable import errors
from portable_gcp.errors import TABLE, kind_of, translate
from portable_gcp.plugin import portable_adapters

# What says that this framework asked for something wrong, and means nothing to whoever called it.
PLAIN = {
    "GoogleAPIError",
    "GoogleAPICallError",
    "DuplicateCredentialArgs",
    "Redirection",
    "MovedPermanently",
    "NotModified",
    "TemporaryRedirect",
    "ResumeIncomplete",
    "ClientError",
    "BadRequest",
    "InvalidArgument",
    "OutOfRange",
    "MethodNotAllowed",
    "Conflict",
    "LengthRequired",
    "RequestRangeNotSatisfiable",
    "AsyncRestUnsupportedParameterError",
    "ResumableTransferError",
    "TransferStalledError",
    "UnseekableStreamError",
    "UploadCancelledError",
    "MissingStatusHeaderError",
}


@pytest.mark.parametrize("module", [google.api_core.exceptions, google.auth.exceptions], ids=lambda m: m.__name__)
def test_the_table_is_complete(module: Any) -> None:
    for name, found in vars(module).items():
        if isinstance(found, type) and issubclass(found, Exception) and found.__module__ == module.__name__:
            assert (kind_of(found) is errors.ServiceError) == (name in PLAIN), name


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (google.api_core.exceptions.NotFound, errors.NotFoundError),
        (google.api_core.exceptions.AlreadyExists, errors.AlreadyExistsError),
        (google.api_core.exceptions.PreconditionFailed, errors.PreconditionFailedError),
        (google.api_core.exceptions.PermissionDenied, errors.PermissionDeniedError),
        (google.api_core.exceptions.Unauthenticated, errors.PermissionDeniedError),
        (google.api_core.exceptions.ResourceExhausted, errors.UnavailableError),
        (google.api_core.exceptions.ServiceUnavailable, errors.UnavailableError),
        (google.api_core.exceptions.DeadlineExceeded, errors.UnavailableError),
        (google.api_core.exceptions.MethodNotImplemented, errors.UnsupportedError),
        (google.auth.exceptions.DefaultCredentialsError, errors.PermissionDeniedError),
        (google.auth.exceptions.TransportError, errors.UnavailableError),
        (requests.exceptions.ConnectionError, errors.UnavailableError),
        (requests.exceptions.ReadTimeout, errors.UnavailableError),
        (ValueError, errors.ServiceError),
    ],
)
def test_translations(error: type[Exception], kind: type[errors.ServiceError]) -> None:
    assert kind_of(error) is kind


def test_the_message_names_resource_and_key() -> None:
    found = translate(google.api_core.exceptions.NotFound("gone"), "bucket uploads", "in/a.png")
    assert str(found) == "bucket uploads, key 'in/a.png': NotFound: 404 gone"


def test_every_row_is_used() -> None:
    modules = (google.api_core.exceptions, google.auth.exceptions, requests.exceptions)
    names = {name for module in modules for name in vars(module)}
    assert set(TABLE) <= names


def test_the_plugin() -> None:
    [adapter] = portable_adapters()
    assert (adapter.name, adapter.package) == ("gcp", "portable_gcp")
    assert adapter.build.name == "gcp"
    assert adapter.samples.batch_limit == 1
    assert "pubsub-emulator" in adapter.run.emulators
