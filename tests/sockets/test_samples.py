"""Documents of websocket events, and an app of several functions seen as every target gives them."""

import pytest

from portable import ConfigError, SocketEvent
from portable.manifest import FunctionRecord, TriggerRecord
from portable.samples.neutral import event_document, event_of, sample_event
from portable_local.samples import SAMPLES
from portable_local.triggers import SOURCES

TRIGGER = TriggerRecord("socket", "app:chat", "app.py:1", {"path": "/chat", "sockets": "rooms"})
FUNCTION = FunctionRecord("chat", "socket", [TRIGGER], None, None, [], [], is_async=False)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "connect", "query": [["a", "1"], ["a", "2"]], "headers": [["x", "y"]], "client": "203.0.113.9"},
        {"connection": "abc", "text": "hé"},
        {"connection": "abc", "base64": "AP8="},
        {"kind": "disconnect", "connection": "abc", "code": 1001, "reason": "gone"},
    ],
)
def test_a_document_is_an_event_and_back(document):
    event = event_of(FUNCTION, document)
    assert event.path == "/chat"
    again = event_document(FUNCTION, event)
    assert event_document(FUNCTION, event_of(FUNCTION, again)) == again
    read = SOURCES["socket"].decode(SAMPLES.native(FUNCTION, event))
    assert (read.kind, read.connection, read.body, read.code, read.reason) == (
        event.kind, event.connection, event.body, event.code, event.reason,
    )  # fmt: skip
    if event.kind == "connect":
        assert (read.query, read.headers, read.client) == (event.query, event.headers, event.client)


def test_a_message_of_json():
    assert event_of(FUNCTION, {"json": {"a": 1}}).json() == {"a": 1}
    assert sample_event(FUNCTION).json() == {"name": "Ada", "count": 3}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"kind": "other"}, "kind"),
        ({"text": "a", "base64": "AA=="}, "text and base64 would both be the body"),
        ({"kind": "connect", "text": "a"}, "a connect event has no body"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_a_wrong_document_is_named(document, said):
    with pytest.raises(ConfigError, match=said):
        event_of(FUNCTION, document)


@pytest.mark.parametrize("event", [{}, [], {"kind": "other", "connection": "a"}, {"kind": "message"}])
def test_a_malformed_local_event_is_named(event):
    with pytest.raises(ValueError, match="local socket event"):
        SOURCES["socket"].decode(event)


def test_an_event_says_what_it_is():
    assert repr(SocketEvent("message", "abc", "x")) == "<SocketEvent message abc>"
    with pytest.raises(AttributeError):
        _ = SocketEvent("message", "abc").nothing
