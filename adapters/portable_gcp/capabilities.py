"""What Google Cloud's drivers give, see ``portable.capabilities``. The figures are those of ``limits.py``."""

from __future__ import annotations

from collections.abc import Mapping

from portable.capabilities import Bound, Capabilities, Capability, Naming, native, portable, refused
from portable_gcp import limits

__all__ = ["BOUNDS", "CAPABILITIES", "NAMES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("ifGenerationMatch=0", source="https://cloud.google.com/storage/docs/request-preconditions"),
    "if_match": native(
        "an etag is the generation", source="https://cloud.google.com/storage/docs/request-preconditions"
    ),
    "read_if": native(source="https://cloud.google.com/storage/docs/request-preconditions"),
    "copy": native("objects.rewrite", source="https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite"),
    "cache_control": native(source="https://cloud.google.com/storage/docs/metadata#cache-control"),
    "signed_get": native(
        "7 days at most; by IAM, where the instance holds no key: role Service Account Token Creator on itself",
        source="https://cloud.google.com/storage/docs/access-control/signed-urls",
    ),
    "signed_put": native(
        "as signed_get; another content type is refused",
        source="https://cloud.google.com/storage/docs/access-control/signed-urls",
    ),
}

_QUEUE: dict[str, Capability] = {
    "delay": refused(
        "Pub/Sub delivers at once; send it when it is due, from a schedule",
        source="https://cloud.google.com/pubsub/docs/publisher",
    ),
    "ordered": native("a group is an ordering key", source="https://cloud.google.com/pubsub/docs/ordering"),
    "dedup": refused(
        "Pub/Sub has no id of the sender's; let the handler bear a repeated message",
        source="https://cloud.google.com/pubsub/docs/publisher",
    ),
    "retry_after": native(
        f"whole seconds, {limits.ACK_DEADLINE_MAX} at most, for a worker that pulls",
        source="google.pubsub_v1: ModifyAckDeadlineRequest",
    ),
    "attempts": native(
        "counted where the subscription has a dead-letter topic", source="google.pubsub_v1: ReceivedMessage"
    ),
    "moves_dead_letters": native(
        "after {} to {} attempts".format(*limits.DELIVERY_ATTEMPTS), source="google.pubsub_v1: DeadLetterPolicy"
    ),
    "dead_letters": native("pulled and given back at once", source="portable_gcp.queue"),
    "redrive": portable("pulled, published and acknowledged one by one", source="portable_gcp.queue"),
    "extend": native(
        f"{limits.ACK_DEADLINE_MAX} s at most from now on", source="google.pubsub_v1: ModifyAckDeadlineRequest"
    ),
    "depth": refused(
        "Pub/Sub counts for Cloud Monitoring alone: subscription/num_undelivered_messages",
        source="https://cloud.google.com/pubsub/docs/monitoring",
    ),
    "purge": native("a seek to now", source="google.pubsub_v1: SeekRequest"),
}

_TABLE: dict[str, Capability] = {
    "transaction": native(
        "what it reads is locked meanwhile; begun anew, a bounded number of times, where it met another",
        source="https://firebase.google.com/docs/firestore/manage-data/transactions",
    ),
    "partition_transaction": native(
        "as any other", source="https://firebase.google.com/docs/firestore/manage-data/transactions"
    ),
    "removes_expired": native(
        "by a policy on the field 'ttl' of the collection, which a deployment sets; typically within 24 hours",
        source="https://firebase.google.com/docs/firestore/ttl",
    ),
    "changes": native(
        "Eventarc, google.cloud.firestore.document.v1.written; in no order, so look at the item as it is now",
        source="https://cloud.google.com/eventarc/docs/reference/supported-events#cloud-firestore",
    ),
    "change_old": native(
        "an event of Firestore bears both", source="google.events.cloud.firestore.v1: DocumentEventData.old_value"
    ),
    "change_delete": native(
        "google.cloud.firestore.document.v1.deleted",
        source="https://cloud.google.com/eventarc/docs/reference/supported-events#cloud-firestore",
    ),
}

_TOPIC: dict[str, Capability] = {
    "ordered": native("a group is an ordering key", source="https://cloud.google.com/pubsub/docs/ordering"),
    "retry_after": native(
        f"whole seconds, {limits.ACK_DEADLINE_MAX} at most, for a worker that pulls",
        source="google.pubsub_v1: ModifyAckDeadlineRequest",
    ),
    "attempts": native(
        "counted where the subscription has a dead-letter topic", source="google.pubsub_v1: ReceivedMessage"
    ),
    "moves_dead_letters": native(
        "after {} to {} attempts".format(*limits.DELIVERY_ATTEMPTS), source="google.pubsub_v1: DeadLetterPolicy"
    ),
    "dead_letters": native("pulled and given back at once", source="portable_gcp.queue"),
    "same_id": native("Pub/Sub's", source="google.pubsub_v1: PubsubMessage, message_id"),
}

_SECRET: dict[str, Capability] = {
    "binary": native(
        "64 KiB at most", source="https://cloud.google.com/secret-manager/quotas; a stand-in of ours here"
    ),
}

_CONFIG: dict[str, Capability] = {
    "live": native("with a secret's address; value:TEXT lasts as long as its revision", source="portable_gcp.config"),
}

_CACHE: dict[str, Capability] = {
    "shared": native("by the address: a Redis (Memorystore) or Upstash", source="portable_cache.cache"),
    "add_bytes": native("not on Upstash, see portable_cache.capabilities", source="portable_cache.redis"),
}

_HTTP: dict[str, Capability] = {
    "stream": native(
        "a caller that goes away is noticed with the next piece: an EventStream's ping makes that soon",
        source="https://cloud.google.com/run/docs/triggering/https-request; tests/run/test_streaming.py",
    ),
    "background": native(
        "with CPU that is always allocated; without, what is left stands still until the next request",
        source="https://cloud.google.com/run/docs/configuring/cpu-allocation; tests/run/test_streaming.py",
    ),
}

_SOCKETS: dict[str, Capability] = {
    "serves": refused(
        "Cloud Run functions are called request by request, and functions-framework holds no websockets",
        source="https://cloud.google.com/run/docs/triggering/websockets; functions-framework is a WSGI server",
        way_out="a container of Cloud Run with `python -m portable_gcp.serving`, see docs/how-to/websockets.md; other "
        "functions of the app can send to its connections",
    ),
    "binary": native("from the instance that holds it, or through the topic", source="portable.live.relay"),
    "knows_gone": native(
        "of an instance that is gone, up to 75 s later; a connection that another instance has closed leaves its "
        "groups when the message reaches that",
        source="portable.live.relay",
    ),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "cache": _CACHE,
    "config": _CONFIG,
    "http": _HTTP,
    "queue": _QUEUE,
    "secret": _SECRET,
    "sockets": _SOCKETS,
    "table": _TABLE,
    "topic": _TOPIC,
}

NAMES: Mapping[str, Naming] = {
    "bucket": Naming(
        "{name}-bucket",
        r"(?!goog)(?!.*(google|g00gle))[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]",
        "3 to 63 lower-case letters, digits and dashes, without 'google', and not starting with 'goog'",
        "https://cloud.google.com/storage/docs/buckets#naming",
    ),
    "queue": Naming(
        "{name}-queue",
        r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}",
        "3 to 255 characters, not starting with 'goog'",
        "https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names",
        also=("{name}-queue-dead",),
        space="topic",
    ),
    "topic": Naming(
        "{name}-topic",
        r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}",
        "3 to 255 characters, not starting with 'goog'",
        "https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names",
    ),
    "sockets": Naming(
        "{name}-sockets",
        r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}",
        "3 to 255 characters, not starting with 'goog'",
        "https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names",
        space="topic",
    ),
    "table": Naming(
        "{name}",
        r"(?!\.\.?$)(?!__.*__$)[^/]{1,1500}",
        "1 to 1,500 bytes without a slash",
        "https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields",
    ),
    "secret": Naming(
        "{name}-secret",
        r"[A-Za-z0-9_-]{1,255}",
        "1 to 255 letters, digits, dashes and underscores",
        "https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create",
    ),
}
"""How an app's resources are called in the emulators of ``portable run``."""

BOUNDS: Mapping[str, Bound] = {
    "http_seconds": Bound(limits.HTTP_TIMEOUT.total_seconds()),
    "event_seconds": Bound(limits.EVENT_TIMEOUT.total_seconds()),
    "memory": Bound(limits.MEMORY[1]),
    "storage": Bound(0, "what is written to /tmp counts as memory"),
    "request_bytes": Bound(limits.REQUEST_BYTES),
    "answer_bytes": Bound(limits.REQUEST_BYTES),
    "message_bytes": Bound(limits.PUBLISH_BYTES),
    "topic_bytes": Bound(limits.PUBLISH_BYTES),
    "batch": Bound(limits.PUSH_BATCH, "pushed, each a request of its own"),
    "delay_seconds": Bound(0, "Pub/Sub delivers at once"),
    "item_bytes": Bound(limits.DOCUMENT_BYTES),
    "socket_bytes": Bound(limits.SOCKET_BYTES),
}
"""What :data:`portable.capabilities.BOUNDS` names."""
