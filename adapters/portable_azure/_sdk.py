"""The only file that imports Azure's packages, each inside the function that needs it."""

from __future__ import annotations

from functools import cache
from time import sleep

from portable.errors import ConfigError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import timedelta
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = [
    "account_of",
    "block_list",
    "bus_call",
    "bus_client",
    "bus_message",
    "container_client",
    "content_settings",
    "cosmos_container",
    "cosmos_if_match",
    "cosmos_query",
    "error_class",
    "http_response",
    "if_changed",
    "make_cosmos_container",
    "next_session",
    "parse_bus_address",
    "pubsub_client",
    "queue_client",
    "readable_url",
    "secret_client",
    "signed_url",
    "unless_changed",
    "unless_source_changed",
    "unless_there",
]

CONNECT_SECONDS = 5
READ_SECONDS = 30
RANGE_BYTES = 2 * 1024 * 1024

CONNECTION_VARIABLES = ("AzureWebJobsStorage", "AZURE_STORAGE_CONNECTION_STRING")
"""Connection strings whose key is used for addresses in their account; else the managed identity is."""


BUS_VARIABLES = ("AzureWebJobsServiceBus", "AZURE_SERVICEBUS_CONNECTION_STRING")
"""Connection strings used for the namespace they name; else the managed identity is."""

_NOT_CONNECTED = "Failed to initiate the connection"  # azure-servicebus 7.15.0, in a ServiceBusConnectionError
_PAUSES = (0.1, 0.5)  # seconds


def _missing(package: str, error: ImportError) -> ConfigError:
    return ConfigError(f"{package} is not installed ({error}): pip install 'portable-functions[azure]'")


def http_response() -> Callable[..., Any]:
    """The class of answers that the worker encodes."""
    from azure.functions import HttpResponse

    made: Callable[..., Any] = HttpResponse
    return made


def asgi_answer(call: Callable[..., Any]) -> Any:
    """A response that the worker's own server takes, and that sends itself by ``call(receive, send)``."""
    try:
        from azurefunctions.extensions.http.fastapi import Response
    except ImportError as error:
        raise _missing("azurefunctions-extensions-http-fastapi", error) from error

    class Answer(Response):  # type: ignore[misc]
        async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
            await call(receive, send)

    return Answer()


def error_class() -> type[Exception]:
    """The base of the SDK's errors."""
    from azure.core.exceptions import AzureError

    base: type[Exception] = AzureError
    return base


def queue_client(address: str, environment: Mapping[str, str]) -> Any:
    """A client of one queue. Raises ConfigError without the SDK."""
    try:
        from azure.storage.queue import QueueClient
    except ImportError as error:
        raise _missing("azure-storage-queue", error) from error
    return QueueClient.from_queue_url(
        address,
        credential=_credential(address, environment),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_total=2,
    )


def parse_bus_address(address: str) -> tuple[str, str]:
    """Namespace and queue of ``sb://NAMESPACE.servicebus.windows.net/QUEUE``. Raises ConfigError."""
    scheme, _, rest = address.partition("://")
    namespace, _, name = rest.strip("/").partition("/")
    if scheme != "sb" or not namespace or not name:
        raise ConfigError(f"{address!r} is not 'sb://NAMESPACE.servicebus.windows.net/QUEUE'")
    return namespace, name


def bus_client(namespace: str, environment: Mapping[str, str]) -> Any:
    """A client of a Service Bus namespace. Raises ConfigError without the SDK.

    No retries: a message whose answer was lost would be sent twice.
    """
    try:
        from azure.servicebus import ServiceBusClient
    except ImportError as error:
        raise _missing("azure-servicebus", error) from error
    options: dict[str, Any] = {"retry_total": 0, "auth_timeout": READ_SECONDS, "socket_timeout": float(CONNECT_SECONDS)}
    for variable in BUS_VARIABLES:
        connection = environment.get(variable, "")
        parts = dict(part.partition("=")[::2] for part in connection.split(";"))
        if parts.get("Endpoint", "").partition("://")[2].strip("/") == namespace:
            return ServiceBusClient.from_connection_string(connection, **options)
    return ServiceBusClient(namespace, _identity(), **options)


def bus_call(operation: Callable[[], T]) -> T:
    """What ``operation`` gives. It is tried again where no connection came about: then nothing has been sent yet."""
    for pause in _PAUSES:
        try:
            return operation()
        except error_class() as error:
            if not str(error).startswith(_NOT_CONNECTED):
                raise
            sleep(pause)
    return operation()


def bus_message(body: str, options: Mapping[str, Any]) -> Any:
    """A message for Service Bus, of JSON."""
    from azure.servicebus import ServiceBusMessage

    return ServiceBusMessage(body, content_type="application/json", **options)


def next_session(wait: float) -> dict[str, Any]:
    """The options of a receiver that takes whichever session comes within ``wait`` seconds."""
    from azure.servicebus import NEXT_AVAILABLE_SESSION

    return {"session_id": NEXT_AVAILABLE_SESSION, "max_wait_time": wait}


def container_client(address: str, environment: Mapping[str, str]) -> Any:
    """A client of one container. Raises ConfigError without the SDK."""
    try:
        from azure.storage.blob import ContainerClient
    except ImportError as error:
        raise _missing("azure-storage-blob", error) from error
    return ContainerClient.from_container_url(
        address,
        credential=_credential(address, environment),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_total=2,
        # What an opened blob holds in memory: twelve times that, as measured, while an answer is read.
        max_single_get_size=RANGE_BYTES,
        max_chunk_get_size=RANGE_BYTES,
    )


def content_settings(content_type: str | None, cache_control: str | None) -> Any:
    """How an upload says its content type and cache control."""
    from azure.storage.blob import ContentSettings

    return ContentSettings(content_type=content_type, cache_control=cache_control)


def block_list(names: Iterable[str]) -> list[Any]:
    """The blocks that make a blob."""
    from azure.storage.blob import BlobBlock

    return [BlobBlock(name) for name in names]


def unless_changed(etag: str) -> dict[str, Any]:
    """The options of a call that has to find this etag."""
    from azure.core import MatchConditions

    return {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}


def if_changed(etag: str) -> dict[str, Any]:
    """The options of a call that has to find another etag."""
    from azure.core import MatchConditions

    return {"etag": f'"{etag}"', "match_condition": MatchConditions.IfModified}


def unless_there() -> dict[str, Any]:
    """The options of a call that has to find nothing."""
    from azure.core import MatchConditions

    return {"match_condition": MatchConditions.IfMissing}


def unless_source_changed(etag: str) -> dict[str, Any]:
    """The options of a copy whose source has to have this etag."""
    from azure.core import MatchConditions

    return {"source_etag": f'"{etag}"', "source_match_condition": MatchConditions.IfNotModified}


def signed_url(blob: Any, environment: Mapping[str, str], method: str, expires: timedelta) -> str:
    """The blob's URL with a shared access signature for one method. Raises UnsupportedError where nothing can sign."""
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas

    plain, _, signature = blob.url.partition("?")
    if signature:
        raise UnsupportedError("the bucket's address bears a signature of its own, with which no other can be made")
    account = account_of(plain)
    key = _account_key(account, environment)
    now = datetime.now(UTC)
    signer: dict[str, Any] = {"account_key": key}
    if key is None:
        service = BlobServiceClient(plain.partition(f"/{blob.container_name}/")[0], credential=blob.credential)
        with service:
            granted = service.get_user_delegation_key(now - timedelta(minutes=5), now + expires)
        signer = {"user_delegation_key": granted}
    allowed = BlobSasPermissions(read=method == "GET", create=method == "PUT", write=method == "PUT")
    sas = generate_blob_sas(
        account, blob.container_name, blob.blob_name, permission=allowed, expiry=now + expires, **signer
    )
    return f"{plain}?{sas}"


def readable_url(blob: Any, environment: Mapping[str, str]) -> str:
    """A URL with which Azure itself reads the blob to copy it."""
    from datetime import timedelta

    if "?" in blob.url:
        url: str = blob.url
        return url
    return signed_url(blob, environment, "GET", timedelta(hours=1))


def account_of(address: str) -> str:
    """The storage account in an address: a label of the host, or of the path where an emulator has it there."""
    host, _, path = address.partition("://")[2].partition("?")[0].partition("/")
    parts = path.strip("/").split("/")
    return parts[0] if len(parts) > 1 else host.partition(".")[0]


def _credential(address: str, environment: Mapping[str, str]) -> Any:
    """None for an address with a signature of its own, the account's key where a connection string has it, else the
    identity of the Function App (or of whoever is logged in).
    """
    if "?" in address:
        return None
    account = account_of(address)
    key = _account_key(account, environment)
    if key is not None:
        from azure.core.credentials import AzureNamedKeyCredential

        return AzureNamedKeyCredential(account, key)
    return _identity()


def _account_key(account: str, environment: Mapping[str, str]) -> str | None:
    for variable in CONNECTION_VARIABLES:
        parts = dict(part.partition("=")[::2] for part in environment.get(variable, "").split(";"))
        if parts.get("AccountName") == account and parts.get("AccountKey"):
            return parts["AccountKey"]
    return None


COSMOS_VARIABLE = "AZURE_COSMOS_CONNECTION_STRING"
"""A connection string whose key is used for addresses in its account; else the managed identity is."""


def cosmos_container(endpoint: str, database: str, container: str, environment: Mapping[str, str]) -> tuple[Any, Any]:
    """A client of an account, and one of a container that is there. Raises ConfigError without the SDK."""
    client = _cosmos_client(endpoint, environment)
    found = client.get_database_client(database).get_container_client(container)
    found.read()
    return client, found


def make_cosmos_container(endpoint: str, database: str, container: str, environment: Mapping[str, str]) -> None:
    """Make what a table needs: partitions by ``/partition``, times to live, an index over what queries look at."""
    from azure.cosmos import PartitionKey

    looked_at = [{"path": "/place/?"}, {"path": "/indexes/*"}]
    with _cosmos_client(endpoint, environment) as client:
        client.create_database_if_not_exists(database).create_container(
            container,
            PartitionKey("/partition"),
            indexing_policy={"includedPaths": looked_at, "excludedPaths": [{"path": "/*"}]},
            default_ttl=-1,
        )


def _cosmos_client(endpoint: str, environment: Mapping[str, str]) -> Any:
    try:
        from azure.cosmos import CosmosClient
    except ImportError as error:
        raise _missing("azure-cosmos", error) from error
    parts = dict(part.partition("=")[::2] for part in environment.get(COSMOS_VARIABLE, "").split(";"))
    account = parts.get("AccountEndpoint", "").removesuffix("/").removesuffix(":443")
    return CosmosClient(
        endpoint,
        parts["AccountKey"] if account == endpoint.removesuffix(":443") else _identity(),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        # An emulator tells its own idea of its address.
        enable_endpoint_discovery=endpoint.startswith("https:"),
    )


def cosmos_if_match(version: str) -> dict[str, Any]:
    """The options of a call that has to find this version of an item."""
    from azure.core import MatchConditions

    return {"etag": version, "match_condition": MatchConditions.IfNotModified}


def cosmos_query(
    container: Any, query: str, values: Mapping[str, str], partition: str | None, limit: int
) -> Iterator[Any]:
    """The documents a query finds in a partition, or in all; fetched page by page."""
    parameters = [{"name": name, "value": value} for name, value in values.items()]
    where = {"enable_cross_partition_query": True} if partition is None else {"partition_key": partition}
    return iter(container.query_items(query=query, parameters=parameters, max_item_count=limit, **where))


@cache
def _identity() -> Any:
    """One a process: it keeps its tokens."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise _missing("azure-identity", error) from error
    return DefaultAzureCredential()


def secret_client(vault: str, environment: Mapping[str, str]) -> Any:
    """A client of one vault. Raises ConfigError without the SDK."""
    try:
        from azure.keyvault.secrets import SecretClient
    except ImportError as error:
        raise _missing("azure-keyvault-secrets", error) from error
    options: dict[str, Any] = {
        "connection_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retry_total": 2,
        "retry_backoff_factor": 0.1,
    }
    emulator = environment.get("PORTABLE_KEYVAULT_EMULATOR")
    if not emulator:
        return SecretClient(vault, _identity(), **options)
    if not emulator.startswith("http://127.0.0.1:"):
        raise ConfigError("PORTABLE_KEYVAULT_EMULATOR is an address on this machine, http://127.0.0.1:PORT")
    return SecretClient(vault, _emulated_identity(), transport=_transport_to(emulator, options), **options)


def pubsub_client(endpoint: str, hub: str, key: str | None) -> Any:
    """A client of one hub, by an access key or the app's identity, that tries once. ConfigError without the SDK."""
    try:
        from azure.core.credentials import AzureKeyCredential
        from azure.messaging.webpubsubservice import WebPubSubServiceClient
    except ImportError as error:
        raise _missing("azure-messaging-webpubsubservice", error) from error
    return WebPubSubServiceClient(
        endpoint,
        hub,
        _identity() if key is None else AzureKeyCredential(key),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_total=0,
    )


def _emulated_identity() -> Any:
    from azure.core.credentials import AccessToken

    class Emulated:
        def get_token(self, *_scopes: str, **_options: Any) -> Any:
            return AccessToken("emulated", 4102444800)

    return Emulated()


def _transport_to(emulator: str, options: Mapping[str, Any]) -> Any:
    """Sends what is meant for any host to the emulator: the SDK itself takes no address without TLS."""
    from azure.core.pipeline.transport import RequestsTransport

    class Redirected(RequestsTransport):  # type: ignore[misc]  # where the SDK is not typed
        def send(self, request: Any, **more: Any) -> Any:
            meant = request.url
            request.url = emulator + "/" + meant.split("/", 3)[3]
            try:
                return super().send(request, **more)
            finally:
                request.url = meant

    return Redirected(**options)
