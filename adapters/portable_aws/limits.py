"""What AWS can do. Each figure with its source; ``tests/adapters/portable_aws/test_limits.py`` holds those that
botocore's service models give against the models, so that a change there is noticed.

[botocore] derived in that test. [aws] AWS's documentation, the page named; not derivable.
"""

from __future__ import annotations

__all__ = [
    "ALB_ANSWER_BYTES",
    "BATCH_BYTES",
    "BATCH_MESSAGES",
    "DELAY_SECONDS",
    "EVENT_BATCH",
    "EVENT_BATCH_WITHOUT_WINDOW",
    "FIFO_EVENT_BATCH",
    "FUNCTION_SECONDS",
    "GLIBC",
    "HTTP_API_SECONDS",
    "LAMBDA_PAYLOAD_BYTES",
    "MEMORY_LARGEST",
    "MEMORY_LEAST",
    "MESSAGE_BYTES",
    "PYTHONS",
    "RECEIVE_WAIT_SECONDS",
    "REST_API_SECONDS",
    "VISIBILITY_SECONDS",
]

# Lambda
PYTHONS = ("3.13", "3.12", "3.11")  # [botocore] Runtime; the default first
GLIBC = {"3.11": 26}  # [aws] lambda/latest/dg/lambda-runtimes.html: Amazon Linux 2 until 3.11, then 2023 with 2.34
FUNCTION_SECONDS = 900  # [botocore] CreateFunction, Timeout; managed instances have 5,400 for events
MEMORY_LEAST = 128  # [botocore] MemorySize
MEMORY_LARGEST = 10_240  # [aws] lambda/latest/dg/gettingstarted-limits.html; the model's 32,768 is of managed instances
LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024  # [botocore] Invoke, synchronous, either way

# What calls a function over HTTP. The whole answer has to be there by then.
HTTP_API_SECONDS = 30  # [botocore] apigatewayv2 CreateIntegration, TimeoutInMillis
REST_API_SECONDS = 29  # [botocore] apigateway PutIntegration, timeoutInMillis; a regional API can be given more
ALB_ANSWER_BYTES = 1024 * 1024  # [aws] elasticloadbalancing/latest/application/lambda-functions.html

# SQS
MESSAGE_BYTES = 1_048_576  # [botocore] SendMessage, MessageBody
BATCH_BYTES = 1_048_576  # [botocore] SendMessageBatch: all messages of a batch together
BATCH_MESSAGES = 10  # [botocore] ReceiveMessage, MaxNumberOfMessages; SendMessageBatch
DELAY_SECONDS = 900  # [botocore] SendMessage, DelaySeconds
VISIBILITY_SECONDS = 43_200  # [botocore] ChangeMessageVisibility
RECEIVE_WAIT_SECONDS = 20  # [botocore] CreateQueue, ReceiveMessageWaitTimeSeconds

# SQS to Lambda
EVENT_BATCH = 10_000  # [botocore] CreateEventSourceMapping, BatchSize, standard queues
FIFO_EVENT_BATCH = 10  # [botocore] likewise, FIFO queues
EVENT_BATCH_WITHOUT_WINDOW = 10  # [botocore] MaximumBatchingWindowInSeconds: above it, a window of a second at least
