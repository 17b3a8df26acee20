"""What ``portable verify`` sends: a project's ``verify.json``, or steps derived from an app's routes and triggers.

    {"steps": [
        {"do": "request", "method": "POST", "path": "/images", "body_file": "cat.png"},
        {"do": "settle"},
        {"do": "request", "path": "/images", "ignore": ["body:/0/time"]},
        {"do": "event", "function": "daily-report", "event": {"scheduled_at": "2026-03-29T08:00:00Z"}},
        {"do": "snapshot", "ignore": ["bucket:reports/*"]}
    ]}

``docs/how-to/verify.md`` explains each field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from portable.errors import ConfigError
from portable.events import Request
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord, Manifest
from portable.samples.neutral import event_document, event_of, make_request, sample_events

__all__ = ["EventStep", "RequestStep", "SettleStep", "SnapshotStep", "Step", "derived", "load", "request_of"]

FILE = "verify.json"
"""The name of a project's own traffic, in its folder."""


class RequestStep(msgspec.Struct, forbid_unknown_fields=True, tag_field="do", tag="request", omit_defaults=True):
    """One HTTP request. The body is one of ``json``, ``text``, ``base64`` and ``body_file`` (relative to the project).

    ``ignore``: parts of the answer that may differ: ``status``, ``body``, ``body:/json/pointer``, ``header:name``.
    """

    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] | list[tuple[str, str]] = []
    json: Any = msgspec.UNSET
    text: str | None = None
    base64: bytes | None = None
    body_file: str | None = None
    ignore: list[str] = []
    label: str = ""


class EventStep(msgspec.Struct, forbid_unknown_fields=True, tag_field="do", tag="event", omit_defaults=True):
    """One event for one function; ``event`` as in ``portable.samples.neutral``. ``ignore``: ``value``, ``error``."""

    function: str
    event: Any = None
    ignore: list[str] = []
    label: str = ""


class SettleStep(msgspec.Struct, forbid_unknown_fields=True, tag_field="do", tag="settle", omit_defaults=True):
    """Deliver messages and blob events until it is quiet. ``timeout`` is seconds."""

    timeout: float = 60.0
    ignore: list[str] = []
    label: str = ""


class SnapshotStep(msgspec.Struct, forbid_unknown_fields=True, tag_field="do", tag="snapshot", omit_defaults=True):
    """Compare what buckets, queues and tables hold. ``ignore``: patterns of ``bucket:NAME/KEY``, ``queue:NAME`` and
    ``table:NAME/KEY``.
    """

    ignore: list[str] = []
    label: str = ""


Step = RequestStep | EventStep | SettleStep | SnapshotStep


class Traffic(msgspec.Struct, forbid_unknown_fields=True):
    """A ``verify.json``."""

    steps: list[Step]


def load(folder: Path, manifest: Manifest) -> list[Step] | None:
    """The steps of a project's ``verify.json``; None when it has none. The last is always a snapshot.

    Raises ConfigError naming the file, the place in it and what is wrong.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        steps = msgspec.json.decode(path.read_bytes(), type=Traffic).steps
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for position, step in enumerate(steps):
        try:
            _check(step, folder, manifest)
        except (ConfigError, ValueError) as error:
            raise ConfigError(f"{path}: step {position + 1} (`$.steps[{position}]`): {error}") from error
    return steps if steps and isinstance(steps[-1], SnapshotStep) else [*steps, SettleStep(), SnapshotStep()]


def request_of(step: RequestStep, folder: Path) -> Request:
    """The request of a step. Raises ValueError for two bodies or a malformed path, ConfigError for a missing file."""
    given = [name for name in ("text", "base64", "body_file") if getattr(step, name) is not None]
    if step.json is not msgspec.UNSET:
        given.append("json")
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} would both be the body; give one")
    pairs = list(step.headers.items() if isinstance(step.headers, dict) else step.headers)
    body = b""
    if step.json is not msgspec.UNSET:
        body = encode_text(step.json).encode()
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("content-type", "application/json"))
    elif step.text is not None:
        body = step.text.encode()
    elif step.base64 is not None:
        body = step.base64
    elif step.body_file is not None:
        try:
            body = (folder / step.body_file).read_bytes()
        except OSError as error:
            raise ConfigError(f"body_file {step.body_file}: {error.strerror}") from error
    return make_request(step.method, step.path, headers=pairs, body=body)


def describe(step: Step) -> str:
    """A few words for the table."""
    if step.label:
        return step.label
    if isinstance(step, RequestStep):
        return f"{step.method} {step.path}"
    if isinstance(step, EventStep):
        return f"event {step.function}"
    return "settle" if isinstance(step, SettleStep) else "storage"


def derived(manifest: Manifest) -> list[Step]:
    """Steps for any app: what every app must answer alike, and a sample of each route and trigger."""
    steps: list[Step] = []
    for function in manifest.functions:
        if function.kind == "http":
            steps += _route_steps(function)
    if steps:
        steps += EDGES
    for function in manifest.functions:
        if function.kind != "http":
            steps += [EventStep(function.name, event_document(function, event)) for event in sample_events(function)]
    return [*steps, SettleStep(), SnapshotStep()]


def _route_steps(function: FunctionRecord) -> list[Step]:
    steps: list[Step] = []
    for event in sample_events(function):
        assert isinstance(event, Request)
        method, path = event.method, event.raw_path
        if method not in ("POST", "PUT", "PATCH"):
            steps.append(RequestStep(method, path))
            if method == "GET":
                steps.append(RequestStep("HEAD", path))
            continue
        name = f"{method} {path}"
        steps += [
            RequestStep(method, path, json={"name": "Ada", "count": 3}),
            RequestStep(method, path, {"content-type": "application/json"}, text="{", label=f"{name}, malformed JSON"),
            RequestStep(method, path, label=f"{name}, empty body"),
            RequestStep(
                method,
                path,
                {"content-type": "application/octet-stream"},
                base64=bytes(range(256)),
                label=f"{name}, binary body",
            ),
        ]
    for path in dict.fromkeys(trigger.raw_path for trigger in sample_events(function)):  # type: ignore[union-attr]
        steps += [
            RequestStep("OPTIONS", path),
            RequestStep("DELETE", path, label=f"DELETE {path}, maybe not allowed"),
            RequestStep("GET", f"{path}?a=1&a=2&b=&c=%26%20%C3%A9", label=f"GET {path}, repeated query"),
            RequestStep(
                "GET",
                path,
                [("x-repeated", "1"), ("x-repeated", "2"), ("cookie", 'one=1; two="2 3"')],
                label=f"GET {path}, repeated headers, cookies",
            ),
        ]
    return steps


EDGES: list[Step] = [
    RequestStep("GET", "/no/such/route"),
    RequestStep("HEAD", "/no/such/route"),
    RequestStep("OPTIONS", "/no/such/route"),
    RequestStep("POST", "/no/such/route", text="lost"),
    RequestStep("GET", "/no%2Fsuch%2Froute"),
    RequestStep("GET", "/caf%C3%A9/%F0%9F%90%88?q=%F0%9F%90%88", label="GET /café/🐈"),
    RequestStep("GET", "/no/such/route/", label="GET, slash at the end"),
]
"""Requests every app must answer alike, whatever its routes."""


def _check(step: Step, folder: Path, manifest: Manifest) -> None:
    if isinstance(step, RequestStep):
        request_of(step, folder)
    if isinstance(step, EventStep):
        event_of(manifest.function(step.function), step.event)
    for pattern in step.ignore:
        allowed = _IGNORED[type(step)]
        if not pattern.startswith(allowed):
            raise ValueError(f"ignore {pattern!r}: here it is one of {', '.join(allowed) or 'none'}")


_IGNORED: dict[type, tuple[str, ...]] = {
    RequestStep: ("status", "body", "body:/", "header:"),
    EventStep: ("value", "error", "failed"),
    SettleStep: (),
    SnapshotStep: ("bucket:", "queue:"),
}
