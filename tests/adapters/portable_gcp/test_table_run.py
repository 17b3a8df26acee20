"""Tables in a built bundle: the app's own process, Google's library out of the bundle, Google's emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.plugins import adapter
from portable.run.deployment import deployed
from portable.samples.neutral import make_request

APP = """
from decimal import Decimal

import msgspec

from portable import App, Change


class User(msgspec.Struct):
    id: str
    team: str | None = None
    balance: Decimal = Decimal(0)


app = App("shop")
users = app.table("users", User, key="id", indexes={"by-team": "team"})
log = app.table("log", key="user", sort="text")


@app.put("/users/{user_id}")
def put(user_id: str, body: User) -> User:
    users.put(body)
    return users.update(user_id, add={"balance": Decimal("0.1")})


@app.delete("/users/{user_id}")
def delete(user_id: str) -> None:
    users.delete(user_id)


@app.get("/teams/{team}")
def team(team: str) -> list[User]:
    return list(users.query(team, index="by-team"))


@app.get("/log/{user}")
def noted(user: str) -> list[str]:
    return [line["text"] for line in log.query(user)]


@app.on_change(users, old=True)
def audit(change: Change[User]) -> None:
    before, after = (one and str(one.balance) for one in (change.old, change.new))
    log.put({"user": change.key, "text": f"{change.kind}: {before} to {after}"})
"""


@pytest.mark.slow
def test_a_bundle_keeps_items_and_handles_their_changes(tmp_path: Path, require_part: Any) -> None:
    for part in ("java", "firestore-emulator"):
        require_part(part)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\ndependencies = ["msgspec"]\n')
    artifact = build(find_project(tmp_path), adapter("gcp").build, Wanted(for_here=True)).folder
    with deployed(artifact) as deployment:

        def call(method: str, target: str, body: Any = None) -> Any:
            data = b"" if body is None else json.dumps(body).encode()
            headers = [("content-type", "application/json")] if data else []
            response = deployment.request(make_request(method, target, body=data, headers=headers))
            assert response.status in (200, 204), (response.body, deployment.log())
            return json.loads(response.body) if response.body else None

        ann = {"id": "ann", "team": "red", "balance": "0.3"}
        assert call("PUT", "/users/ann", {**ann, "balance": "0.2"}) == ann
        assert call("GET", "/teams/red") == [ann]
        deployment.settle()
        call("DELETE", "/users/ann")
        deployment.settle()
        assert call("GET", "/teams/red") == []
        assert call("GET", "/log/ann") == ["delete: 0.3 to None", "insert: None to 0.3"]
