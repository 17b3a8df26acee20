"""What Google Cloud can do, each figure with its source and how sure it is.

Sure: read in the vendor's documentation named here. Unsure: sources differ, or only one secondary source was found.
"""

from __future__ import annotations

from datetime import timedelta

# Cloud Run functions (2nd gen), https://cloud.google.com/functions/quotas and https://cloud.google.com/run/quotas.
HTTP_TIMEOUT = timedelta(minutes=60)  # sure
EVENT_TIMEOUT = timedelta(minutes=9)  # unsure: functions' quotas say 9 min for event-driven ones, Cloud Run says 60
DEFAULT_TIMEOUT = timedelta(seconds=60)  # sure, of functions; a Cloud Run service alone has 5 minutes
MEMORY = (128, 32 * 1024)  # MiB; sure
REQUEST_BYTES = 32 * 1024 * 1024  # HTTP/1.1 request and response that is not streamed; sure

# Pub/Sub, https://cloud.google.com/pubsub/quotas#resource_limits.
PUBLISH_BYTES = 10_000_000  # of one publish request; sure. One message: 10 MB as well
PUBLISH_MESSAGES = 1000  # in one publish request; sure
ACK_DEADLINE_MAX = 600  # seconds; sure. A push subscription's is 10 to 600
ATTRIBUTES = 100  # of one message; sure
DELIVERY_ATTEMPTS = (5, 100)  # before the dead-letter topic, DeadLetterPolicy.max_delivery_attempts; sure
PUSH_BATCH = 1  # messages a push request holds; sure

# Eventarc, https://cloud.google.com/eventarc/quotas.
EVENTARC_BYTES = 512 * 1024  # of one event; sure

# Cloud Scheduler, https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules: unix-cron, IANA zones.
SCHEDULER_DEADLINE = timedelta(minutes=30)  # of an attempt at an HTTP target; sure

PYTHONS = ("3.13", "3.12", "3.11")  # https://cloud.google.com/run/docs/runtimes/python; sure
