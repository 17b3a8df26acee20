"""What of a stack holds data: whether it does, and its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portable.errors import DeployError
from portable_aws.deploy.account import Account, code_of

__all__ = ["Bucket", "Secret", "Table", "holders", "lost_by"]

_MISSING = ("404", "NoSuchBucket", "ResourceNotFoundException")
_KEYS = 1000  # botocore: DeleteObjects
_RECOVERY_DAYS = 30  # botocore: DeleteSecret


class Bucket:
    """A bucket with its older versions."""

    kind = "AWS::S3::Bucket"

    def __init__(self, account: Account, name: str) -> None:
        self._account = account
        self.name = name

    def is_there(self) -> bool:
        """Whether it was left."""
        return _found(self._account, "s3", "head_bucket", Bucket=self.name)

    def holds(self) -> bool:
        """Whether there is a blob, of whichever version."""
        if not self.is_there():
            return False
        told = self._account.call("s3", "list_object_versions", Bucket=self.name, MaxKeys=1)
        return bool(told.get("Versions") or told.get("DeleteMarkers"))

    def remove(self) -> None:
        """Delete every blob, and the bucket."""
        while True:
            told = self._account.call("s3", "list_object_versions", Bucket=self.name, MaxKeys=_KEYS)
            listed = [*told.get("Versions", ()), *told.get("DeleteMarkers", ())]
            if not listed:
                break
            asked = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed]
            answer = self._account.call("s3", "delete_objects", Bucket=self.name, Delete={"Objects": asked})
            if failed := answer.get("Errors"):
                raise DeployError(f"bucket {self.name}: {failed[0]['Key']}: {failed[0].get('Message', '')}")
        self._account.call("s3", "delete_bucket", Bucket=self.name)


class Table:
    """A table."""

    kind = "AWS::DynamoDB::Table"

    def __init__(self, account: Account, name: str) -> None:
        self._account = account
        self.name = name

    def is_there(self) -> bool:
        """Whether it was left."""
        return _found(self._account, "dynamodb", "describe_table", TableName=self.name)

    def holds(self) -> bool:
        """Whether there is an item. The count that AWS keeps is six hours old."""
        if not self.is_there():
            return False
        told = self._account.call("dynamodb", "scan", TableName=self.name, Limit=1, ConsistentRead=True)
        return bool(told.get("Items"))

    def remove(self) -> None:
        """Delete it with its items."""
        self._account.call("dynamodb", "delete_table", TableName=self.name)


class Secret:
    """A secret, which is data once somebody has given it a value."""

    kind = "AWS::SecretsManager::Secret"

    def __init__(self, account: Account, name: str) -> None:
        self._account = account
        self.name = name

    def is_there(self) -> bool:
        """Whether it was left."""
        return _found(self._account, "secretsmanager", "describe_secret", SecretId=self.name)

    def holds(self) -> bool:
        """Whether it has a value."""
        if not self.is_there():
            return False
        told = self._account.call("secretsmanager", "describe_secret", SecretId=self.name)
        return bool(told.get("VersionIdsToStages")) and "DeletedDate" not in told

    def remove(self) -> None:
        """Delete it; one with a value can be restored for a month."""
        how: dict[str, Any] = {"ForceDeleteWithoutRecovery": True}
        if self.holds():
            how = {"RecoveryWindowInDays": _RECOVERY_DAYS}
        self._account.call("secretsmanager", "delete_secret", SecretId=self.name, **how)


_KINDS = {one.kind: one for one in (Bucket, Table, Secret)}


def holders(account: Account, resources: Iterable[tuple[str, str, str]]) -> list[Bucket | Table | Secret]:
    """Those of a stack's resources, given by type, logical and physical id, that may hold data."""
    return [_KINDS[kind](account, physical) for kind, _, physical in resources if kind in _KINDS]


def lost_by(account: Account, change: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What becomes of data by a change of a change set; "" where nothing does. ``wanted``: the template's resources.

    Buckets, tables and secrets are kept by their stack whatever happens, but a new one in their place is empty.
    """
    kind, name = change["ResourceType"], change.get("PhysicalResourceId", "")
    replaced = change["Action"] == "Modify" and change.get("Replacement") in ("True", "Conditional")
    if replaced and kind == Table.kind and _only_adds_attributes(account, change, wanted):
        replaced = False
    if kind in _KINDS and replaced and _KINDS[kind](account, name).holds():
        when = "" if change["Replacement"] == "True" else " if it is replaced, which CloudFormation does not rule out"
        return f"{name} holds data, and{when} the app gets an empty one in its place; the old one stays"
    if replaced or change["Action"] == "Remove":
        if kind == "AWS::SQS::Queue" and _waiting(account, name):
            return f"{name} holds messages, and is deleted"
        if kind == "AWS::Kinesis::Stream":
            return f"{name} is deleted, with its records"
    return ""


def _only_adds_attributes(account: Account, change: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a table may be replaced for its attributes alone, and none that it has gets another type: a new index.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
    """
    targets = [one["Target"] for one in change.get("Details", ())]
    reasons = {one.get("Name") for one in targets if one.get("RequiresRecreation", "Never") != "Never"}
    if reasons != {"AttributeDefinitions"}:
        return False
    there = account.call("dynamodb", "describe_table", TableName=change["PhysicalResourceId"])["Table"]
    said = wanted[change["LogicalResourceId"]]["Properties"]["AttributeDefinitions"]
    types = {one["AttributeName"]: one["AttributeType"] for one in said}
    return all(
        types.get(one["AttributeName"], one["AttributeType"]) == one["AttributeType"]
        for one in there["AttributeDefinitions"]
    )


def _waiting(account: Account, url: str) -> bool:
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    try:
        told = account.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=names)["Attributes"]
    except DeployError as error:
        if code_of(error.__cause__) in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
            return False
        raise
    return any(int(count) for count in told.values())


def _found(account: Account, service: str, method: str, **named: str) -> bool:
    try:
        account.call(service, method, **named)
    except DeployError as error:
        if code_of(error.__cause__) in _MISSING:
            return False
        raise
    return True
