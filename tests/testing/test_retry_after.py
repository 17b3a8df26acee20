"""A message whose handler asked for a later attempt is not delivered before then."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from portable import App, Message, Retry
from portable.testing import TestClient

AFTER = timedelta(milliseconds=600)


def test_a_retry_comes_when_it_was_asked_for() -> None:
    app = App("shop")
    emails = app.queue("emails")
    taken: list[tuple[int, float]] = []

    @app.on_message(emails)
    def handle(message: Message[Any]) -> None:
        taken.append((message.attempt, time.monotonic()))
        if message.attempt == 1:
            raise Retry("later", after=AFTER)

    with TestClient(app) as client:
        emails.send("body")
        limit = time.monotonic() + 30
        while len(taken) < 2:
            assert time.monotonic() < limit
            client.settle()
    assert [attempt for attempt, _ in taken] == [1, 2]
    assert taken[1][1] - taken[0][1] >= AFTER.total_seconds()
