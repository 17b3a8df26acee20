"""What is posted as a plain HTTP request: Cloud Scheduler's jobs, and direct calls.

https://cloud.google.com/scheduler/docs/reference/rpc/google.cloud.scheduler.v1#httptarget: an HTTP target gets
``X-CloudScheduler-ScheduleTime``, the time the job was due at, in RFC 3339. The headers prove nothing; the
OIDC token of the job does.

A direct call is a POST of JSON, answered with JSON. It is for whoever holds ``roles/run.invoker`` on the service: Cloud
Run's IAM check stands before it, so its service is never public.
"""

from __future__ import annotations

from datetime import UTC, datetime

from portable.errors import HTTPError
from portable.events import Response, Tick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Direct", "Scheduler"]


def _only_post(native: Any, who: str) -> None:
    if native.environ["REQUEST_METHOD"] != "POST":
        raise HTTPError(405, f"{who} with POST", headers={"allow": "POST"})


class Scheduler:
    """A job of Cloud Scheduler with an HTTP target and an OIDC token."""

    signature = "http"
    guarded = True

    @staticmethod
    def decode(native: Any) -> Tick:
        """The tick of a job's request."""
        _only_post(native, "Cloud Scheduler calls this")
        text = native.environ.get("HTTP_X_CLOUDSCHEDULER_SCHEDULETIME")
        if not text:
            raise HTTPError(400, "not a request of Cloud Scheduler: header X-CloudScheduler-ScheduleTime is missing")
        try:
            due = datetime.fromisoformat(text)
        except ValueError as error:
            raise HTTPError(400, f"X-CloudScheduler-ScheduleTime is no RFC 3339 time: {text!r}") from error
        return Tick(due if due.tzinfo else due.replace(tzinfo=UTC), native)

    @staticmethod
    def encode(_: Any) -> Response:
        """Done."""
        return Response(None, 204)


class Direct:
    """A call by name. Who may call is decided by IAM, before the request arrives."""

    signature = "http"
    guarded = False

    @staticmethod
    def decode(native: Any) -> Any:
        """The payload; None for an empty body."""
        from json import loads

        _only_post(native, "a function is called")
        data = native.get_data()
        try:
            return loads(data) if data else None
        except ValueError as error:
            raise HTTPError(400, f"the payload is not JSON: {error}") from error

    @staticmethod
    def encode(value: Any) -> Response:
        """The answer as JSON."""
        from portable.jsontext import encode_text

        return Response(encode_text(value), 200, None, "application/json")
