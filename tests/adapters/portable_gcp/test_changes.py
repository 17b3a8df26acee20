"""Changes of tables: Firestore's events, their protobuf, and their way to a handler."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import pytest
from cloudevents.http import from_http
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import Table
from portable.drivers.table import Schema
from portable.errors import HTTPError
from portable.events import Change
from portable.samples.posted import body_of
from portable_gcp.documents import encode_item
from portable_gcp.samples import SAMPLES
from portable_gcp.triggers.firestore import FirestoreEventarc
from portable_gcp.wire import read_event, write_event

DATABASE = "projects/my-project/databases/(default)"
# Not a global Table: these would be resources of the apps that tests beside this one declare.
DECLARED = {f"{DATABASE}/documents/users": ("users", Schema(Table("users", key="id").options))}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=200)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=10,
)
fields = st.dictionaries(st.text(min_size=1, max_size=5), values, max_size=4)


def as_google_writes(document: tuple[str, dict[str, Any]]) -> bytes:
    """A document by Google's own protobuf library."""
    from google.cloud.firestore_v1 import _helpers
    from google.cloud.firestore_v1.types import Document

    name, found = document
    message = Document(name=name, fields=_helpers.encode_dict(found), create_time={"seconds": 5}, update_time={})
    return Document.serialize(message)


def delimited(number: int, data: bytes) -> bytes:
    length = len(data)
    size = bytearray()
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + data


@given(new=fields, old=fields)
@settings(max_examples=100, deadline=None)
def test_what_googles_library_writes_is_read(new: Any, old: Any) -> None:
    documents = (("a/b", new), ("a/c", old))
    theirs = b"".join(delimited(n, as_google_writes(one)) for n, one in enumerate(documents, 1))
    assert read_event(theirs + delimited(3, b"\x0a\x04item")) == documents
    assert read_event(write_event(*documents)) == documents


def test_a_timestamp_is_its_seconds() -> None:
    from datetime import UTC, datetime

    theirs = as_google_writes(("a", {"ttl": datetime(2026, 1, 1, tzinfo=UTC)}))
    assert read_event(delimited(1, theirs)) == (("a", {"ttl": 1767225600}), None)


@given(data=st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_nonsense_is_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        read_event(data)


class Function:
    """As much of a manifest's function as a sample reads."""

    name = "audit"
    kind = "change"


def native_of(change: Change[Any]) -> Any:
    posted = SAMPLES.native(Function(), change)  # type: ignore[arg-type]
    return from_http(dict(posted["headers"]), body_of(posted))


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("insert", None, {"id": "ann", "n": 2**70, "tags": {"a"}}),
        ("update", {"id": "ann", "n": 1}, {"id": "ann", "n": 2}),
        ("delete", {"id": "ann", "photo": b"\xff"}, None),
    ],
)
def test_a_change_comes_back(kind: Any, old: Any, new: Any) -> None:
    sent = Change(kind, "users", "ann", old, new)
    event = native_of(sent)
    got = FirestoreEventarc.decode(event, DECLARED)
    assert (got.kind, got.table, got.key, got.old, got.new) == (kind, "users", "ann", old, new)
    assert abs((got.time - sent.time).total_seconds()) < 0.01
    assert got.native is event


def test_a_collection_of_another_is_refused() -> None:
    with pytest.raises(HTTPError, match=r"404 .*users' is none of this function's") as caught:
        FirestoreEventarc.decode(native_of(Change("insert", "users", "a", None, {"id": "a"})), {})
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no document"),
        (b"\x0a\xff", "no(t)? "),
        (write_event((f"{DATABASE}/documents/users/x", {"name": "theirs"}), None), "not written by portable"),
    ],
)
def test_malformed_event(data: bytes, problem: str) -> None:
    event = native_of(Change("insert", "users", "a", None, {"id": "a"}))
    event.data = data
    with pytest.raises(HTTPError, match=problem) as caught:
        FirestoreEventarc.decode(event, DECLARED)
    assert caught.value.status == 400


def test_another_type_of_event() -> None:
    event = native_of(Change("insert", "users", "a", None, {"id": "a"}))
    event["type"] = "google.cloud.storage.object.v1.finalized"
    with pytest.raises(HTTPError, match=r"this function takes google\.cloud\.firestore"):
        FirestoreEventarc.decode(event, DECLARED)


def test_the_sample_is_protobuf_as_eventarc_sends_it() -> None:
    posted = SAMPLES.native(Function(), Change("insert", "users", "ann", None, {"id": "ann"}))  # type: ignore[arg-type]
    headers = dict(posted["headers"])
    assert headers["content-type"] == "application/protobuf"
    assert headers["ce-subject"] == "documents/users/s.ann"
    data = base64.b64decode(posted["body"]) if posted["base64"] else posted["body"].encode()
    assert data == write_event((f"{DATABASE}/documents/users/s.ann", {"item": encode_item({"id": "ann"})}), None)
