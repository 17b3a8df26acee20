"""Checks before routes, as the manifest has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portable import App, ConfigError, Depends
from portable.app import load_app
from portable.build.dependencies import wanted_requirements
from portable.build.project import Project
from portable.manifest import describe_app
from portable.security import JWTBearer

APP = """
from datetime import timedelta
from typing import Annotated
from portable import App, Depends, Secret
from portable.security import APIKey, BasicAuth, Claims, JWTBearer, RateLimit

app = App("guarded")
limits = app.cache("limits")
jwt = JWTBearer(issuer="https://id.example", audience="shop", except_paths=["/health"])
partners = APIKey(Secret("partner-keys"))
app.middleware(RateLimit(limits, limit=5, per=timedelta(minutes=1)))
app.middleware(jwt)

def verify(name: str, password: str) -> bool:
    return staff.get(name) is not None

staff = app.table("staff", key="name")
emails = app.queue("emails")

@app.get("/health")
def health() -> str: ...

@app.get("/me")
def me(claims: Annotated[Claims, Depends(jwt)]) -> str: ...

@app.delete("/users/{user:int}", dependencies=[Depends(jwt.requires("admin", "write"))])
def remove(user: int) -> None: ...

@app.get("/both")
def both(partner: Annotated[str, Depends(partners)], who: Annotated[str, Depends(BasicAuth(verify))]) -> str: ...

@app.get("/perhaps")
def perhaps(partner: Annotated[str | None, Depends(APIKey(Secret("other-keys")).optional)]) -> str: ...

@app.on_message(emails)
def send(message) -> None: ...
"""


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    (tmp_path / "guarded.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: describe_app(load_app("guarded:app"), "guarded:app", tmp_path)
    sys.modules.pop("guarded", None)


def test_routes_say_what_they_ask(guarded: Callable[[], Any]) -> None:
    asked = {
        f"{one.options['method']} {one.options['path']}": one.options.get("security")
        for one in guarded().function("http").triggers
    }
    bearer: dict[str, Any] = {"scheme": "bearer", "scopes": []}
    assert asked == {
        "GET /health": None,
        "GET /me": [bearer],
        "DELETE /users/{user:int}": [{"scheme": "bearer", "scopes": ["admin", "write"]}],
        "GET /both": [bearer, {"scheme": "api-key", "scopes": []}, {"scheme": "basic", "scopes": []}],
        "GET /perhaps": [bearer],
    }


def test_each_check_once(guarded: Callable[[], Any]) -> None:
    bearer, key, basic = guarded().guards
    assert (bearer.name, bearer.kind, bearer.spec) == ("bearer", "jwt", "guarded:jwt")
    assert (bearer.issuer, bearer.audience, bearer.discovers) == ("https://id.example", ["shop"], True)
    assert bearer.algorithms == ["RS256", "ES256"]
    assert (key.kind, key.spec) == ("api-key", "guarded:partners")
    assert (basic.kind, basic.spec) == ("basic", "")


def test_what_checks_read_is_the_functions(guarded: Callable[[], Any]) -> None:
    manifest = guarded()
    assert manifest.function("http").uses == ["cache:limits", "secret:other-keys", "secret:partner-keys", "table:staff"]
    assert manifest.function("send").uses == ["queue:emails"]


def test_a_bundle_has_what_verifies_tokens(guarded: Callable[[], Any], tmp_path: Path) -> None:
    manifest, project = guarded(), Project(tmp_path, "guarded:app")
    sources = {"guarded.py": tmp_path / "guarded.py"}
    wishes = wanted_requirements(project, [], [], manifest, sources, "aws")
    assert [one for one in wishes.asked if "jwt" in one] == ["pyjwt[crypto]>=2.10"]
    (tmp_path / "guarded.py").write_text("app = None\n")
    assert wanted_requirements(project, [], [], manifest, sources, "aws").asked == ()


def test_two_checks_of_one_name(tmp_path: Path) -> None:
    app = App("shop")
    for path, issuer in (("/a", "https://a.example"), ("/b", "https://b.example")):
        bearer = JWTBearer(issuer=issuer, audience="shop")
        app.get(path, dependencies=[Depends(bearer), Depends(bearer.requires("more"))])(lambda: "in")
    with pytest.raises(ConfigError, match=r"test_guards.py:\d+: two different checks are both called 'bearer'"):
        describe_app(app, "app:app", tmp_path)
