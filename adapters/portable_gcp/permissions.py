"""What a verb of ``portable.grants`` needs on Google Cloud: a role for each part of the resource it touches.

A part is what an IAM policy can be set on:

========  ============  ===========================================================
kind      part          policy of
========  ============  ===========================================================
bucket    bucket        the bucket
bucket    account       the function's own service account
queue     topic         the queue's topic
queue     subscription  the subscription its messages are pulled from
queue     dead-topic    the topic of its dead letters
queue     dead-letters  the subscription of that topic
topic     topic         the topic
table     database      the project, under the condition that it is this database
secret    secret        the secret
config    secret        the secret that holds the value; none for ``value:TEXT``
sockets   topic         the topic through which instances send
========  ============  ===========================================================

A role is Google's own where it allows nothing beside what is needed (``roles/…``), else one of the app's, by its name
in ``CUSTOM``. Permissions: https://cloud.google.com/iam/docs/roles-permissions; which call needs which:
https://cloud.google.com/storage/docs/access-control/iam-json, https://cloud.google.com/pubsub/docs/access-control and
https://cloud.google.com/firestore/docs/security/iam.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from portable.grants import Wider

__all__ = ["ACTIONS", "CUSTOM", "TRIGGER_ACTIONS", "WIDER", "roles"]

Parts = Mapping[str, str]
"""A role by the part of the resource that it is bound on."""

PUBLISHER = "roles/pubsub.publisher"  # pubsub.topics.publish, and nothing else
READ_SECRET = "roles/secretmanager.secretAccessor"  # noqa: S105 - versions.access, and to see the project

CUSTOM: Mapping[str, Sequence[str]] = {
    # Without objects.list, Cloud Storage answers 403 for a blob that is not there, and NotFoundError could not be told
    # from a missing permission. roles/storage.objectViewer reads folders besides.
    "blobs_read": ("storage.objects.get", "storage.objects.list"),
    "blobs_list": ("storage.objects.list",),
    # To write over a blob is to delete what was there.
    "blobs_write": ("storage.objects.create", "storage.objects.delete"),
    "blobs_delete": ("storage.objects.delete", "storage.objects.list"),
    # URLs are signed by IAM: no key of the account is anywhere.
    "sign_urls": ("iam.serviceAccounts.signBlob",),
    # roles/pubsub.subscriber attaches subscriptions and seeks to snapshots besides.
    "messages_consume": ("pubsub.subscriptions.consume",),
    "items_read": ("datastore.entities.get",),
    "items_query": ("datastore.entities.get", "datastore.entities.list"),
    "items_write": (
        "datastore.databases.get",
        "datastore.entities.create",
        "datastore.entities.get",
        "datastore.entities.update",
    ),
    "items_delete": ("datastore.databases.get", "datastore.entities.delete", "datastore.entities.get"),
}
"""Permissions of the app's own roles."""

ACTIONS: Mapping[str, Mapping[str, Parts]] = {
    "bucket": {
        "delete": {"bucket": "blobs_delete"},
        "list": {"bucket": "blobs_list"},
        "read": {"bucket": "blobs_read", "account": "sign_urls"},
        "write": {"bucket": "blobs_write", "account": "sign_urls"},
    },
    "queue": {
        # To look at them is to pull them and give them back; redrive publishes them to the queue.
        "dead_letters": {"dead-letters": "messages_consume", "topic": PUBLISHER},
        "depth": {},  # refused by the build: Pub/Sub counts for Cloud Monitoring alone
        "purge": {"subscription": "messages_consume"},
        "receive": {"subscription": "messages_consume", "dead-topic": PUBLISHER},
        "send": {"topic": PUBLISHER},
    },
    "topic": {"publish": {"topic": PUBLISHER}},
    "stream": {"send": {}},  # refused by the build: there are none
    "table": {
        "delete": {"database": "items_delete"},
        "query": {"database": "items_query"},
        "read": {"database": "items_read"},
        "write": {"database": "items_write"},
    },
    "secret": {"read": {"secret": READ_SECRET}},
    "config": {"read": {"secret": READ_SECRET}},
    "cache": {"use": {}},  # Redis, or HTTPS to Upstash: a password or a token in the address, and no IAM
    "sockets": {"send": {"topic": PUBLISHER}},
}
"""Kind, verb, part: the role."""

TRIGGER_ACTIONS: Mapping[str, Parts] = {
    # Pub/Sub pushes, so nothing is pulled; Reject publishes to the dead letters.
    "queue": {"dead-topic": PUBLISHER},
    "topic": {"dead-topic": PUBLISHER},
}
"""What a function needs of the source of its trigger, by the kind of the source; a topic's dead letters are those of
the function's subscription. Who calls a function needs a role on it, and it none for being called."""


WIDER: Sequence[Wider] = (
    Wider(
        "table",
        ("read", "query", "write", "delete"),
        "every collection of the database",
        "IAM stops at the database of Firestore; the deployment makes one for each app and stage",
        ("items_read", "items_query", "items_write", "items_delete"),
    ),
    Wider(
        "table",
        ("write", "delete"),
        "items are read too",
        "an update, and a condition where items have a time to live, is a transaction that reads what it writes",
    ),
    Wider("bucket", ("write",), "blobs are deleted too", "to write over a blob is to delete what was there"),
    Wider(
        "bucket",
        ("read", "delete"),
        "keys are listed too",
        "without it a blob that is not there is a 403, and not a NotFoundError",
    ),
    Wider(
        "bucket",
        ("read", "write"),
        "the function signs in its own name",
        "a signed URL is signed by IAM, because an instance holds no key",
    ),
    Wider(
        "queue",
        ("receive", "purge", "dead_letters"),
        "the subscription can be pulled from and emptied alike",
        "pubsub.subscriptions.consume is one permission for all of it",
    ),
    Wider("function", ("http",), "anybody may call it", "HTTP is public unless `auth=` says otherwise", ("allUsers",)),
    Wider(
        "function",
        ("every",),
        "the account that builds functions reads every bucket and writes every image and log of the project",
        "Cloud Build keeps sources and images in places of its own; no code of the app runs as that account",
        ("roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"),
    ),
    Wider(
        "function",
        ("blob", "change"),
        "the account that posts events may be sent those of the whole project",
        "Eventarc asks for it on the project; no code of the app runs as that account",
        ("roles/eventarc.eventReceiver",),
    ),
    Wider(
        "function",
        ("blob",),
        "Cloud Storage's own agent publishes to every topic of the project",
        "Eventarc makes the topic of a bucket's events itself, under a name of its own",
        (PUBLISHER,),
    ),
)
"""For the table in ``docs/reference/permissions.md``."""


def roles(grants: Mapping[str, Iterable[str]]) -> list[tuple[str, str, str]]:
    """``kind:name``, part and role for each binding that these grants need, sorted, none twice.

    A role that another one of the same part includes is left out.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for key, verbs in grants.items():
        kind = key.partition(":")[0]
        for verb in verbs:
            for part, role in ACTIONS[kind][verb].items():
                found.setdefault((key, part), set()).add(role)
    return [(key, part, role) for (key, part), named in sorted(found.items()) for role in sorted(_least(named))]


def _least(named: set[str]) -> set[str]:
    return {
        role
        for role in named
        if not any(set(CUSTOM.get(role, (role,))) < set(CUSTOM.get(other, ())) for other in named)
    }
