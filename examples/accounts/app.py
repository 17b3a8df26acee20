"""Accounts: sign up, change your plan, and leave; one app, the same on AWS, Google Cloud, Azure and this machine."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from portable import AlreadyExistsError, App, HTTPError, Message, Sort
from resources import (
    Account,
    Email,
    Plan,
    Signup,
    Team,
    accounts,
    greetings,
    key_of_mailer,
    per_minute,
    requests,
    signups,
)

app = App("accounts")

MINUTE = timedelta(minutes=1)


class NewAccount(msgspec.Struct):
    """What a caller sends."""

    email: Email
    plan: Plan = "free"


class PlanChange(msgspec.Struct):
    """The plan to change to."""

    plan: Plan


@app.post(
    "/teams/{team}/accounts",
    status=201,
    responses={409: "The address has an account in this team", 429: "The team has made its accounts of this minute"},
)
def sign_up(team: Team, body: NewAccount) -> Account:
    """Make an account. The address is taken once in a team, whoever is first."""
    if requests.increment(f"{team}/sign-ups", ttl=MINUTE) > per_minute.value():
        raise HTTPError(429, f"Team {team} has made its accounts of this minute")
    account = Account(team=team, email=body.email, plan=body.plan)
    try:
        accounts.put(account, if_absent=True)
    except AlreadyExistsError as error:
        raise HTTPError(409, f"{body.email} has an account in {team}") from error
    signups.publish(Signup(team, body.email), attributes={"plan": body.plan})
    return account


@app.get("/teams/{team}/accounts")
def list_accounts(team: Team, start: str = "") -> list[Account]:
    """A team's accounts in order of their address, those that begin with ``start``."""
    return list(accounts.query(team, sort=Sort.prefix(start) if start else None))


@app.get("/teams/{team}/accounts/{email}")
def get_account(team: Team, email: Email) -> Account:
    """One account, or a 404."""
    return found(accounts.get(team, email), email)


@app.put("/teams/{team}/accounts/{email}/plan")
def change_plan(team: Team, email: Email, body: PlanChange) -> Account:
    """Change the plan, and count the change, in one step."""
    found(accounts.get(team, email), email)
    return accounts.update(team, email, set={"plan": body.plan}, add={"changes": 1})


@app.delete("/teams/{team}/accounts/{email}")
def leave(team: Team, email: Email) -> None:
    """Remove an account; one that is gone already is no error."""
    accounts.delete(team, email)


@app.get("/plans/{plan}/accounts")
def accounts_of_plan(plan: Plan) -> list[Account]:
    """Everybody on a plan, in whichever team."""
    return list(accounts.query(plan, index="by-plan"))


@app.on_message(signups)
def greet(message: Message[Signup]) -> None:
    """Greet everybody; a message that comes again writes the same greeting again."""
    signature = len(key_of_mailer.value())  # what a mailer would sign with: never shown, never logged
    greetings.write(f"{message.body.team}/{message.body.email}.txt", f"Welcome! (signed, {signature} characters)")


@app.on_message(signups, filter={"plan": ["pro", "team"]})
def call_back(message: Message[Signup]) -> None:
    """Those who pay are called."""
    greetings.write(f"calls/{message.body.team}/{message.body.email}.txt", "call")


def found(account: Account | None, email: str) -> Account:
    """The account, or a 404."""
    if account is None:
        raise HTTPError(404, f"There is no account {email}")
    return account
