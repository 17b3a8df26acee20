"""What stands in Terraform's ``aws`` provider for each type of resource of a template.

https://registry.terraform.io/providers/hashicorp/aws/latest/docs; held against the provider's own schema by the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from portable_aws.infrastructure import terraform_fronts as fronts
from portable_aws.infrastructure.names import fitting
from portable_aws.infrastructure.terraform_names import Made, snake

__all__ = ["Kind", "kinds_of"]


class Kind(msgspec.Struct, frozen=True):
    """A type of Terraform: what ``Ref`` and ``GetAtt`` of its counterpart are here, and how its arguments are made."""

    type: str
    make: Callable[[Any, str, Mapping[str, Any]], Made]
    ref: str = "id"
    attributes: Mapping[str, str] = msgspec.field(default_factory=lambda: {"Arn": "arn"})


def kinds_of() -> dict[str, Kind]:
    """By type of CloudFormation."""
    return {
        "AWS::ApiGateway::Authorizer": _plain("aws_api_gateway_authorizer", RestApiId="rest_api_id"),
        "AWS::ApiGateway::Deployment": _plain("aws_api_gateway_deployment"),
        "AWS::ApiGateway::Method": Kind("aws_api_gateway_method", fronts.method),
        "AWS::ApiGateway::Resource": _plain("aws_api_gateway_resource"),
        "AWS::ApiGateway::RestApi": Kind("aws_api_gateway_rest_api", fronts.rest, attributes=_ROOT),
        "AWS::ApiGateway::Stage": _plain("aws_api_gateway_stage", AccessLogSetting="access_log_settings"),
        "AWS::ApiGatewayV2::Api": Kind("aws_apigatewayv2_api", fronts.api, attributes={"ApiEndpoint": "api_endpoint"}),
        "AWS::ApiGatewayV2::Authorizer": _plain("aws_apigatewayv2_authorizer", IdentitySource="identity_sources"),
        "AWS::ApiGatewayV2::Deployment": _plain("aws_apigatewayv2_deployment"),
        "AWS::ApiGatewayV2::Integration": _plain(
            "aws_apigatewayv2_integration", TimeoutInMillis="timeout_milliseconds"
        ),
        "AWS::ApiGatewayV2::Route": _plain("aws_apigatewayv2_route"),
        "AWS::ApiGatewayV2::Stage": _plain("aws_apigatewayv2_stage", StageName="name"),
        "AWS::DynamoDB::Table": Kind("aws_dynamodb_table", _table, "name", {"Arn": "arn", "StreamArn": "stream_arn"}),
        "AWS::EC2::SecurityGroup": Kind("aws_security_group", fronts.group),
        "AWS::ElasticLoadBalancingV2::Listener": Kind("aws_lb_listener", fronts.listener, "arn"),
        "AWS::ElasticLoadBalancingV2::ListenerRule": Kind("aws_lb_listener_rule", fronts.listener_rule, "arn"),
        "AWS::ElasticLoadBalancingV2::LoadBalancer": Kind("aws_lb", fronts.balancer, "arn", {"DNSName": "dns_name"}),
        "AWS::ElasticLoadBalancingV2::TargetGroup": Kind("aws_lb_target_group", fronts.targets, "arn"),
        "AWS::Events::Rule": Kind("aws_cloudwatch_event_rule", _rule, "name"),
        "AWS::IAM::Role": Kind("aws_iam_role", _role, "name"),
        "AWS::Kinesis::Stream": Kind("aws_kinesis_stream", _stream, "name"),
        "AWS::Lambda::Alias": Kind("aws_lambda_alias", _alias, "arn"),
        "AWS::Lambda::EventSourceMapping": Kind("aws_lambda_event_source_mapping", _mapping),
        "AWS::Lambda::Function": Kind("aws_lambda_function", _function, "function_name"),
        "AWS::Lambda::Permission": Kind("aws_lambda_permission", _permission),
        "AWS::Lambda::Url": Kind("aws_lambda_function_url", _url, attributes={"FunctionUrl": "function_url"}),
        "AWS::Lambda::Version": Kind("aws_lambda_function", lambda *_: {}, attributes={"Version": "version"}),
        "AWS::Logs::LogGroup": _plain("aws_cloudwatch_log_group", "name"),
        "AWS::S3::Bucket": Kind("aws_s3_bucket", _bucket, "bucket"),
        "AWS::S3::BucketPolicy": Kind("aws_s3_bucket_policy", _document("bucket", "Bucket", "policy")),
        "AWS::SNS::Subscription": Kind("aws_sns_topic_subscription", _subscription),
        "AWS::SNS::Topic": _plain("aws_sns_topic", "arn", TopicName="name"),
        "AWS::SQS::Queue": Kind("aws_sqs_queue", _queue, "url"),
        "AWS::SQS::QueuePolicy": Kind("aws_sqs_queue_policy", _queue_policy),
        "AWS::SSM::Parameter": Kind("aws_ssm_parameter", _parameter, "name"),
        "AWS::Scheduler::Schedule": Kind("aws_scheduler_schedule", _schedule),
        "AWS::SecretsManager::Secret": _plain("aws_secretsmanager_secret", "arn"),
    }


_ROOT = {"RootResourceId": "root_resource_id"}
_EXPRESSION = re.compile(r"(?<!\$)\$\{[^}]*\}")
_KEPT = {"lifecycle": {"prevent_destroy": True}}
_BLOCKS = ("access_log_settings", "jwt_configuration")


def _plain(type_: str, ref: str = "id", **renamed: str) -> Kind:
    """A type whose arguments bear the same names, but for those renamed."""

    def make(told: Any, name: str, said: Mapping[str, Any]) -> Made:
        made = {renamed.get(key, snake(key)): told.value(value) for key, value in said.items()}
        for block in _BLOCKS:
            if block in made:
                made[block] = {snake(key): value for key, value in made[block].items()}
        return {type_: {snake(name): made}}

    return Kind(type_, make, ref)


def _called(told: Any, name: str, most: int) -> str:
    """A name, where Terraform makes none up."""
    return fitting(f"{told.deployment.app}-{told.deployment.stage}-{snake(name).replace('_', '-')}", most)


def _text(told: Any, document: Any) -> str:
    """A policy, or another document that is text for AWS; in an expression a quote stays a quote."""
    text = json.dumps(told.value(document))
    return _EXPRESSION.sub(lambda found: found[0].replace('\\"', '"'), text)


def _document(into: str, of: str, called: str) -> Callable[[Any, str, Mapping[str, Any]], Made]:
    def make(told: Any, name: str, said: Mapping[str, Any]) -> Made:
        made = {into: told.value(said[of]), called: _text(told, said["PolicyDocument"])}
        return {"aws_s3_bucket_policy": {snake(name): made}}

    return make


def _function(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    kept = ("Description", "Role", "Runtime", "Handler", "Architectures", "Timeout", "MemorySize", "PackageType")
    made = {snake(key): told.value(said[key]) for key in kept if key in said}
    made["function_name"] = _called(told, name, 64)
    if "ImageUri" in said["Code"]:
        made |= {"image_uri": said["Code"]["ImageUri"], "image_config": {"command": said["ImageConfig"]["Command"]}}
    else:
        file = f"${{path.module}}/{told.resources[name]['Metadata']['aws:asset:path']}"
        digest = f'filebase64sha256("{file}")'
        made |= {"filename": file, "source_code_hash": f"${{{digest}}}"}
    if "ReservedConcurrentExecutions" in said:
        made["reserved_concurrent_executions"] = said["ReservedConcurrentExecutions"]
    if "EphemeralStorage" in said:
        made["ephemeral_storage"] = {"size": said["EphemeralStorage"]["Size"]}
    made["logging_config"] = {"log_format": "Text", "log_group": told.value(said["LoggingConfig"]["LogGroup"])}
    made["environment"] = {"variables": told.value(said["Environment"]["Variables"])}
    made["publish"] = any(one["Properties"].get("FunctionName") == {"Ref": name} for one in _versions(told))
    return {"aws_lambda_function": {snake(name): made}}


def _versions(told: Any) -> list[Mapping[str, Any]]:
    return [one for one in told.resources.values() if one["Type"] == "AWS::Lambda::Version"]


def _alias(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    function = told.label(said["FunctionName"]["Ref"])
    alias = {"name": said["Name"], "function_name": f"${{{function}.function_name}}"}
    count = said["ProvisionedConcurrencyConfig"]["ProvisionedConcurrentExecutions"]
    warm = {"function_name": alias["function_name"], "provisioned_concurrent_executions": count}
    return {
        "aws_lambda_alias": {snake(name): {**alias, "function_version": f"${{{function}.version}}"}},
        "aws_lambda_provisioned_concurrency_config": {
            snake(name): {**warm, "qualifier": f"${{aws_lambda_alias.{snake(name)}.name}}"}
        },
    }


def _mapping(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    made = {snake(key): told.value(value) for key, value in said.items()}
    if "scaling_config" in made:
        made["scaling_config"] = {"maximum_concurrency": made["scaling_config"]["MaximumConcurrency"]}
    if "self_managed_event_source" in made:
        servers = told.expression(said["SelfManagedEventSource"]["Endpoints"]["KafkaBootstrapServers"])
        joined = {"KAFKA_BOOTSTRAP_SERVERS": f'${{join(",", {servers})}}'}
        made["self_managed_event_source"] = {"endpoints": joined}
    if access := made.pop("source_access_configurations", None):
        made["source_access_configuration"] = [{snake(key): value for key, value in one.items()} for one in access]
    if "amazon_managed_kafka_event_source_config" in made:
        group = made["amazon_managed_kafka_event_source_config"]["ConsumerGroupId"]
        made["amazon_managed_kafka_event_source_config"] = {"consumer_group_id": group}
    if pollers := made.pop("provisioned_poller_config", None):
        made["provisioned_poller_config"] = {snake(key): value for key, value in pollers.items()}
    return {"aws_lambda_event_source_mapping": {snake(name): made}}


def _permission(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    return {"aws_lambda_permission": {snake(name): {snake(key): told.value(value) for key, value in said.items()}}}


def _url(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    target = said["TargetFunctionArn"]["Ref"]
    made: dict[str, Any] = {"authorization_type": said["AuthType"], "invoke_mode": said["InvokeMode"]}
    if told.resources[target]["Type"] == "AWS::Lambda::Alias":
        made["qualifier"] = f"${{{told.label(target)}.name}}"
        target = told.resources[target]["Properties"]["FunctionName"]["Ref"]
    made["function_name"] = f"${{{told.label(target)}.function_name}}"
    return {"aws_lambda_function_url": {snake(name): made}}


def _role(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    trust = _text(told, said["AssumeRolePolicyDocument"])
    policies = {
        f"{snake(name)}_{one['PolicyName']}": {
            "name": one["PolicyName"],
            "role": f"${{aws_iam_role.{snake(name)}.name}}",
            "policy": _text(told, one["PolicyDocument"]),
        }
        for one in said["Policies"]
    }
    return {"aws_iam_role": {snake(name): {"assume_role_policy": trust}}, "aws_iam_role_policy": policies}


def _queue(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    renamed = {
        "QueueName": "name",
        "VisibilityTimeout": "visibility_timeout_seconds",
        "MessageRetentionPeriod": "message_retention_seconds",
        "SqsManagedSseEnabled": "sqs_managed_sse_enabled",
        "FifoQueue": "fifo_queue",
    }
    made = {renamed[key]: told.value(value) for key, value in said.items() if key in renamed}
    if "RedrivePolicy" in said:
        made["redrive_policy"] = _text(told, said["RedrivePolicy"])
    return {"aws_sqs_queue": {snake(name): made}}


def _queue_policy(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    made = {"queue_url": told.value(said["Queues"][0]), "policy": _text(told, said["PolicyDocument"])}
    return {"aws_sqs_queue_policy": {snake(name): made}}


def _subscription(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    made = {snake(key): told.value(value) for key, value in said.items()}
    if "FilterPolicy" in said:
        made["filter_policy"] = _text(told, said["FilterPolicy"])
    return {"aws_sns_topic_subscription": {snake(name): made}}


def _bucket(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    own, bucket = snake(name), f"${{aws_s3_bucket.{snake(name)}.bucket}}"
    plain = {"bucket": told.value(said["BucketName"])} if "BucketName" in said else {}
    blocked = {snake(key): value for key, value in said["PublicAccessBlockConfiguration"].items()}
    rule = said["LifecycleConfiguration"]["Rules"][0]
    days = {"days_after_initiation": rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]}
    owned = {"object_ownership": said["OwnershipControls"]["Rules"][0]["ObjectOwnership"]}
    made: Made = {
        "aws_s3_bucket": {own: {**plain, **_KEPT}},
        "aws_s3_bucket_public_access_block": {own: {"bucket": bucket, **blocked}},
        "aws_s3_bucket_ownership_controls": {own: {"bucket": bucket, "rule": owned}},
        "aws_s3_bucket_server_side_encryption_configuration": {
            own: {"bucket": bucket, "rule": {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}}
        },
        "aws_s3_bucket_lifecycle_configuration": {
            own: {
                "bucket": bucket,
                "rule": {
                    "id": rule["Id"],
                    "status": rule["Status"],
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": days,
                },
            }
        },
    }
    if (told_of := said.get("NotificationConfiguration")) is not None:
        permits = [told.label(one) for one in told.resources[name].get("DependsOn", ())]
        made["aws_s3_bucket_notification"] = {own: {"bucket": bucket, **_notification(told, told_of, permits)}}
    return made


def _notification(told: Any, said: Mapping[str, Any], permits: list[str]) -> dict[str, Any]:
    if "EventBridgeConfiguration" in said:
        return {"eventbridge": True}
    functions = []
    for one in said["LambdaConfigurations"]:
        made = {"lambda_function_arn": told.value(one["Function"]), "events": [one["Event"]]}
        for rule in one.get("Filter", {}).get("S3Key", {}).get("Rules", ()):
            made[f"filter_{rule['Name']}"] = rule["Value"]
        functions.append(made)
    return {"lambda_function": functions, "depends_on": permits}


def _table(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    keys = {one["KeyType"]: one["AttributeName"] for one in said["KeySchema"]}
    made: dict[str, Any] = {
        "name": _called(told, name, 255),
        "billing_mode": said["BillingMode"],
        "hash_key": keys["HASH"],
        **({"range_key": keys["RANGE"]} if "RANGE" in keys else {}),
        "attribute": [
            {"name": one["AttributeName"], "type": one["AttributeType"]} for one in said["AttributeDefinitions"]
        ],
        "point_in_time_recovery": {"enabled": True},
        **_KEPT,
    }
    for index in said.get("GlobalSecondaryIndexes", ()):
        fields = {one["KeyType"]: one["AttributeName"] for one in index["KeySchema"]}
        one = {"name": index["IndexName"], "hash_key": fields["HASH"], "projection_type": "ALL"}
        made.setdefault("global_secondary_index", []).append(
            {**one, "range_key": fields["RANGE"]} if "RANGE" in fields else one
        )
    if "TimeToLiveSpecification" in said:
        made["ttl"] = {"enabled": True, "attribute_name": said["TimeToLiveSpecification"]["AttributeName"]}
    if "StreamSpecification" in said:
        made |= {"stream_enabled": True, "stream_view_type": said["StreamSpecification"]["StreamViewType"]}
    return {"aws_dynamodb_table": {snake(name): made}}


def _stream(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    made = {"name": _called(told, name, 128), "shard_count": said["ShardCount"]}
    encryption = {"encryption_type": "KMS", "kms_key_id": said["StreamEncryption"]["KeyId"]}
    return {"aws_kinesis_stream": {snake(name): {**made, **encryption}}}


def _parameter(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    made = {"name": _called(told, name, 1011), "type": said["Type"], "value": told.value(said["Value"])}
    return {"aws_ssm_parameter": {snake(name): made}}


def _schedule(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    target = {snake(key): told.value(value) for key, value in said["Target"].items()}
    made = {
        "schedule_expression": said["ScheduleExpression"],
        "schedule_expression_timezone": said["ScheduleExpressionTimezone"],
        "flexible_time_window": {"mode": said["FlexibleTimeWindow"]["Mode"]},
        "target": target,
    }
    return {"aws_scheduler_schedule": {snake(name): made}}


def _rule(told: Any, name: str, said: Mapping[str, Any]) -> Made:
    made: dict[str, Any] = {}
    if "EventPattern" in said:
        made["event_pattern"] = _text(told, said["EventPattern"])
    if "ScheduleExpression" in said:
        made["schedule_expression"] = said["ScheduleExpression"]
    (one,) = said["Targets"]
    target = {"rule": f"${{aws_cloudwatch_event_rule.{snake(name)}.name}}", "arn": told.value(one["Arn"])}
    if (shaped := one.get("InputTransformer")) is not None:
        paths, template = shaped["InputPathsMap"], told.value(shaped["InputTemplate"])
        target["input_transformer"] = {"input_paths": paths, "input_template": template}
    return {
        "aws_cloudwatch_event_rule": {snake(name): made},
        "aws_cloudwatch_event_target": {snake(name): target},
    }
