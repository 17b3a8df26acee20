"""The only file that imports Google's libraries and Flask: each inside a function, on first use."""

from __future__ import annotations

from contextlib import suppress

from portable.errors import ConfigError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from portable.events import Response

__all__ = [
    "authorized_session",
    "cloud_event_target",
    "current_request",
    "firestore",
    "firestore_if_version",
    "firestore_path",
    "firestore_range",
    "firestore_replacement",
    "firestore_time",
    "firestore_transaction",
    "firestore_version",
    "http_target",
    "native_response",
    "publisher",
    "read_token",
    "refuse",
    "secret_client",
    "signed_url",
    "storage",
    "subscriber",
    "upload_stream",
]


def _missing(what: str, error: ImportError) -> NoReturn:
    raise ConfigError(
        f"{what} needs a library that is not installed ({error}); pip install 'portable-functions[gcp]'"
    ) from error


# --- Pub/Sub


def publisher(environment: Mapping[str, str]) -> Any:
    """The generated client, which publishes at once: its id means that the message was accepted.

    The other one (``google.cloud.pubsub_v1``) collects messages on a thread, which a frozen instance may never run.
    """
    try:
        from google.pubsub_v1 import PublisherClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    except ImportError as error:
        _missing("a queue on Google Cloud", error)
    return _client(PublisherClient, PublisherGrpcTransport, environment)


def subscriber(environment: Mapping[str, str]) -> Any:
    """The generated client that pulls and acknowledges."""
    try:
        from google.pubsub_v1 import SubscriberClient
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
    except ImportError as error:
        _missing("a queue on Google Cloud", error)
    return _client(SubscriberClient, SubscriberGrpcTransport, environment)


def _client(client: Any, transport: Any, environment: Mapping[str, str]) -> Any:
    emulator = environment.get("PUBSUB_EMULATOR_HOST")
    if not emulator:
        return client()
    from google.auth.credentials import AnonymousCredentials
    from grpc import insecure_channel  # type: ignore[import-untyped]

    channel = insecure_channel(emulator.removeprefix("http://"))
    return client(transport=transport(channel=channel, credentials=AnonymousCredentials()))  # type: ignore[no-untyped-call]


# --- Cloud Storage


def storage(environment: Mapping[str, str]) -> Any:
    """The client of Cloud Storage. It names no project: a bucket's name is enough for all that is done with blobs."""
    try:
        from google.cloud.storage import Client
    except ImportError as error:
        _missing("a bucket on Google Cloud", error)
    emulator = environment.get("STORAGE_EMULATOR_HOST")
    if not emulator:
        return Client(project=None)
    from google.auth.credentials import AnonymousCredentials

    endpoint = emulator if "://" in emulator else f"http://{emulator}"
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return Client(project="emulated", credentials=anonymous, client_options={"api_endpoint": endpoint})


def upload_stream(blob: Any, stream: Any, **options: Any) -> None:
    """A resumable upload in parts of PART_BYTES. One that fails is given up, and nothing of it is ever seen."""
    from google.cloud.storage import Blob

    from portable.drivers.bucket import PART_BYTES

    started: list[Any] = []

    class Upload(Blob):  # type: ignore[misc]
        def _initiate_resumable_upload(self, *args: Any, **known: Any) -> Any:
            found = super()._initiate_resumable_upload(*args, **known)
            started.append(found)
            return found

    blob.__class__ = Upload
    blob.chunk_size = PART_BYTES
    try:
        blob.upload_from_file(stream, **options)
    except BaseException:
        for upload, transport in started:
            with suppress(Exception):  # without it, Cloud Storage forgets the upload after a week
                transport.delete(upload.resumable_url, timeout=options["timeout"])
        raise
    finally:
        blob.__class__ = Blob


def signed_url(blob: Any, environment: Mapping[str, str], **options: Any) -> str:
    """A URL signed by version 4, with the key of a service account, or by IAM where the instance has none."""
    from google.auth.credentials import AnonymousCredentials, Signing
    from google.auth.transport.requests import Request

    credentials = blob.client._credentials
    emulator = environment.get("STORAGE_EMULATOR_HOST")
    key = environment.get("GOOGLE_APPLICATION_CREDENTIALS")
    if isinstance(credentials, AnonymousCredentials) and key:
        from google.oauth2.service_account import Credentials

        credentials = Credentials.from_service_account_file(key)  # type: ignore[no-untyped-call]
    if emulator:
        options["api_access_endpoint"] = emulator if "://" in emulator else f"http://{emulator}"
    if not isinstance(credentials, Signing):
        if not hasattr(credentials, "service_account_email"):
            raise UnsupportedError(
                "these credentials cannot sign a URL: a service account can, with its key or by IAM "
                "(GOOGLE_APPLICATION_CREDENTIALS names a file with a key)"
            )
        if not credentials.valid:
            credentials.refresh(Request())
        options |= {"service_account_email": credentials.service_account_email, "access_token": credentials.token}
    made: str = blob.generate_signed_url(version="v4", credentials=credentials, **options)
    return made


# --- Firestore


def firestore(project: str, database: str, environment: Mapping[str, str]) -> Any:
    """A client of one database."""
    try:
        from google.cloud.firestore import Client
    except ImportError as error:
        _missing("a table on Google Cloud", error)
    emulator = environment.get("FIRESTORE_EMULATOR_HOST")
    if not emulator:
        return Client(project=project, database=database)
    from google.auth.credentials import AnonymousCredentials

    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    client = Client(project=project, database=database, credentials=anonymous)
    client._emulator_host = emulator.removeprefix("http://")  # it looks into the process's environment alone
    return client


def firestore_range(collection: Any, field: str, low: bytes, high: bytes, limit: int, *, reverse: bool) -> Any:
    """A query of the documents whose field is from ``low`` to below ``high``, in order of it."""
    from google.cloud.firestore import FieldFilter

    found = collection.where(filter=FieldFilter(field, ">=", low)).where(filter=FieldFilter(field, "<", high))
    return found.order_by(field, direction="DESCENDING" if reverse else "ASCENDING").limit(limit)


def firestore_path(*names: str) -> str:
    """How a query names a field within a map."""
    from google.cloud.firestore_v1.field_path import FieldPath

    return str(FieldPath(*names).to_api_repr())


def firestore_version(time: Any) -> str:
    """A document's update time, exactly."""
    exact = time if hasattr(time, "nanos") else time.timestamp_pb()
    return f"{exact.seconds}.{exact.nanos:09}"


def firestore_if_version(version: str) -> Any:
    """The option of a write for a document with this version. Raises ValueError for what is none."""
    from google.cloud.firestore_v1.client import Client
    from google.protobuf.timestamp_pb2 import Timestamp

    seconds, _, nanos = version.partition(".")
    if not (version.isascii() and seconds.isdigit() and nanos.isdigit() and len(seconds) < 12 and len(nanos) == 9):
        raise ValueError(version)
    return Client.write_option(last_update_time=Timestamp(seconds=int(seconds), nanos=int(nanos)))


def firestore_replacement(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for an update that leaves nothing of the document before: Firestore has no conditional set."""
    from google.cloud.firestore import DELETE_FIELD

    return {"ttl": DELETE_FIELD, **data}


def firestore_time(seconds: int) -> Any:
    """A timestamp."""
    from datetime import UTC, datetime, timedelta

    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def firestore_transaction(client: Any, work: Callable[[Any], None], attempts: int) -> list[Any]:
    """Run ``work`` in a transaction, again when it met another, and give the results of its writes.

    The library begins anew where the commit was aborted, this also where a read was.
    """
    from random import random
    from time import sleep

    from google.api_core.exceptions import Aborted
    from google.cloud.firestore import transactional

    for attempt in range(1, attempts + 1):
        transaction = client.transaction(max_attempts=1)
        try:
            transactional(work)(transaction)
        except (Aborted, ValueError) as error:
            met = error if isinstance(error, Aborted) else error.__cause__
            if not isinstance(met, Aborted):
                raise
            if attempt == attempts:
                raise met from error
            sleep(random() * min(0.01 * 2**attempt, 1.0))  # noqa: S311 - that two do not meet again
        else:
            return list(transaction.write_results)
    raise AssertionError("at least one attempt")


# --- Secret Manager


def secret_client(environment: Mapping[str, str]) -> Any:
    """The client of Secret Manager, over HTTP: no channel has to outlive a frozen instance, and one call needs none.

    ``SECRET_MANAGER_EMULATOR_HOST`` leads to a stand-in, without credentials. Google has no emulator of its own.
    """
    try:
        from google.cloud.secretmanager_v1 import SecretManagerServiceClient
        from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
            SecretManagerServiceRestTransport,
        )
    except ImportError as error:
        _missing("a secret on Google Cloud", error)
    emulator = environment.get("SECRET_MANAGER_EMULATOR_HOST")
    if not emulator:
        return SecretManagerServiceClient(transport="rest")
    from google.auth.credentials import AnonymousCredentials

    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    transport = SecretManagerServiceRestTransport(
        host=emulator.removeprefix("http://"), url_scheme="http", credentials=anonymous
    )
    return SecretManagerServiceClient(transport=transport)


# --- identity


def authorized_session() -> Any:
    """A session of ``requests`` that bears Application Default Credentials. Raises ConfigError where there are none."""
    try:
        from google.auth import default
        from google.auth.exceptions import DefaultCredentialsError
        from google.auth.transport.requests import AuthorizedSession
    except ImportError as error:
        _missing("a deployment to Google Cloud", error)
    try:
        credentials, _ = default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except DefaultCredentialsError as error:
        raise ConfigError(
            f"no credentials for Google Cloud: gcloud auth application-default login ({error})"
        ) from error
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


def read_token(token: str, certificates: Mapping[str, str] | None, audience: str) -> Mapping[str, Any]:
    """The claims of an OIDC token. Raises ValueError unless signature, audience and times hold.

    ``certificates``: PEM by key id. None reads the claims without a signature, for a token whose signature Cloud Run
    has checked and removed; times are checked all the same, and the audience unless it is empty.
    """
    try:
        from google.auth import exceptions, jwt
    except ImportError as error:
        _missing("the check of a caller's OIDC token", error)
    try:
        if certificates is not None:
            claims: Mapping[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]
                token, certificates, audience=audience, clock_skew_in_seconds=10
            )
            return claims
        claims = jwt.decode(token, verify=False)  # type: ignore[no-untyped-call]
    except (exceptions.GoogleAuthError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{error}") from error
    from time import time

    if audience and claims.get("aud") != audience:
        raise ValueError(f"Token has wrong audience {claims.get('aud')!r}")
    if not isinstance(claims.get("exp"), (int, float)) or claims["exp"] + 10 < time():
        raise ValueError("Token expired")
    return claims


# --- functions-framework, which is Flask


def http_target(target: Callable[..., Any], name: str) -> Any:
    """``target`` known to functions-framework by ``name`` as taking HTTP requests, whatever its flags say.

    Requests that its own routes turn away before the target (``//a``, ``/robots.txt``, ``/favicon.ico``) reach it too:
    what an app answers must not hang on the server's taste.
    """
    try:
        from flask import current_app, has_app_context, request
        from functions_framework import http
    except ImportError as error:
        _missing("a function on Google Cloud", error)
    target.__name__ = target.__qualname__ = name
    if has_app_context():

        def turned_away() -> Any:
            if request.routing_exception is None and request.endpoint == "run":
                return None
            return target(current_request())

        current_app.before_request(turned_away)
    return http(target)


def cloud_event_target(target: Callable[..., Any], name: str) -> Any:
    """``target`` known to functions-framework by ``name`` as taking CloudEvents.

    An event whose data is not what its content type says is a 400; functions-framework alone would answer 500, and
    Eventarc deliver it again and again.
    """
    try:
        from cloudevents.exceptions import GenericException
        from flask import current_app, has_app_context
        from functions_framework import cloud_event
    except ImportError as error:
        _missing("a function on Google Cloud", error)
    target.__name__ = target.__qualname__ = name
    if has_app_context():

        def malformed(error: Exception) -> Any:
            from portable.http.answers import problem

            refused = problem(400, f"not a CloudEvent: {error}")
            return native_response(refused, refused.body)

        current_app.register_error_handler(GenericException, malformed)
    return cloud_event(target)


def current_request() -> Any:
    """The Flask request under way."""
    from flask import request

    return request._get_current_object()  # type: ignore[attr-defined]


def native_response(response: Response, body: Any) -> Any:
    """A portable Response as Flask's, its body str, bytes, None or an iterator of bytes that has ``close``."""
    from flask import Response as FlaskResponse

    pairs = response.header_pairs()
    answer = FlaskResponse(body, response.status, pairs)
    if not any(name == "content-type" for name, _ in pairs):
        del answer.headers["Content-Type"]  # Flask adds text/html where nothing is said
    return answer


def refuse(response: Response) -> NoReturn:
    """End the request with this answer, from where functions-framework takes none."""
    from werkzeug.exceptions import HTTPException

    raise HTTPException(response=native_response(response, response.body))
