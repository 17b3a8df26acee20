"""One topic and three handlers, over every target: copies, filters, batches, retries and dead letters."""

from typing import Any

from portable import App, Message, Reject

app = App("topics")
signups = app.topic("signups", dict, max_attempts=5)
seen = app.bucket("seen")


@app.post("/signups/{n}", status=202)
def sign_up(n: int, plan: str = "free", region: str = "us") -> None:
    signups.publish({"n": n, "text": "é 🐍"}, attributes={"plan": plan, "region": region})


@app.post("/many/{count}")
def many(count: int) -> int:
    return len(signups.publish_many({"n": number} for number in range(count)))


@app.on_message(signups, batch_size=1)
def welcome(message: Message[dict[str, Any]]) -> None:
    seen.write(f"welcome/{message.body['n']}", f"{message.body} {sorted(message.attributes.items())} {message.attempt}")
    if message.body["n"] == 13 and message.attempt < 3:
        raise ValueError("not yet")
    if message.body["n"] == 66:
        raise Reject("never")


@app.on_message(signups, filter={"plan": ["pro", "team"], "region": {"prefix": "eu-"}}, batch_size=1)
async def bill(batch: list[Message[dict[str, Any]]]) -> None:
    for message in batch:
        await seen.awrite(f"bill/{message.body['n']}", message.attributes["plan"])
        if message.body["n"] == 99:
            message.fail()
