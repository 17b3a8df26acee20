"""What AWS can do. Each figure with its source; ``tests/adapters/portable_aws/test_limits.py`` holds those that
botocore's service models give against the models, so that a change there is noticed.

[botocore] derived in that test. [aws] AWS's documentation, the page named; not derivable.
"""

from __future__ import annotations

__all__ = [
    "ALB_ANSWER_BYTES",
    "ALB_BODY_BYTES",
    "ALB_SECONDS",
    "BATCH_BYTES",
    "BATCH_MESSAGES",
    "CHANGE_EVENT_BATCH",
    "COPY_BYTES",
    "DELAY_SECONDS",
    "DELETE_KEYS",
    "ENVIRONMENT_BYTES",
    "EVENT_BATCH",
    "EVENT_BATCH_WITHOUT_WINDOW",
    "FIFO_EVENT_BATCH",
    "FUNCTION_SECONDS",
    "GLIBC",
    "HTTP_API_SECONDS",
    "ITEM_BYTES",
    "KEYS_READ",
    "LAMBDA_PAYLOAD_BYTES",
    "MEMORY_LARGEST",
    "MEMORY_LEAST",
    "MESSAGE_BYTES",
    "PART_BYTES",
    "PYTHONS",
    "RECEIVE_WAIT_SECONDS",
    "REST_API_SECONDS",
    "REST_STREAM_SECONDS",
    "RUNTIME_HOLDS",
    "STORAGE_LARGEST",
    "STORAGE_LEAST",
    "STREAM_BATCH_BYTES",
    "STREAM_BATCH_RECORDS",
    "STREAM_EVENT_BATCH",
    "STREAM_PARALLEL",
    "STREAM_READ_RECORDS",
    "STREAM_RECORD_BYTES",
    "STREAM_WINDOW_SECONDS",
    "SCHEDULE_CHARACTERS",
    "SOCKET_BYTES",
    "SOCKET_SECONDS",
    "TABLE_INDEXES",
    "TEMPLATE_BYTES",
    "TEMPLATE_INLINE_BYTES",
    "TEMPLATE_OUTPUTS",
    "TEMPLATE_PARAMETERS",
    "TEMPLATE_RESOURCES",
    "TOPIC_BYTES",
    "TOPIC_FILTER_ATTRIBUTES",
    "TOPIC_FILTER_COMBINATIONS",
    "TRANSACTION_WRITES",
    "UNPACKED_BYTES",
    "UPLOAD_PARTS",
    "URL_SECONDS",
    "VISIBILITY_SECONDS",
    "ZIP_BYTES",
]

# Lambda
PYTHONS = ("3.13", "3.12", "3.11")  # [botocore] Runtime; the default first
# [aws] lambda/latest/dg/python-package.html: the managed runtimes hold boto3 and what it requires.
RUNTIME_HOLDS = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
GLIBC = {"3.11": 26}  # [aws] lambda/latest/dg/lambda-runtimes.html: Amazon Linux 2 until 3.11, then 2023 with 2.34
FUNCTION_SECONDS = 900  # [botocore] CreateFunction, Timeout; managed instances have 5,400 for events
MEMORY_LEAST = 128  # [botocore] MemorySize
MEMORY_LARGEST = 10_240  # [aws] lambda/latest/dg/gettingstarted-limits.html; the model's 32,768 is of managed instances
STORAGE_LEAST = 512  # [botocore] EphemeralStorage, MiB
STORAGE_LARGEST = 10_240  # [aws] lambda/latest/dg/gettingstarted-limits.html; the model has that of managed instances
ENVIRONMENT_BYTES = 4096  # [aws] lambda/latest/dg/gettingstarted-limits.html: all variables of a function together
ZIP_BYTES = 50 * 1024 * 1024  # [aws] likewise: sent with the call; from a bucket only the next counts
UNPACKED_BYTES = 250 * 1024 * 1024  # [aws] likewise: with layers
LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024  # [botocore] Invoke, synchronous, either way

# What calls a function over HTTP. The whole answer has to be there by then.
HTTP_API_SECONDS = 30  # [botocore] apigatewayv2 CreateIntegration, TimeoutInMillis
REST_API_SECONDS = 29  # [botocore] apigateway PutIntegration, timeoutInMillis; a regional API can be given more
REST_STREAM_SECONDS = 900  # [aws] apigateway/latest/developerguide/response-transfer-mode.html: of one that streams
ALB_SECONDS = 60  # [aws] elasticloadbalancing/latest/application/edit-load-balancer-attributes.html: idle, by default
ALB_BODY_BYTES = 1024 * 1024  # [aws] the same page as the next: of a request's body
ALB_ANSWER_BYTES = 1024 * 1024  # [aws] elasticloadbalancing/latest/application/lambda-functions.html

# WebSocket APIs
SOCKET_SECONDS = 29  # [botocore] apigatewayv2 CreateIntegration, TimeoutInMillis, of a WebSocket API
SOCKET_BYTES = 131_072  # [botocore] apigatewaymanagementapi PostToConnection, Data

# EventBridge
SCHEDULE_CHARACTERS = 256  # [botocore] scheduler CreateSchedule and events PutRule, ScheduleExpression

# CloudFormation
TEMPLATE_INLINE_BYTES = 51_200  # [botocore] CreateChangeSet, TemplateBody: in the call; a larger one from a bucket
TEMPLATE_BYTES = 1024 * 1024  # [botocore] likewise, TemplateURL: from a bucket
TEMPLATE_RESOURCES = 500  # [aws] AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE_OUTPUTS = 200  # [aws] likewise
TEMPLATE_PARAMETERS = 200  # [aws] likewise

# S3
COPY_BYTES = 5 * 1024**3  # [aws] AmazonS3/latest/API/API_CopyObject.html: one call copies up to 5 GB
UPLOAD_PARTS = 10_000  # [aws] AmazonS3/latest/userguide/qfacts.html, as the next
PART_BYTES = (5 * 1024**2, 5 * 1024**3)  # least, but for the last part, and most
DELETE_KEYS = 1000  # [aws] AmazonS3/latest/API/API_DeleteObjects.html
URL_SECONDS = 604_800  # [aws] AmazonS3/latest/userguide/using-presigned-url.html; never longer than the credentials

# SQS
MESSAGE_BYTES = 1_048_576  # [botocore] SendMessage, MessageBody
BATCH_BYTES = 1_048_576  # [botocore] SendMessageBatch: all messages of a batch together
BATCH_MESSAGES = 10  # [botocore] ReceiveMessage, MaxNumberOfMessages; SendMessageBatch
DELAY_SECONDS = 900  # [botocore] SendMessage, DelaySeconds
VISIBILITY_SECONDS = 43_200  # [botocore] ChangeMessageVisibility
RECEIVE_WAIT_SECONDS = 20  # [botocore] CreateQueue, ReceiveMessageWaitTimeSeconds

# SNS
TOPIC_BYTES = 262_144  # [botocore] Publish and PublishBatch, unless the topic's MaximumMessageSize says more
TOPIC_FILTER_ATTRIBUTES = 5  # [aws] sns/latest/dg/subscription-filter-policy-constraints.html
TOPIC_FILTER_COMBINATIONS = 150  # [aws] likewise: the numbers of choices, multiplied

# SQS to Lambda
EVENT_BATCH = 10_000  # [botocore] CreateEventSourceMapping, BatchSize, standard queues
FIFO_EVENT_BATCH = 10  # [botocore] likewise, FIFO queues
EVENT_BATCH_WITHOUT_WINDOW = 10  # [botocore] MaximumBatchingWindowInSeconds: above it, a window of a second at least

# Kinesis
STREAM_RECORD_BYTES = 10 * 1024**2  # [botocore] PutRecords: data and key; a stream's MaxRecordSize may say less
STREAM_BATCH_RECORDS = 500  # [botocore] PutRecords
STREAM_BATCH_BYTES = 10 * 1024**2  # [botocore] PutRecords
STREAM_READ_RECORDS = 10_000  # [botocore] GetRecords, Limit

# Kinesis and Kafka to Lambda
STREAM_EVENT_BATCH = 10_000  # [botocore] CreateEventSourceMapping, BatchSize
STREAM_WINDOW_SECONDS = 300  # [botocore] CreateEventSourceMapping, MaximumBatchingWindowInSeconds
STREAM_PARALLEL = 10  # [botocore] CreateEventSourceMapping, ParallelizationFactor; not of Kafka

# DynamoDB
KEYS_READ = 100  # [botocore] BatchGetItem, Keys
TRANSACTION_WRITES = 100  # [botocore] TransactWriteItems, TransactItems
ITEM_BYTES = 400 * 1024  # [aws] amazondynamodb/latest/developerguide/Constraints.html: names and values together
TABLE_INDEXES = 20  # [aws] likewise: global secondary indexes a table, by default
CHANGE_EVENT_BATCH = 10_000  # [botocore] CreateEventSourceMapping, BatchSize; 100 by default for a stream
