"""What a verb of ``portable.grants`` needs on Azure: operations, by the part of the resource a role is assigned on.

========  ============  ==============================================================================
kind      part          scope of the role assignment
========  ============  ==============================================================================
bucket    container     the blob container
bucket    account       the storage account it is in
queue     queue         the storage queue
queue     poison        the storage queue of its dead letters
queue     bus-queue     the Service Bus queue, where it is ``ordered`` or ``dedup``
queue     bus-dead      the Service Bus queue that its dead letters are forwarded to
topic     bus-topic     the topic
topic     bus-dead      the queue that a subscription's dead letters are forwarded to
topic     subscription  a function's subscription
stream    hub           the event hub
table     items         the Cosmos DB container
table     leases        the container beside it, with the positions in the change feed
secret    secret        the secret in Key Vault
config    secret        the secret that holds the value; none for ``value:TEXT``
sockets   service       the Web PubSub service that the hub is in
========  ============  ==============================================================================

A role is one of Azure's own where that allows what is needed and nothing beside it, else one of the app's: see
:func:`role_of`. Operations by REST call:
https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory,
https://learn.microsoft.com/azure/cosmos-db/nosql/reference-data-plane-security,
https://learn.microsoft.com/azure/role-based-access-control/permissions/web-and-mobile; roles:
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from portable.grants import Wider

__all__ = [
    "ACTIONS",
    "BUILT_IN",
    "CONTROL",
    "HOST_ROLES",
    "LIST_ONLY",
    "TRIGGER_ACTIONS",
    "UNLISTED",
    "WIDER",
    "Role",
    "operations",
    "role_of",
]

Parts = Mapping[str, Sequence[str]]
"""Operations by the part of the resource that they are allowed on."""

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_QUEUES = "Microsoft.Storage/storageAccounts/queueServices/queues"
_ITEMS = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items"

BLOB_READ, BLOB_WRITE, BLOB_DELETE = f"{_BLOBS}/read", f"{_BLOBS}/write", f"{_BLOBS}/delete"
BATCH = "Microsoft.Storage/storageAccounts/blobServices/containers/write"
DELEGATE = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
LIST = f"{BLOB_READ}#list"
"""Reading blobs is the operation of listing them too; a condition tells them apart."""

MESSAGE_ADD, MESSAGE_READ = f"{_QUEUES}/messages/add/action", f"{_QUEUES}/messages/read"
MESSAGE_PROCESS, MESSAGE_WRITE = f"{_QUEUES}/messages/process/action", f"{_QUEUES}/messages/write"
MESSAGE_DELETE, QUEUE_READ = f"{_QUEUES}/messages/delete", f"{_QUEUES}/read"

BUS_SEND = "Microsoft.ServiceBus/namespaces/messages/send/action"
BUS_RECEIVE = "Microsoft.ServiceBus/namespaces/messages/receive/action"
HUB_RECEIVE = "Microsoft.EventHub/namespaces/messages/receive/action"

METADATA = "Microsoft.DocumentDB/databaseAccounts/readMetadata"
ITEM_READ = f"{_ITEMS}/read"
QUERY = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/executeQuery"
FEED = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/readChangeFeed"

GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"  # noqa: S105
SOCKET_SEND = "Microsoft.SignalRService/WebPubSub/clientConnection/send/action"
SOCKET_CLOSE = "Microsoft.SignalRService/WebPubSub/clientConnection/write"

CONTROL = frozenset((BATCH, DELEGATE, QUEUE_READ))
"""Operations that a role definition has under ``actions``; all others are ``dataActions``."""

ACTIONS: Mapping[str, Mapping[str, Parts]] = {
    "bucket": {
        "delete": {"container": (BLOB_DELETE, BATCH)},
        "list": {"container": (LIST,)},
        "read": {"container": (BLOB_READ,), "account": (DELEGATE,)},
        "write": {"container": (BLOB_WRITE,), "account": (DELEGATE,)},
    },
    "queue": {
        # To look at dead letters is to peek; redrive takes them and sends them to the queue.
        "dead_letters": {
            "poison": (MESSAGE_PROCESS, MESSAGE_READ),
            "bus-dead": (BUS_RECEIVE,),
        },
        "depth": {"queue": (QUEUE_READ,)},  # Service Bus counts for those who manage it alone
        "purge": {"queue": (MESSAGE_DELETE,), "bus-queue": (BUS_RECEIVE,)},
        # A lease is extended, and a message given back, by an update. Retry(after=…) on Service Bus sends a copy.
        "receive": {
            "queue": (MESSAGE_PROCESS, MESSAGE_WRITE),  # messages/read is to peek
            "poison": (MESSAGE_ADD,),
            "bus-queue": (BUS_RECEIVE, BUS_SEND),
            "bus-dead": (BUS_SEND,),
        },
        "send": {"queue": (MESSAGE_ADD,), "bus-queue": (BUS_SEND,)},
    },
    "topic": {"publish": {"bus-topic": (BUS_SEND,)}},
    "stream": {"send": {}},  # refused by the build
    "table": {
        # What has a time to live is read before it is written or deleted under a condition.
        "delete": {"items": (METADATA, ITEM_READ, f"{_ITEMS}/delete")},
        "query": {"items": (METADATA, QUERY)},
        "read": {"items": (METADATA, ITEM_READ)},
        "write": {
            "items": (METADATA, ITEM_READ, f"{_ITEMS}/create", f"{_ITEMS}/replace", f"{_ITEMS}/upsert"),
        },
    },
    "secret": {"read": {"secret": (GET_SECRET,)}},
    "config": {"read": {"secret": (GET_SECRET,)}},
    "cache": {"use": {}},  # Redis, or HTTPS to Upstash: a password or a token in the address, and no role
    "sockets": {"send": {"service": (SOCKET_CLOSE, SOCKET_SEND)}},
}
"""Kind, verb, part: the operations."""

TRIGGER_ACTIONS: Mapping[str, Parts] = {
    # The Functions host looks whether the queue is there, hides a message for longer, and gives it back; the entry
    # sends a message again. What failed too often goes to the dead letters.
    "queue": {
        "queue": (QUEUE_READ, MESSAGE_PROCESS, MESSAGE_READ, MESSAGE_WRITE),
        "poison": (MESSAGE_ADD, QUEUE_READ),
        "bus-queue": (BUS_RECEIVE, BUS_SEND),
        "bus-dead": (BUS_SEND,),
    },
    "topic": {"subscription": (BUS_RECEIVE,), "bus-dead": (BUS_SEND,)},
    "stream": {"hub": (HUB_RECEIVE,)},
    "table": {
        "items": (METADATA, ITEM_READ, QUERY, FEED),
        "leases": (
            METADATA,
            *(f"{_ITEMS}/{verb}" for verb in ("create", "delete", "read", "replace", "upsert")),
            QUERY,
        ),
    },
}
"""What the Function App needs of the source of a trigger, by the kind of the source, besides HOST_ROLES. HTTP requests,
schedules and events of Web PubSub and Event Grid call it, and need nothing of its identity."""


class Role(msgspec.Struct, frozen=True):
    """A role definition. ``id``: the GUID of one of Azure's own, "" for one of the app's. ``condition``: of the
    assignment, "" for none.
    """

    name: str
    id: str = ""
    actions: Sequence[str] = ()
    data_actions: Sequence[str] = ()
    condition: str = ""


BUILT_IN: Mapping[frozenset[str], Role] = {
    frozenset((DELEGATE,)): Role("Storage Blob Delegator", "db58b8e5-c6ad-4a2a-8342-4190687cbf4a"),
    frozenset((MESSAGE_ADD,)): Role("Storage Queue Data Message Sender", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"),
    frozenset((MESSAGE_PROCESS, MESSAGE_READ)): Role(
        "Storage Queue Data Message Processor", "8a0f0c08-91a1-4084-bc3d-267d61233440"
    ),
    frozenset((BUS_SEND,)): Role("Azure Service Bus Data Sender", "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"),
    frozenset((BUS_RECEIVE,)): Role("Azure Service Bus Data Receiver", "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"),
    frozenset((HUB_RECEIVE,)): Role("Azure Event Hubs Data Receiver", "a638d3c7-ab3a-418d-83e6-5f17a39d4fde"),
    frozenset((GET_SECRET,)): Role("Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6"),
}
"""Azure's own roles, by the operations they allow on one resource; what they allow beside those is to see it."""

HOST_ROLES: Mapping[str, Sequence[Role]] = {
    # The host keeps its locks, its schedules' times, its keys and the app's package there, and no other app does.
    "host": (
        Role("Storage Blob Data Owner", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"),
        Role("Storage Queue Data Contributor", "974c5e8b-45b9-4653-ba55-5f855dd0fb88"),
        Role("Storage Table Data Contributor", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"),
    ),
    # Asked for by functions-bindings-storage-blob-trigger, "Grant permission to the identity".
    "blob-trigger": (Role("Storage Blob Data Owner", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"),),
    "blob-trigger-poison": (Role("Storage Queue Data Contributor", "974c5e8b-45b9-4653-ba55-5f855dd0fb88"),),
    "telemetry": (Role("Monitoring Metrics Publisher", "3913510d-42f4-4e42-8a64-420c390055eb"),),
}
"""What the Functions host needs, by what it needs it on: roles that Microsoft's documentation asks for by name."""

LIST_ONLY = f"!(ActionMatches{{'{BLOB_READ}'}} AND NOT SubOperationMatches{{'Blob.List'}})"
UNLISTED = f"!(ActionMatches{{'{BLOB_READ}'}} AND SubOperationMatches{{'Blob.List'}})"
"""Conditions (https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes, "List blobs")."""


def role_of(needed: Iterable[str]) -> Role:
    """The role that allows these operations on one part of a resource: Azure's own where there is one, else the app's,
    whose name is the last words of what it allows.
    """
    wanted = set(needed)
    condition = ""
    if LIST in wanted:
        condition = "" if BLOB_READ in wanted else LIST_ONLY
        wanted = wanted - {LIST} | {BLOB_READ}
    elif BLOB_READ in wanted:
        condition = UNLISTED
    known = BUILT_IN.get(frozenset(wanted))
    if known is not None:
        return known
    actions = sorted(wanted & CONTROL)
    data = sorted(wanted - CONTROL)
    words = [one.removesuffix("/action").rpartition("/")[2] for one in data]
    words += ["-".join(one.removesuffix("/action").split("/")[-2:]) for one in actions]
    area = data[0] if data else actions[0]
    subject = next(text for start, text in _SUBJECTS.items() if area.startswith(start))
    return Role(f"{subject} {' '.join(words)}", "", actions, data, condition)


_SUBJECTS = {
    "Microsoft.Storage/storageAccounts/blobServices": "blobs",
    "Microsoft.Storage/storageAccounts/queueServices": "messages",
    "Microsoft.ServiceBus": "bus",
    "Microsoft.DocumentDB": "items",
    "Microsoft.SignalRService": "sockets",
}


def operations(grants: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], set[str]]:
    """By ``kind:name`` and part: what these grants need."""
    found: dict[tuple[str, str], set[str]] = {}
    for key, verbs in grants.items():
        for verb in verbs:
            for part, needed in ACTIONS[key.partition(":")[0]][verb].items():
                found.setdefault((key, part), set()).update(needed)
    return found


_OWN_ACCOUNT = "the host keeps its locks, keys and package there; each Function App has an account of its own for it"

WIDER: Sequence[Wider] = (
    Wider(
        "bucket",
        ("read", "write"),
        "a key to sign URLs with, for the whole account",
        "user delegation keys are the account's; what one signs reaches no further than its identity does",
        ("Storage Blob Delegator",),
    ),
    Wider(
        "bucket",
        ("delete",),
        "the container's own metadata can be set, and its deleted blobs restored",
        "a batch of deletions needs containers/write",
    ),
    Wider(
        "queue",
        ("receive",),
        "messages can be sent to it too",
        "to extend a lease or to give a message back is messages/write, which is to send too",
    ),
    Wider("table", ("delete", "write"), "items can be read", "an update, and a condition beside a time to live, reads"),
    Wider(
        "sockets",
        ("send",),
        "connections of the service's other hubs",
        "roles of Web PubSub stop at the service, which is one for each app and stage",
        ("sockets send write",),
    ),
    Wider(
        "function",
        ("host",),
        "everything in a storage account that holds no data of the app",
        _OWN_ACCOUNT,
        tuple(role.name for role in HOST_ROLES["host"]),
    ),
    Wider(
        "function",
        ("blob trigger",),
        "everything in the bucket (in its account, where it is polled), and the queue of blobs that failed",
        "Microsoft asks for Storage Blob Data Owner and Storage Queue Data Contributor",
        tuple(role.name for role in HOST_ROLES["blob-trigger"]),
    ),
    Wider(
        "function",
        ("every",),
        "what the other functions of its Function App may",
        "an identity belongs to a Function App",
    ),
)
"""For the table in ``docs/reference/permissions.md``."""
