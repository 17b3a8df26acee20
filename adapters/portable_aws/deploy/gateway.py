"""The role that API Gateway writes logs of requests with: a setting of a whole account and region, not of a stack.

A stack that made it would take it from the next, and leave it dangling at its end. So it is made once, where the
account has none, stays, and a role that is there is left alone.
"""

from __future__ import annotations

import json
import time
from typing import Any

from portable.deploy import Change, Progress, Step
from portable.errors import DeployError
from portable_aws.deploy.account import Account, code_of
from portable_aws.infrastructure.access_logs import writes_by_account

__all__ = ["GatewayLogs"]

ROLE = "portable-api-gateway-logs"
_POLICY = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"
_KIND, _NAME = "AWS::ApiGateway::Account", "CloudWatchRoleArn"
_WAIT, _TRIES = 2.0, 15  # seconds, and how often: until IAM's new role is known to API Gateway
_DENIED = ("AccessDenied", "AccessDeniedException")


class GatewayLogs:
    """See the module."""

    def __init__(self, account: Account, resources: dict[str, Any]) -> None:
        self._account = account
        self._needed = writes_by_account(resources)

    def change(self) -> list[Change]:
        """What :meth:`make` would do."""
        if not self._missing():
            return []
        return [Change("create", _KIND, _NAME, f"role {ROLE}, which lets this account's APIs write logs; it stays")]

    def make(self, progress: Progress) -> None:
        """Give the account a role, where it needs one and has none. Raises DeployError."""
        if not self._missing():
            return
        progress(Step(_KIND, _NAME, "started", ROLE))
        try:
            self._set(self._role())
        except DeployError as error:
            progress(Step(_KIND, _NAME, "failed", str(error)))
            raise DeployError(
                f"{error}; REST and WebSocket APIs log with a role that the account's settings of API Gateway name: "
                "somebody who may sets it once, or [tool.portable.aws] access_logs = false"
            ) from error
        progress(Step(_KIND, _NAME, "done"))

    def _missing(self) -> bool:
        if not self._needed:
            return False
        try:
            return not self._account.call("apigateway", "get_account").get("cloudwatchRoleArn")
        except DeployError as error:
            if code_of(error.__cause__) in _DENIED:  # whoever may not look leaves it to others; CloudFormation says it
                return False
            raise

    def _role(self) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
        said = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        try:
            role = self._account.call("iam", "create_role", RoleName=ROLE, AssumeRolePolicyDocument=said)["Role"]
        except DeployError as error:
            if code_of(error.__cause__) != "EntityAlreadyExists":  # made for another region
                raise
            role = self._account.call("iam", "get_role", RoleName=ROLE)["Role"]
        arn: str = role["Arn"]
        policy = f"arn:{arn.split(':')[1]}:iam::aws:policy/{_POLICY}"
        self._account.call("iam", "attach_role_policy", RoleName=ROLE, PolicyArn=policy)
        return arn

    def _set(self, arn: str) -> None:
        change = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}]
        for left in reversed(range(_TRIES)):
            try:
                self._account.call("apigateway", "update_account", patchOperations=change)
                return
            except DeployError as error:
                if not left or code_of(error.__cause__) != "BadRequestException":
                    raise
                time.sleep(_WAIT)
