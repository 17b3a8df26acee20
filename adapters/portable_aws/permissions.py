"""What a verb of ``portable.grants`` needs on AWS, and the statements of a policy made of it.

A resource has parts, each an ARN of its own:

========  ============  =================================================
kind      part          ARN
========  ============  =================================================
bucket    bucket        ``arn:aws:s3:::NAME``
bucket    blobs         ``arn:aws:s3:::NAME/*``
queue     queue         of the SQS queue
queue     dead-letters  of the SQS queue of its dead letters
topic     topic         of the SNS topic
stream    stream        of the Kinesis stream
table     table         of the DynamoDB table
table     indexes       ``TABLE/index/NAME``, of each declared index
table     changes       of its stream, ``TABLE/stream/LABEL``
secret    secret        of the secret in Secrets Manager
secret    parameter     of the parameter, where ``ssm:`` is its address
config    parameter     of the parameter
sockets   connections   ``arn:aws:execute-api:R:A:API/STAGE/METHOD/@connections/*`` for ``POST`` and ``DELETE``
========  ============  =================================================

Actions are those of https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from portable.grants import Wider

__all__ = ["ACTIONS", "NETWORK", "TRIGGER_ACTIONS", "WIDER", "statements"]

Parts = Mapping[str, Sequence[str]]
"""Actions by the part of the resource that they are allowed on."""

ACTIONS: Mapping[str, Mapping[str, Parts]] = {
    "bucket": {
        "delete": {"blobs": ("s3:DeleteObject",)},
        "list": {"bucket": ("s3:ListBucket",)},
        # Without ListBucket S3 answers 403 for a blob that is not there, and NotFoundError could not be told from a
        # missing permission: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        "read": {"blobs": ("s3:GetObject",), "bucket": ("s3:ListBucket",)},
        # The parts of an upload are PutObject too.
        "write": {"blobs": ("s3:AbortMultipartUpload", "s3:PutObject")},
    },
    "queue": {
        # To look at them is to receive them and to give them back; redrive deletes what it has sent.
        "dead_letters": {
            "dead-letters": ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"),
        },
        "depth": {"queue": ("sqs:GetQueueAttributes",)},
        "purge": {"queue": ("sqs:PurgeQueue",)},
        # A message that a pull worker rejects is sent to the dead letters.
        "receive": {
            "queue": ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"),
            "dead-letters": ("sqs:SendMessage",),
        },
        "send": {"queue": ("sqs:SendMessage",)},
    },
    "topic": {"publish": {"topic": ("sns:Publish",)}},
    "stream": {"send": {"stream": ("kinesis:PutRecords",)}},
    "table": {
        "delete": {"table": ("dynamodb:DeleteItem",)},
        "query": {"table": ("dynamodb:Query", "dynamodb:Scan"), "indexes": ("dynamodb:Query",)},
        "read": {"table": ("dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:GetItem")},
        "write": {"table": ("dynamodb:PutItem", "dynamodb:UpdateItem")},
    },
    "secret": {"read": {"secret": ("secretsmanager:GetSecretValue",), "parameter": ("ssm:GetParameter",)}},
    "config": {"read": {"parameter": ("ssm:GetParameter",)}},
    "cache": {"use": {}},  # Redis, or HTTPS to Upstash: a password or a token in the address, and no IAM
    "sockets": {"send": {"connections": ("execute-api:ManageConnections",)}},
}
"""Kind, verb, part: the actions."""

TRIGGER_ACTIONS: Mapping[str, Parts] = {
    # Lambda polls with the function's role; Retry(after=…) and a Backoff hide a message, Reject sends it on.
    "queue": {
        "queue": (
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        ),
        "dead-letters": ("sqs:SendMessage",),
    },
    "stream": {
        "stream": (
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
        )
    },
    # ListStreams, which AWS' managed policy has too, is for consoles: the mapping names the stream.
    "table": {"changes": ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator")},
}
"""What a function needs of the source of its trigger, by the kind of the source; a topic's is the queue that it
delivers to. Buckets, schedules and websockets call a function by its resource policy, and need nothing of its role."""


NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
"""What Lambda needs to reach a cluster: https://docs.aws.amazon.com/lambda/latest/dg/with-msk-permissions.html."""

WIDER: Sequence[Wider] = (
    Wider(
        "bucket",
        ("read",),
        "keys are listed too",
        "without it a blob that is not there is a 403, and not a NotFoundError",
    ),
    Wider("queue", ("receive",), "messages are sent to its dead letters", "that is what `Reject` does"),
    Wider("queue", ("dead_letters",), "dead letters are deleted", "`redrive` deletes what it has sent"),
    Wider("sockets", ("send",), "connections are closed too", "IAM knows one action for both, on every connection"),
    Wider(
        "function",
        ("stream",),
        "with Amazon MSK: network interfaces of the account are made and deleted, its networks seen",
        "Lambda reaches the cluster through them, in the function's name, and most of these calls know no resources",
        NETWORK,
    ),
    Wider(
        "function",
        ("http",),
        "anybody may call its URL",
        "HTTP is public unless `auth=` says otherwise",
        ("Principal: *",),
    ),
)
"""For the table in ``docs/reference/permissions.md``."""


def statements(
    grants: Mapping[str, Iterable[str]], arns: Callable[[str, str, str], Sequence[Any]]
) -> list[dict[str, Any]]:
    """The statements of a policy for these grants, one for each part of each resource, in a fixed order.

    ``arns``: from kind, name and part to ARNs, as text or in a template's own form; empty for a part that is not there:
    a table without indexes, a queue without dead letters, a secret that is no parameter.
    """
    found: list[dict[str, Any]] = []
    for key in sorted(grants):
        kind, _, name = key.partition(":")
        actions: dict[str, set[str]] = {}
        for verb in grants[key]:
            for part, needed in ACTIONS[kind][verb].items():
                actions.setdefault(part, set()).update(needed)
        places = ((part, list(arns(kind, name, part))) for part in sorted(actions))
        found += [
            {"Effect": "Allow", "Action": sorted(actions[part]), "Resource": place} for part, place in places if place
        ]
    return found
