"""What the proofs of permissions share: an app's module, and the calls of each function held against its grants."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from urllib3 import HTTPResponse

Need = tuple[str, str, str]
"""``kind:name``, part, and what a cloud calls the right to do it."""


class Case(NamedTuple):
    """A function: what it was found to be granted, and its call. ``needs`` is filled while it runs."""

    name: str
    grants: Mapping[str, Iterable[str]]
    run: Callable[[], Any]


@pytest.fixture
def permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """``permitted(source)``: the module ``permitted`` of this source, imported from ``tmp_path``."""

    def write(source: str) -> Any:
        (tmp_path / "permitted.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(str(tmp_path))
        return __import__("permitted")

    yield write
    sys.modules.pop("permitted", None)


@pytest.fixture
def both_ways() -> Callable[..., None]:
    """``both_ways(cases, needs, allowed, every)``: every call of a function is allowed, and of what every verb allows,
    each is needed by some call.

    ``cases``: name, grants and call of each function. ``needs``: a set that the calls are noted in. ``allowed``: from
    grants to needs. ``every``: kind, verb, part and right of each entry of a cloud's table that a call is made for.
    """

    def prove(
        cases: Iterable[Case],
        needs: set[Need],
        allowed: Callable[[Mapping[str, Iterable[str]]], set[Need]],
        every: Iterable[tuple[str, str, str, str]],
    ) -> None:
        unused = set(every)
        for name, grants, run in cases:
            needs.clear()
            run()
            made = set(needs)
            assert made <= allowed(grants), f"{name} does what it is not allowed to"
            for key, verbs in grants.items():
                kind = key.partition(":")[0]
                unused -= {(kind, verb, part, right) for verb in verbs for of, part, right in made if of == key}
        assert unused == set(), "no call needs these"

    return prove


@pytest.fixture
def http_calls(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``http_calls(note)``: each request of the requests library is told first: method, URL, headers, body. Text that
    ``note`` gives back is the answer, and nothing is sent.
    """
    send = requests.Session.request

    def listen(note: Callable[[str, str, Mapping[str, Any], Any], str | None]) -> None:
        def noted(session: Any, method: str, url: str, *given: Any, **options: Any) -> Any:
            body = options.get("data") or (given[1] if len(given) > 1 else None)
            answer = note(method.upper(), url, options.get("headers") or {}, body)
            return send(session, method, url, *given, **options) if answer is None else answered(url, answer)

        monkeypatch.setattr(requests.Session, "request", noted)

    return listen


def answered(url: str, text: str) -> requests.Response:
    """A response of status 200."""
    made = requests.Response()
    made.status_code, made.url, made.reason = 200, url, "OK"
    kind = "application/xml" if text.startswith("<") else "application/json"
    made.headers["Content-Type"] = kind
    made.raw = HTTPResponse(io.BytesIO(text.encode()), {"Content-Type": kind}, 200, preload_content=False)
    return made
