"""What can be said only once the code is there: who takes the events of buckets and of websockets.

Event Grid asks the endpoint whether it wants events before it makes a subscription, and the keys in both URLs are made
by the host when it starts. https://learn.microsoft.com/azure/azure-functions/functions-event-grid-blob-trigger,
https://learn.microsoft.com/azure/azure-web-pubsub/howto-develop-eventhandler
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portable.manifest import FunctionRecord, TriggerRecord
from portable_azure.build.files import SOCKET_ROUTE, directory_of, registered_names
from portable_azure.build.infrastructure.access import Access
from portable_azure.build.infrastructure.apps import Site
from portable_azure.build.infrastructure.expressions import Expression, call, property_of, text
from portable_azure.build.infrastructure.storage import DATA, add_container
from portable_azure.build.infrastructure.template import API, Template
from portable_azure.build.infrastructure.values import SOCKETS
from portable_azure.capabilities import NAMES
from portable_azure.permissions import Role

__all__ = ["TOPIC", "UNDELIVERED", "add_events", "add_topic"]

TOPIC = "blob_events"
UNDELIVERED = "undelivered-events"
"""The container, beside the buckets, of events that nobody took."""

_IDENTITY, _CONTAINER = f"identity_{TOPIC}", "events_undelivered"
_WRITER = Role("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe")
"""What Event Grid asks for. Documented: event-grid/enable-identity-system-topics, "Supported destinations and Azure
roles"."""

_TOPICS = "Microsoft.EventGrid/systemTopics"
_TRIES = {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
_EVENT_TYPES = {"created": "Microsoft.Storage.BlobCreated", "deleted": "Microsoft.Storage.BlobDeleted"}


def add_topic(template: Template, names: Any, access: Access) -> None:
    """The events of the account that holds the buckets, and a place for those that nobody takes for a day."""
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    name = names.dashed("blobs")
    identity = template.id_of(template.add(_IDENTITY, kind, text("{0}-id", name), {}, tagged=True))
    add_container(template, _CONTAINER, DATA, UNDELIVERED)
    access.assign(_IDENTITY, TOPIC, _CONTAINER, _WRITER)
    body = {
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}},
        "properties": {"source": template.id_of(DATA), "topicType": "Microsoft.Storage.StorageAccounts"},
    }
    template.add(TOPIC, _TOPICS, name, body, tagged=True)


def add_events(template: Template, sites: Sequence[Site], made: Template, placed: Mapping[str, Any]) -> bool:
    """Declare subscriptions and event handlers; whether there are any. ``made``: the template of everything else."""
    found = False
    for site in sites:
        for function in site.functions:
            source = site.bundle.sources[function.name]
            if source in ("blob-eventgrid", "event-grid") and TOPIC in made:
                _there(template, site, made, TOPIC, _IDENTITY, DATA)
                found |= _subscribe(template, site, function, source, placed)
            elif source == "web-pubsub" and SOCKETS in made:
                _there(template, site, made, SOCKETS)
                _handle(template, site, function)
                found = True
    return found


def _there(template: Template, site: Site, made: Template, *others: str) -> None:
    for symbol in (f"app_{site.word}", *others):
        if symbol not in template:
            template.there(symbol, made.kind_of(symbol), made.name_of(symbol))


def _keys(template: Template, site: Site) -> Expression:
    host = text("{0}/host/default", template.id_of(f"app_{site.word}"))
    return call("listKeys", host, API["Microsoft.Web"])


def _url(site: Site, path: str, key: Expression) -> Expression:
    return text(f"https://{{0}}/{path}{{1}}", property_of(f"app_{site.word}", "defaultHostName"), key)


def _subscribe(
    template: Template, site: Site, function: FunctionRecord, source: str, placed: Mapping[str, Any]
) -> bool:
    found = False
    names = registered_names(function, source)
    buckets = dict.fromkeys(function.asks("bucket"))
    for bucket, registered in zip(buckets, names, strict=True):
        if not placed[f"bucket:{bucket}"].made:
            continue  # it was there before, and so are its events
        found = True
        triggers = [one for one in function.triggers if one.options["bucket"] == bucket]
        if source == "event-grid":
            app = template.id_of(f"app_{site.word}")
            destination: dict[str, Any] = {
                "endpointType": "AzureFunction",
                "properties": {"resourceId": text(f"{{0}}/functions/{registered}", app), "maxEventsPerBatch": 1},
            }
        else:
            key = Expression(f"{_keys(template, site)}.systemKeys.blobs_extension")
            url = _url(site, f"runtime/webhooks/blobs?functionName=Host.Functions.{registered}&code=", key)
            destination = {"endpointType": "WebHook", "properties": {"endpointUrl": url}}
        body = {
            "destination": destination,
            "deadLetterWithResourceIdentity": {
                "identity": {"type": "UserAssigned", "userAssignedIdentity": template.id_of(_IDENTITY)},
                "deadLetterDestination": {
                    "endpointType": "StorageBlob",
                    "properties": {"resourceId": template.id_of(DATA), "blobContainerName": UNDELIVERED},
                },
            },
            "eventDeliverySchema": "EventGridSchema",
            "filter": _filter(bucket, triggers),
            "retryPolicy": _TRIES,
        }
        symbol = f"events_{registered.replace('-', '_')}"
        template.within(symbol, TOPIC, "eventSubscriptions", registered.replace("_", "-"), {"properties": body})
    return found


def _filter(bucket: str, triggers: list[TriggerRecord]) -> dict[str, Any]:
    kinds = sorted({kind for one in triggers for kind in one.options["kinds"]})
    container = NAMES["bucket"].physical(bucket)
    return {
        "includedEventTypes": [_EVENT_TYPES[kind] for kind in kinds],
        "subjectBeginsWith": f"/blobServices/default/containers/{container}/blobs/{directory_of(triggers)}",
    }


def _handle(template: Template, site: Site, function: FunctionRecord) -> None:
    key = Expression(f"{_keys(template, site)}.functionKeys.default")
    handler = {
        "urlTemplate": _url(site, f"{SOCKET_ROUTE}/{function.name}?code=", key),
        "userEventPattern": "*",
        "systemEvents": ["connect", "disconnected"],
    }
    for name in dict.fromkeys(function.asks("sockets")):
        body = {"anonymousConnectPolicy": "allow", "eventHandlers": [handler]}
        hub = NAMES["sockets"].physical(name)
        template.within(f"hub_{hub}", SOCKETS, "hubs", hub, {"properties": body})
