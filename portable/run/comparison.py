"""What one step of traffic came to on each target, and where they differ."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from portable.events import Message, Response
from portable.jsontext import encode_text
from portable.run.delivery import Settled
from portable.run.differences import declared_for
from portable.run.storage import Contents
from portable.run.traffic import RequestStep, Step, describe
from portable.samples import Event, Outcome

__all__ = [
    "Difference",
    "Observation",
    "compare",
    "observe_outcome",
    "observe_response",
    "observe_settled",
    "observe_storage",
]

Observation = dict[str, str]
"""Fields of one step's result on one target, each as text: ``status``, ``header:etag``, ``body`` …"""

ABSENT = "—"
"""Stands for a field a target does not have."""

_SHOWN = 300


class Difference(msgspec.Struct, frozen=True):
    """One field of one step that is not the same everywhere. ``values``: by target. ``declared``: the entry's name of
    ``portable.run.differences`` that covers it, else "".
    """

    step: int
    label: str
    field: str
    values: dict[str, str]
    declared: str = ""


def compare(steps: Sequence[Step], observed: Mapping[str, Sequence[Observation]]) -> list[Difference]:
    """Every difference between targets, in order of the steps. ``observed`` has one observation a step."""
    found = []
    for position, step in enumerate(steps):
        rows = {target: observations[position] for target, observations in observed.items()}
        fields = dict.fromkeys(field for row in rows.values() for field in row)
        for field in fields:
            values = {target: row.get(field, ABSENT) for target, row in rows.items()}
            if len(set(values.values())) > 1 and not _ignored(step, field):
                found.append(Difference(position + 1, describe(step), field, values, _declared(step, field, values)))
    return found


def observe_response(response: Response, ignore: Sequence[str] = ()) -> Observation:
    """Status, headers and body. Repeated headers are joined, as a recipient may (RFC 9110, 5.3), cookies apart."""
    headers: dict[str, list[str]] = {}
    for name, value in response.header_pairs():
        headers.setdefault(name.lower(), []).append(value.strip())
    row = {"status": str(response.status)}
    for name, values in sorted(headers.items()):
        if name == "set-cookie":
            cookies = sorted(_read_cookie(value) for value in values)
            row.update({f"header:set-cookie {number + 1}": value for number, value in enumerate(cookies)})
        else:
            row[f"header:{name}"] = ",".join(part.strip() for value in values for part in value.split(","))
    body = response.body.encode() if isinstance(response.body, str) else bytes(response.body or b"")
    row["body"] = _show(_masked(body, row.get("header:content-type", ""), ignore))
    return row


def _read_cookie(line: str) -> str:
    """A ``Set-Cookie`` with its attributes as a browser reads them: in any order and any case (RFC 6265, 5.2)."""
    cookie, *attributes = (part.strip() for part in line.split(";"))
    read = []
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        name = name.strip().lower()
        read.append(f"{name}{equals}{value.strip().lower() if name == 'samesite' else value.strip()}")
    return "; ".join([cookie, *sorted(read)])


def observe_outcome(event: Event, outcome: Outcome, ignore: Sequence[str] = ()) -> Observation:
    """What a function made of an event. Of an error only that there was one: its text is the runtime client's.

    Of a batch, which messages come again: where the cloud has no partial failures, an error means all of them.
    """
    if outcome.response is not None:
        return observe_response(outcome.response, ignore)
    if isinstance(event, list) and all(isinstance(one, Message) for one in event):
        failed = outcome.failed if outcome.error is None else [message.id for message in event]
        return {"failed": ", ".join(sorted(failed))}
    error = "none" if outcome.error is None else "failed"
    return {"error": error, "value": _show(encode_text(outcome.value).encode())}


def observe_settled(settled: Settled) -> Observation:
    """Deliveries, and the failures among them. A message's id is the cloud's own, so it is left out."""
    failures = Counter(
        f"{one.function} {one.subject if '/' in one.subject else 'message'}, attempt {one.attempt}"
        f"{', given up' if one.given_up else ''}"
        for one in settled.failures
    )
    shown = "; ".join(f"{count} × {text}" for text, count in sorted(failures.items()))
    return {"delivered": str(settled.delivered), "failures": shown}


def observe_storage(contents: Contents) -> Observation:
    """Each blob, queue and item."""
    row: Observation = {}
    for bucket, blobs in contents.buckets.items():
        for key, blob in sorted(blobs.items()):
            metadata = "".join(f", {name}={value}" for name, value in sorted(blob.metadata.items()))
            row[f"bucket:{bucket}/{key}"] = (
                f"{blob.size} bytes, {blob.content_type}, sha256 {blob.sha256[:16]}{metadata}"
            )
    for queue, messages in contents.queues.items():
        for what, bodies in (("left", messages.left), ("dead letters", messages.dead_letters)):
            row[f"queue:{queue} {what}"] = _show("\n".join(bodies).encode()) if bodies else "none"
    for table, items in contents.tables.items():
        row |= {f"table:{table}/{key}": _show(item.encode()) for key, item in sorted(items.items())}
    return row


def _masked(body: bytes, content_type: str, ignore: Sequence[str]) -> bytes:
    """The body without what may differ: a problem's request id, who ended what took too long, what the step says."""
    pointers = [entry.removeprefix("body:") for entry in ignore if entry.startswith("body:/")]
    is_problem = content_type.startswith("application/problem+json")
    if is_problem:
        pointers.append("/request_id")
    if not pointers:
        return body
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body
    changed = False
    if is_problem and isinstance(document, dict) and document.get("status") == 504:
        document = {name: value for name, value in document.items() if name not in ("detail", "request_id")}
        changed = True
    for pointer in pointers:
        changed = _mask(document, pointer.split("/")[1:]) or changed
    return encode_text(document).encode() if changed else body


def _mask(document: Any, names: list[str]) -> bool:
    """Replace what a JSON pointer points at. ``*`` stands for every element or member."""
    name = names[0].replace("~1", "/").replace("~0", "~")
    if isinstance(document, list):
        keys: list[Any] = list(range(len(document))) if name == "*" else [int(name)] if name.isdigit() else []
        keys = [key for key in keys if key < len(document)]
    elif isinstance(document, dict):
        keys = list(document) if name == "*" else [name] if name in document else []
    else:
        return False
    changed = False
    for key in keys:
        if len(names) == 1:
            document[key] = "(ignored)"
            changed = True
        else:
            changed = _mask(document[key], names[1:]) or changed
    return changed


def _ignored(step: Step, field: str) -> bool:
    return any(fnmatchcase(field, pattern) or field.startswith(f"{pattern} ") for pattern in step.ignore)


def _declared(step: Step, field: str, values: Mapping[str, str]) -> str:
    """The entry that covers this difference: one that everybody may differ by, or that the odd targets may."""
    sent = _sent(step) if isinstance(step, RequestStep) else []
    common = Counter(values.values()).most_common(1)[0][0]
    odd = [target for target, value in values.items() if value != common]
    entries = [declared_for(field, target, sent) for target in odd]
    names = sorted({entry.name for entry in entries if entry is not None})
    return ", ".join(names) if all(entries) else ""


def _sent(step: RequestStep) -> list[str]:
    pairs = step.headers.items() if isinstance(step.headers, dict) else step.headers
    return [f"path:{step.path.partition('?')[0]}", *(f"header:{name}: {value}" for name, value in pairs)]


def _show(body: bytes) -> str:
    """Short text as it is; anything else by its length and digest, so that equal means equal bytes."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if len(body) <= _SHOWN and (text or not body) and (text.isprintable() or "\n" in text):
        return text
    digest = hashlib.sha256(body).hexdigest()[:16]
    start = f", {text[:60]!r}…" if text else ""
    return f"{len(body)} bytes, sha256 {digest}{start}"
