"""The only file that imports Azure's packages, each inside the function that needs it."""

from __future__ import annotations

from functools import cache

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

__all__ = [
    "account_of",
    "container_client",
    "content_settings",
    "cosmos_container",
    "cosmos_if_match",
    "cosmos_query",
    "error_class",
    "http_response",
    "make_cosmos_container",
    "queue_client",
    "secret_client",
    "unless_changed",
]

CONNECT_SECONDS = 5
READ_SECONDS = 30

CONNECTION_VARIABLES = ("AzureWebJobsStorage", "AZURE_STORAGE_CONNECTION_STRING")
"""Connection strings whose key is used for addresses in their account; else the managed identity is."""


def _missing(package: str, error: ImportError) -> ConfigError:
    return ConfigError(f"{package} is not installed ({error}): pip install 'portable-functions[azure]'")


def http_response() -> Callable[..., Any]:
    """The class of answers that the worker encodes."""
    from azure.functions import HttpResponse

    made: Callable[..., Any] = HttpResponse
    return made


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
    )


def content_settings(content_type: str | None) -> Any:
    """How an upload says its content type."""
    from azure.storage.blob import ContentSettings

    return ContentSettings(content_type=content_type)


def unless_changed(etag: str) -> dict[str, Any]:
    """The options of a call that has to find this etag."""
    from azure.core import MatchConditions

    return {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}


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
    for variable in CONNECTION_VARIABLES:
        parts = dict(part.partition("=")[::2] for part in environment.get(variable, "").split(";"))
        if parts.get("AccountName") == account and parts.get("AccountKey"):
            from azure.core.credentials import AzureNamedKeyCredential

            return AzureNamedKeyCredential(account, parts["AccountKey"])
    return _identity()


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
