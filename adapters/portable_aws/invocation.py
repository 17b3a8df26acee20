"""What a handler is given as Lambda's context, by this framework's own runtime loop."""

from __future__ import annotations

from os import environ
from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ClientContext", "CognitoIdentity", "LambdaContext"]


class CognitoIdentity:
    """Who called, where a mobile application's SDK says so."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.cognito_identity_id = given.get("cognitoIdentityId")
        self.cognito_identity_pool_id = given.get("cognitoIdentityPoolId")


class Client:
    """The application that called."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.installation_id = given.get("installation_id")
        self.app_title = given.get("app_title")
        self.app_version_name = given.get("app_version_name")
        self.app_version_code = given.get("app_version_code")
        self.app_package_name = given.get("app_package_name")


class ClientContext:
    """What a caller said of itself."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = None if given.get("client") is None else Client(given["client"])


class LambdaContext:
    """One invocation, with the names AWS's own runtime client gives.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds before Lambda ends the invocation, never negative."""
        deadline = int(self._headers.get("lambda-runtime-deadline-ms") or 0)
        return max(0, deadline - int(time() * 1000))

    @property
    def invoked_function_arn(self) -> str | None:
        """As it was called, with its version or alias."""
        return self._headers.get("lambda-runtime-invoked-function-arn")

    @property
    def tenant_id(self) -> str | None:
        """Of a function with tenant isolation."""
        return self._headers.get("lambda-runtime-aws-tenant-id")

    @property
    def function_name(self) -> str | None:
        """The function's name in Lambda."""
        return environ.get("AWS_LAMBDA_FUNCTION_NAME")

    @property
    def function_version(self) -> str | None:
        """The function's version in Lambda."""
        return environ.get("AWS_LAMBDA_FUNCTION_VERSION")

    @property
    def memory_limit_in_mb(self) -> str | None:
        """MiB, as text."""
        return environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")

    @property
    def log_group_name(self) -> str | None:
        """Where the log goes."""
        return environ.get("AWS_LAMBDA_LOG_GROUP_NAME")

    @property
    def log_stream_name(self) -> str | None:
        """Where this instance's log goes."""
        return environ.get("AWS_LAMBDA_LOG_STREAM_NAME")

    @property
    def client_context(self) -> ClientContext | None:
        """What the caller said of itself, None where it said nothing."""
        given = self._read("lambda-runtime-client-context")
        return None if given is None else ClientContext(given)

    @property
    def identity(self) -> CognitoIdentity:
        """Who called; its attributes are None for all but callers with a Cognito identity."""
        return CognitoIdentity(self._read("lambda-runtime-cognito-identity") or {})

    def log(self, message: object) -> None:
        """Write to the log."""
        from sys import stdout

        stdout.write(str(message))

    def _read(self, name: str) -> dict[str, Any] | None:
        text = self._headers.get(name)
        if not text:
            return None
        from json import loads

        found: dict[str, Any] = loads(text)
        return found

    def __repr__(self) -> str:
        return f"LambdaContext(aws_request_id={self.aws_request_id})"
