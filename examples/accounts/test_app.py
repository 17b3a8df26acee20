"""One test file for every target: in this process by default, else `pytest --target aws|gcp|azure|local|all`."""

from __future__ import annotations

from typing import Any

from portable.testing import Client


def sign_up(client: Client, email: str, plan: str = "free", team: str = "red") -> dict[str, Any]:
    answer = client.post(f"/teams/{team}/accounts", json={"email": email, "plan": plan})
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json()
    return made


def test_an_account_is_made_found_and_removed(client: Client) -> None:
    made = sign_up(client, "ann@example.com")
    assert made == {"team": "red", "email": "ann@example.com", "plan": "free", "changes": 0}
    assert client.get("/teams/red/accounts/ann@example.com").json() == made
    assert client.delete("/teams/red/accounts/ann@example.com").status == 204
    assert client.delete("/teams/red/accounts/ann@example.com").status == 204
    assert client.get("/teams/red/accounts/ann@example.com").status == 404


def test_an_address_is_taken_once_in_a_team(client: Client) -> None:
    sign_up(client, "ann@example.com")
    assert client.post("/teams/red/accounts", json={"email": "ann@example.com"}).status == 409
    sign_up(client, "ann@example.com", team="blue")


def test_accounts_are_listed_by_team_by_beginning_and_by_plan(client: Client) -> None:
    for email, plan in (("b@example.com", "pro"), ("a@example.com", "free"), ("ab@example.com", "pro")):
        sign_up(client, email, plan)
    sign_up(client, "z@example.com", "pro", team="blue")

    def emails(path: str) -> list[str]:
        return [row["email"] for row in client.get(path).json()]

    assert emails("/teams/red/accounts") == ["a@example.com", "ab@example.com", "b@example.com"]
    assert emails("/teams/red/accounts?start=a") == ["a@example.com", "ab@example.com"]
    assert emails("/plans/pro/accounts") == ["ab@example.com", "b@example.com", "z@example.com"]


def test_a_plan_is_changed_and_the_change_counted(client: Client) -> None:
    sign_up(client, "ann@example.com")
    for plan in ("pro", "team"):
        answer = client.put("/teams/red/accounts/ann@example.com/plan", json={"plan": plan})
        assert answer.status == 200, answer
    assert answer.json() == {"team": "red", "email": "ann@example.com", "plan": "team", "changes": 2}
    assert client.put("/teams/red/accounts/nobody/plan", json={"plan": "pro"}).status == 404
    assert client.put("/teams/red/accounts/ann@example.com/plan", json={"plan": "gold"}).status == 422


def test_everybody_is_greeted_and_who_pays_is_called(client: Client) -> None:
    sign_up(client, "ann@example.com")
    sign_up(client, "bob@example.com", "pro")
    client.settle()
    greetings = client.bucket("greetings")
    assert [info.key for info in greetings.list()] == [
        "calls/red/bob@example.com.txt",
        "red/ann@example.com.txt",
        "red/bob@example.com.txt",
    ]
    assert greetings.read("red/ann@example.com.txt").startswith(b"Welcome! (signed, ")


def test_a_team_makes_no_more_than_its_accounts_of_a_minute(client: Client) -> None:
    statuses = [client.post("/teams/busy/accounts", json={"email": f"{n}@x"}).status for n in range(62)]
    assert statuses == [201] * 60 + [429] * 2
