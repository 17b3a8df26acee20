"""What Google Cloud can do, each figure with its source.

How sure each is: [client] stands in the vendor's own client library, and a test holds it against that; [page] was read
on the page named; [memory] is known, and has not been read anew.
"""

from __future__ import annotations

from datetime import timedelta

# Cloud Run functions (2nd gen), https://cloud.google.com/functions/quotas.
HTTP_TIMEOUT = timedelta(minutes=60)  # [page]
EVENT_TIMEOUT = timedelta(minutes=9)  # [memory] of event-driven functions; a Cloud Run service alone has 60 minutes
DEFAULT_TIMEOUT = timedelta(seconds=60)  # [memory] of functions; a Cloud Run service alone has 5 minutes
MEMORY = (128, 32 * 1024)  # MiB; most [page], least [memory]
REQUEST_BYTES = 32 * 1024 * 1024  # [page] of a request, and of a response that is not streamed

# Cloud Storage
NAME_BYTES = 1024  # [page] of an object's name in UTF-8, https://cloud.google.com/storage/docs/objects#naming

# Pub/Sub, https://cloud.google.com/pubsub/quotas#resource_limits.
PUBLISH_BYTES = 10_000_000  # [page] of one publish request, and of one message
PUBLISH_MESSAGES = 1000  # [memory] in one publish request
ACK_DEADLINE_MAX = 600  # [client] seconds, ModifyAckDeadlineRequest and Subscription
DELIVERY_ATTEMPTS = (5, 100)  # [client] DeadLetterPolicy.max_delivery_attempts
BACKOFF_SECONDS = 600  # [client] RetryPolicy: minimum_backoff and maximum_backoff are 0 to 600 seconds
PUSH_BATCH = 1  # [page] messages a push request holds, https://cloud.google.com/pubsub/docs/push#receive_push

# Firestore, https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields.
DOCUMENT_BYTES = 1_048_576  # [memory] of a document, its name and its fields' names included
DOCUMENT_NAME_BYTES = 1500  # [memory] of a document's id; the emulator refuses longer ones
DOCUMENT_DEPTH = 20  # [memory] maps and arrays within one another; the emulator refuses deeper ones
FILTER_BYTES = 256  # [page] https://cloud.google.com/pubsub/docs/subscription-message-filter#filtering_syntax

EVENTARC_BYTES = 512 * 1024  # [page] of one event, https://cloud.google.com/eventarc/quotas

SCHEDULER_DEADLINE = timedelta(minutes=30)  # [memory] Job.attempt_deadline of an HTTP target

PYTHONS = ("3.13", "3.12", "3.11")  # [memory] https://cloud.google.com/run/docs/runtimes/python

SOCKET_BYTES = 1024 * 1024
"""Largest message of a websocket, of ours: as Azure has it, and well within what Pub/Sub takes."""
