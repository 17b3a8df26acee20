"""Calls of Google Cloud's REST APIs: credentials, endpoints, retries, long-running operations, and their errors.

The bodies are those of ``deployment.json``. An endpoint can be set as for gcloud,
``CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=http://127.0.0.1:8085/``; over plain HTTP no credentials are sent.
https://cloud.google.com/sdk/gcloud/reference/config/set#api_endpoint_overrides
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from portable.deploy import Place
from portable.errors import ConfigError, DeployError
from portable_gcp import _sdk

__all__ = ["Api", "Refused"]

TIMEOUT = 60.0  # seconds of one call
OPERATION = 1800.0  # seconds that a build, a database or an index may take
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0  # seconds between two looks at an operation
_AGAIN = (429, 500, 502, 503, 504)
_ATTEMPTS = 5
_ENABLED_WITHIN, _ENABLING_WAIT = 180.0, 5.0  # seconds until an API that was just enabled is, and between two tries
_VERSIONS = {
    "cloudfunctions": "v2",
    "run": "v2",
    "logging": "v2",
    "cloudresourcemanager": "v3",
    "storage": "storage/v1",
}
"""Of the APIs whose version is not v1."""


class Refused(DeployError):
    """An API said no.

    Attributes:
        status: of HTTP. reason: in its words. disabled: the API that is not enabled in the project, or "".
    """

    def __init__(self, what: str, status: int, reason: str, disabled: str = "") -> None:
        way_out = f"; gcloud services enable {disabled}" if disabled else ""
        super().__init__(f"{what}: {reason} (HTTP {status}){way_out}")
        self.status = status
        self.reason = reason
        self.disabled = disabled


class Api:
    """One deployment's connection to all the APIs, for use in a ``with``.

    Attributes:
        enabling: whether what is not enabled has just been, so that it is waited for; else nothing is there.
        disabled: the APIs that were found so.
    """

    def __init__(self, place: Place) -> None:
        self.enabling = False
        self.disabled: set[str] = set()
        self._environment = place.environment
        self._authorized: Any = None
        self._plain: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for session in (self._authorized, self._plain):
            if session is not None:
                session.close()

    def get(self, what: str, service: str, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """What is there, None where nothing is. Raises Refused."""
        try:
            return self.call(what, "GET", service, path, params=params)
        except Refused as error:
            if error.disabled and not self.enabling:
                self.disabled.add(error.disabled)
                return None
            if error.status == 404:
                return None
            raise

    def call(
        self,
        what: str,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """The answer to a call, begun anew where the service was busy. Raises Refused naming ``what``."""
        base = self._endpoint(service)
        url = f"{base}/{_VERSIONS.get(service, 'v1')}/{path}"
        attempt, last = 0, time.monotonic() + _ENABLED_WITHIN
        while True:
            answer = self._send(what, method, base, url, body, params)
            if answer.status_code < 400:
                return answer.json() if answer.content else {}
            attempt += 1
            disabled = _disabled(answer)
            if answer.status_code in _AGAIN and attempt < _ATTEMPTS:
                time.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))
            elif disabled and self.enabling and time.monotonic() < last:
                time.sleep(_ENABLING_WAIT)
            else:
                raise Refused(what, answer.status_code, _reason(answer), disabled)

    def finish(self, what: str, service: str, operation: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wait for a long-running operation, and give its result. Raises Refused with its error."""
        wait, last = _FIRST_WAIT, time.monotonic() + OPERATION
        while not operation.get("done"):
            if time.monotonic() > last:
                raise DeployError(f"{what}: not done after {OPERATION:g} s; operation {operation['name']}")
            time.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 1.5)
            operation = self.call(what, "GET", service, operation["name"])
        if "error" in operation:
            error = operation["error"]
            raise Refused(what, int(error.get("code", 0)), str(error.get("message", error)))
        response: Mapping[str, Any] = operation.get("response", {})
        return response

    def put_file(self, what: str, url: str, content: bytes) -> None:
        """Upload to a URL that is signed. Raises Refused."""
        answer = self._without_credentials().put(
            url, data=content, headers={"content-type": "application/zip"}, timeout=TIMEOUT * 5
        )
        if answer.status_code >= 400:
            raise Refused(what, answer.status_code, _reason(answer))

    def _endpoint(self, service: str) -> str:
        name = f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}"
        return (self._environment.get(name) or f"https://{service}.googleapis.com").rstrip("/")

    def _send(self, what: str, method: str, base: str, url: str, body: Any, params: Mapping[str, Any] | None) -> Any:
        failed = _requests().RequestException
        session = self._without_credentials() if base.startswith("http://") else self._with_credentials()
        try:
            return session.request(method, url, json=body, params=params, timeout=TIMEOUT)
        except failed as error:
            raise DeployError(f"{what}: {error}") from error
        except Exception as error:
            if not type(error).__module__.startswith("google.auth"):
                raise
            raise ConfigError(
                f"{what}: Google does not take these credentials: {error}; gcloud auth application-default login"
            ) from error

    def _with_credentials(self) -> Any:
        if self._authorized is None:
            self._authorized = _sdk.authorized_session()
        return self._authorized

    def _without_credentials(self) -> Any:
        if self._plain is None:
            self._plain = _requests().Session()
        return self._plain


def _requests() -> Any:
    """The library that google-auth calls by. Raises ConfigError where it is not installed."""
    try:
        import requests
    except ImportError as error:
        raise ConfigError(
            "what deploys to Google Cloud is not installed: pip install 'portable-functions[gcp]'"
        ) from error
    return requests


def _disabled(answer: Any) -> str:
    """The API that is not enabled in the project; "" where that is not the reason.

    https://cloud.google.com/apis/design/errors#error_info
    """
    try:
        details = answer.json()["error"].get("details", ())
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    for one in details:
        if one.get("reason") == "SERVICE_DISABLED":
            return str(one.get("metadata", {}).get("service", ""))
    return ""


def _reason(answer: Any) -> str:
    """What an API says went wrong: ``{"error": {"message": …, "details": […]}}``, or whatever it wrote."""
    try:
        error = answer.json()["error"]
        found = str(error["message"])
    except (ValueError, KeyError, TypeError):
        return str(answer.text[:500] or answer.reason)
    fields = [
        f"{one.get('field')}: {one.get('description')}"
        for detail in error.get("details", ())
        for one in detail.get("fieldViolations", ())
    ]
    return "; ".join([found, *fields])
