"""What the app keeps, and where. Declarations only: each cloud's drivers are opened on first use."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from portable import Bucket, Cache, Config, Secret, Table, Topic

Plan = Literal["free", "pro", "team"]
Team = Annotated[str, msgspec.Meta(max_length=40, description="A team's name", examples=["red"])]
Email = Annotated[
    str, msgspec.Meta(max_length=254, pattern=r"^[^\x00-\x20@/]+@[^\x00-\x20@/]+$", examples=["ann@example.com"])
]


class Account(msgspec.Struct):
    """An account. ``changes``: how often its plan was changed."""

    team: str
    email: str
    plan: Plan = "free"
    changes: int = 0


class Signup(msgspec.Struct):
    """Somebody has signed up."""

    team: str
    email: str


accounts = Table("accounts", Account, key="team", sort="email", indexes={"by-plan": ("plan", "email")})
signups = Topic("signups", Signup)
greetings = Bucket("greetings")
requests = Cache("requests")
key_of_mailer = Secret("mailer-key")
per_minute = Config("accounts-per-minute", int, default=60)
