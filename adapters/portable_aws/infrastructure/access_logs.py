"""Logs of requests, which the stage of an API writes: one line of JSON each, kept as long as a function's."""

from __future__ import annotations

from typing import Any

from portable_aws.infrastructure.names import att
from portable_aws.infrastructure.plan import Plan

__all__ = ["access_log", "writes_by_account"]

_SHARED = {"time": "requestTime", "request": "requestId", "ip": "identity.sourceIp", "status": "status"}
_FIELDS = {
    "HTTP": {**_SHARED, "route": "routeKey", "bytes": "responseLength", "error": "integrationErrorMessage"},
    "REST": {
        **_SHARED,
        "method": "httpMethod",
        "route": "resourcePath",
        "bytes": "responseLength",
        "error": "integrationErrorMessage",
    },
    "WEBSOCKET": {
        **_SHARED,
        "route": "routeKey",
        "event": "eventType",
        "connection": "connectionId",
        "error": "integrationErrorMessage",
    },
}
"""By sort of API: what a line calls a variable of the request's context.

https://docs.aws.amazon.com/apigateway/latest/developerguide: http-api-logging-variables.html,
api-gateway-variables-for-access-logging.html, apigateway-websocket-api-logging.html
"""


def access_log(plan: Plan, api: str, sort: str) -> dict[str, Any]:
    """What a stage says of its log, whose log group is added; nothing with ``access_logs = false``.

    Args:
        api: logical id of the API. sort: ``HTTP``, ``REST`` or ``WEBSOCKET``.
    """
    if not plan.settings.get("access_logs", True):
        return {}
    logs = plan.add(f"{api}Logs", "AWS::Logs::LogGroup", {"RetentionInDays": plan.retention})
    line = ",".join(f'"{name}":"$context.{variable}"' for name, variable in _FIELDS[sort].items())
    # REST's stage has it in the singular.
    name = "AccessLogSetting" if sort == "REST" else "AccessLogSettings"
    return {name: {"DestinationArn": att(logs, "Arn"), "Format": f"{{{line}}}"}}


def writes_by_account(resources: dict[str, Any]) -> bool:
    """Whether a template has a log that is written with the role of the account's own settings of API Gateway.

    HTTP APIs write theirs without one:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html.
    """
    for one in resources.values():
        said = one["Properties"]
        if one["Type"] == "AWS::ApiGateway::Stage" and "AccessLogSetting" in said:
            return True
        if one["Type"] == "AWS::ApiGatewayV2::Stage" and "AccessLogSettings" in said:
            api = resources.get(str(said["ApiId"]["Ref"]), {})
            if api.get("Properties", {}).get("ProtocolType") == "WEBSOCKET":
                return True
    return False
