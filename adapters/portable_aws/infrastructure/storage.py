"""Buckets, tables, streams, secrets and config values."""

from __future__ import annotations

from typing import Any

from portable_aws.infrastructure.names import logical, ref, sub
from portable_aws.infrastructure.plan import Plan
from portable_aws.infrastructure.references import bucket, config_parameter, is_kafka, is_notified
from portable_aws.provision import table_definition

__all__ = ["add_storage"]

_KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
_PARTS_DAYS = 7  # what is left of an upload that broke off costs until somebody removes it
_EVENTS = {"created": "s3:ObjectCreated:*", "deleted": "s3:ObjectRemoved:*"}


def add_storage(plan: Plan) -> None:
    """Everything that holds data stays when the stack is deleted: ``portable destroy`` removes what is empty."""
    for one in plan.created("bucket"):
        _add_bucket(plan, one.name)
    for one in plan.created("table"):
        _add_table(plan, one.name, one.options)
    for one in plan.created("stream"):
        if not is_kafka(plan, one.name):
            _add_stream(plan, one.name, one.options)
    for one in plan.created("secret"):
        _add_secret(plan, one.name)
    for one in plan.created("config"):
        _add_config(plan, one.name)


def _add_bucket(plan: Plan, name: str) -> None:
    properties: dict[str, Any] = {
        "PublicAccessBlockConfiguration": dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        ),
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": "unfinished-uploads",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _PARTS_DAYS},
                }
            ]
        },
    }
    attributes: dict[str, Any] = dict(_KEPT)
    if is_notified(plan.deployment, name):
        properties["BucketName"] = bucket(plan, name)
        properties["NotificationConfiguration"] = {"LambdaConfigurations": _notifications(plan, name)}
        attributes["DependsOn"] = _permits(plan, name)
    elif any(name in one.asks("bucket") for one in plan.of_kind("blob")):
        properties["NotificationConfiguration"] = {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    made = plan.add(logical(name, "Bucket"), "AWS::S3::Bucket", properties, **attributes)
    whole = f"arn:${{AWS::Partition}}:s3:::${{{made}}}"
    plan.add(
        f"{made}Policy",
        "AWS::S3::BucketPolicy",
        {
            "Bucket": ref(made),
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "EncryptedConnectionsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [sub(whole), sub(f"{whole}/*")],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        },
    )
    plan.output(made, ref(made), f"Bucket {name}")


def _notifications(plan: Plan, name: str) -> list[dict[str, Any]]:
    found = []
    for function in plan.of_kind("blob"):
        for trigger in function.triggers:
            if trigger.options["bucket"] != name:
                continue
            ends = {"prefix": trigger.options["prefix"], "suffix": trigger.options["suffix"]}
            rules = [{"Name": end, "Value": value} for end, value in ends.items() if value]
            for kind in trigger.options["kinds"]:
                one: dict[str, Any] = {"Event": _EVENTS[kind], "Function": plan.target(function.name)}
                found.append({**one, "Filter": {"S3Key": {"Rules": rules}}} if rules else one)
    return found


def _permits(plan: Plan, name: str) -> list[str]:
    arn = bucket(plan, name)["Fn::Sub"]
    conditions = {
        "SourceArn": {"Fn::Sub": [f"arn:${{AWS::Partition}}:s3:::{arn[0]}", arn[1]]},
        "SourceAccount": ref("AWS::AccountId"),
    }
    return [
        plan.permit(one.name, logical(name, "Bucket"), "s3.amazonaws.com", **conditions)
        for one in plan.of_kind("blob")
        if name in one.asks("bucket")
    ]


def _add_table(plan: Plan, name: str, options: dict[str, Any]) -> None:
    definition = table_definition(options, old=plan.manifest.wants_changes(name))
    if (stream := definition.pop("StreamSpecification", None)) is not None:
        definition["StreamSpecification"] = {"StreamViewType": stream["StreamViewType"]}
    definition["SSESpecification"] = {"SSEEnabled": False}  # not unencrypted: with the key that is DynamoDB's own
    definition["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": True}
    if options["ttl"] is not None:
        definition["TimeToLiveSpecification"] = {"AttributeName": options["ttl"], "Enabled": True}
    made = plan.add(logical(name, "Table"), "AWS::DynamoDB::Table", definition, **_KEPT)
    plan.output(made, ref(made), f"Table {name}")


def _add_stream(plan: Plan, name: str, options: dict[str, Any]) -> None:
    made = plan.add(
        logical(name, "Stream"),
        "AWS::Kinesis::Stream",
        {
            "ShardCount": options["partitions"],
            "StreamEncryption": {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
        },
    )
    plan.output(made, ref(made), f"Stream {name}")


def _add_secret(plan: Plan, name: str) -> None:
    """Without a value: that is put there by whoever has it, and is in no template."""
    described = f"Secret {name} of {plan.manifest.app}, stage {plan.deployment.stage}"
    made = plan.add(logical(name, "Secret"), "AWS::SecretsManager::Secret", {"Description": described}, **_KEPT)
    plan.output(made, ref(made), f"Secret {name}: give it a value with aws secretsmanager put-secret-value")


def _add_config(plan: Plan, name: str) -> None:
    chosen = config_parameter(plan, name)
    if chosen is None:
        return
    value = plan.parameter(chosen, f"Value of config {name}")
    made = plan.add(logical(name, "Config"), "AWS::SSM::Parameter", {"Type": "String", "Value": value})
    plan.output(made, ref(made), f"Parameter of config {name}")
