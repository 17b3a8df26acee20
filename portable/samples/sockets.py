"""Neutral events of websockets, and their documents.

A document is one of these::

{"kind": "connect", "query": [["room", "lobby"]], "headers": {"origin": "https://app.example.com"}}
{"kind": "message", "connection": "abc", "text": "hello"}            "json" or "base64" instead of "text"
{"kind": "disconnect", "connection": "abc", "code": 1001, "reason": "going away"}
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from portable.events import Response, SocketEvent
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord, TriggerRecord
from portable.samples import Event, Outcome

__all__ = ["SocketDocument", "event_of", "outcome_of", "sample", "socket_data", "socket_document"]

CONNECTION = "L0SM9cOFvHcCIhw="

Pairs = dict[str, str] | list[tuple[str, str]]


class SocketDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``connection`` is made up when left out. A message has one of ``text``, ``json`` and ``base64``."""

    kind: Literal["connect", "message", "disconnect"] = "message"
    connection: str = CONNECTION
    text: str | None = None
    json: Any = msgspec.UNSET
    base64: bytes | None = None
    query: Pairs = []
    headers: Pairs = []
    client: str | None = None
    code: int | None = None
    reason: str = ""


def event_of(function: FunctionRecord, document: SocketDocument) -> SocketEvent:
    """The event a document stands for. Raises ValueError."""
    given = [
        name for name in ("text", "json", "base64") if getattr(document, name) not in (None, msgspec.UNSET)
    ]  # a JSON null is no message worth a word
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} would both be the body; give one")
    if given and document.kind != "message":
        raise ValueError(f"a {document.kind} event has no body - at `$.{given[0]}`")
    body: str | bytes = document.text or ""
    if document.json is not msgspec.UNSET:
        body = encode_text(document.json)
    elif document.base64 is not None:
        body = document.base64
    return SocketEvent(
        document.kind,
        document.connection,
        body,
        path=function.asks("path")[0],
        query=document.query,
        headers=document.headers,
        client=document.client,
        code=document.code,
        reason=document.reason,
    )


def socket_document(event: SocketEvent) -> SocketDocument:
    """The inverse of :func:`event_of`."""
    if event.kind == "connect":
        return SocketDocument(
            "connect",
            event.connection,
            query=event.query.items(),
            headers=event.headers.items(),
            client=event.client,
        )
    if event.kind == "disconnect":
        return SocketDocument("disconnect", event.connection, code=event.code, reason=event.reason)
    if isinstance(event.body, str):
        return SocketDocument("message", event.connection, text=event.body)
    return SocketDocument("message", event.connection, base64=bytes(event.body))


def socket_data(event: SocketEvent) -> dict[str, Any]:
    """An event in JSON, but for a message's body, whose form is the target's: of a connection, its query and headers
    as pairs and the client's address; of its end, ``code`` and ``reason``.
    """
    data: dict[str, Any] = {"kind": event.kind, "connection": event.connection}
    if event.kind == "connect":
        pairs = {"query": event.query, "headers": event.headers}
        data |= {name: [list(pair) for pair in found.items()] for name, found in pairs.items()}
        data["client"] = event.client
    elif event.kind == "disconnect":
        data |= {"code": event.code, "reason": event.reason}
    return data


def outcome_of(event: Event, response: Response) -> Outcome:
    """What an answer means to the client: whether it is connected, and by which subprotocol. Nothing later closes."""
    if not isinstance(event, SocketEvent) or event.kind != "connect":
        return Outcome(response=Response(None, 200))
    if response.status >= 300:
        return Outcome(response=response)
    chosen = response.headers.get("sec-websocket-protocol")
    return Outcome(response=Response(None, 200, {"sec-websocket-protocol": chosen} if chosen else None))


def sample(_: FunctionRecord, trigger: TriggerRecord) -> SocketEvent:
    """A message: what comes most often, and needs no connection to answer to when it is only printed."""
    return SocketEvent("message", CONNECTION, '{"name":"Ada","count":3}', path=trigger.options["path"])
