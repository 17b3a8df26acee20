"""A chat: rooms over a websocket, the last messages of each in a table; the same on AWS, Azure and this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from portable import App, HTTPError, Response, SocketEvent

app = App("chat")

KEPT = timedelta(days=7)


class Said(msgspec.Struct):
    """What somebody said. ``at`` sorts."""

    room: str
    at: str
    who: str
    text: str
    until: datetime


class Seat(msgspec.Struct):
    """Who sits behind a connection, and where: no cloud says it again after the connect event."""

    connection: str
    who: str
    room: str
    until: datetime


said = app.table("said", Said, key="room", sort="at", ttl="until")
seats = app.table("seats", Seat, key="connection", ttl="until")
people = app.sockets("people", ttl=timedelta(hours=3))


@app.websocket("/chat", sockets=people)
def talk(event: SocketEvent) -> None:
    if event.kind == "connect":
        come(event)
    elif event.kind == "message":
        say(event)
    else:
        go(event)


def come(event: SocketEvent) -> None:
    who, room = event.query.get("who", ""), event.query.get("room", "lobby")
    if not who.isidentifier():
        raise HTTPError(403, "Say who you are: ?who=ann")
    seats.put(Seat(event.connection, who, room, datetime.now(UTC) + timedelta(hours=3)))
    people.join(event.connection, room)
    people.broadcast(room, {"came": who})


def say(event: SocketEvent) -> None:
    seat = seats.get(event.connection)
    text = event.text().strip()
    if seat is None or not text:
        return
    now = datetime.now(UTC)
    message = Said(seat.room, now.isoformat(timespec="microseconds"), seat.who, text[:1000], now + KEPT)
    said.put(message)
    people.broadcast(seat.room, {"who": message.who, "text": message.text})


def go(event: SocketEvent) -> None:
    seat = seats.get(event.connection)
    if seat is not None:
        seats.delete(event.connection)
        people.leave(event.connection, seat.room)
        people.broadcast(seat.room, {"gone": seat.who})


@app.get("/rooms/{room}")
def history(room: str, limit: int = 20) -> list[dict[str, str]]:
    """The last messages, oldest first."""
    page = said.query(room, limit=max(1, min(limit, 100)), reverse=True)
    return [{"who": one.who, "text": one.text} for one in reversed(page.items)]


@app.post("/rooms/{room}")
def announce(room: str, text: str) -> int:
    """Tell everybody in a room. Answers how many there are."""
    return people.broadcast(room, {"announcement": text})


@app.get("/")
def page() -> Response:
    """A page to try it with, in `portable dev`."""
    return Response(PAGE, media_type="text/html; charset=utf-8")


PAGE = """<!doctype html>
<meta charset="utf-8"><title>chat</title>
<form><input id="text" placeholder="say something" autofocus></form><pre id="log"></pre>
<script>
  const who = prompt("Who are you?") || "nobody";
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/chat?who=${encodeURIComponent(who)}`);
  socket.onmessage = (event) => { log.textContent += event.data + "\\n"; };
  document.forms[0].onsubmit = (event) => { event.preventDefault(); socket.send(text.value); text.value = ""; };
</script>
"""
