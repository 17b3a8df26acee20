"""Caches on Upstash's REST interface: Redis where only HTTP gets through, without a library.

https://upstash.com/docs/redis/features/restapi: a command is a JSON array; a value that is no text is the body of
``POST /set/KEY``; ``/multi-exec`` takes a transaction; ``Upstash-Encoding: base64`` brings any bytes back.
"""

from __future__ import annotations

from base64 import b64decode
from json import dumps, loads
from threading import Lock

from portable.errors import ConfigError, ServiceError, UnavailableError, UnsupportedError
from portable_cache.errors import kind_of_code, kind_of_status, translate
from portable_cache.retrying import retrying
from portable_cache.scripts import ADVANCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from http.client import HTTPConnection
    from typing import Any

__all__ = ["UpstashCache"]

SECONDS = 5.0
IDLE = 8  # connections kept for the next calls


class UpstashCache:
    """See ``portable.drivers.cache``. ``space`` goes before every key."""

    def __init__(self, name: str, address: str, space: str, token: str) -> None:
        from urllib.parse import unquote, urlsplit

        self._label = f"cache {name}"
        self._space = space
        parts = urlsplit(address)
        self._token = unquote(parts.password or "") or token
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._lock = Lock()
        self._idle: list[HTTPConnection] = []
        if not self._host or not self._token:
            raise ConfigError(
                f"{self._label}: the address of an Upstash cache is https://:TOKEN@HOST, or https://HOST "
                "with the token in UPSTASH_REDIS_REST_TOKEN"
            )

    def get(self, key: str) -> bytes | None:
        """See ``portable.drivers.cache``."""
        return _bytes(retrying(lambda: self._run(key, "GET", self._space + key)))

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See ``portable.drivers.cache``. One call, of one moment."""
        names = [self._space + key for key in keys]
        return [_bytes(one) for one in retrying(lambda: self._run(None, "MGET", *names))]

    def set(self, key: str, value: bytes, ttl: int | None) -> None:
        """See ``portable.drivers.cache``."""
        text = _text(value)
        if text is None:
            retrying(lambda: self._set_raw(key, value, ttl))
        else:
            retrying(lambda: self._run(key, "SET", self._space + key, text, *_expiry(ttl)))

    def _set_raw(self, key: str, value: bytes, ttl: int | None) -> None:
        from urllib.parse import quote

        query = "" if ttl is None else f"?PX={ttl}"
        self._post(key, f"/set/{quote(self._space + key, safe='')}{query}", value)

    def add(self, key: str, value: bytes, ttl: int | None) -> bool:
        """See ``portable.drivers.cache``. Of values that are text in UTF-8 only."""
        text = _text(value)
        if text is None:
            raise UnsupportedError(
                "Upstash's REST interface takes bytes that are no UTF-8 in `set` alone", resource=self._label, key=key
            )
        return self._run(key, "SET", self._space + key, text, "NX", *_expiry(ttl)) is not None

    def delete(self, key: str) -> None:
        """See ``portable.drivers.cache``."""
        retrying(lambda: self._run(key, "DEL", self._space + key))

    def increment(self, key: str, by: int, ttl: int | None) -> int:
        """See ``portable.drivers.cache``. With a time to live it is a transaction of two commands."""
        name = self._space + key
        if ttl is None:
            return self._integer(key, self._run(key, "INCRBY", name, str(by)))
        commands = [["SET", name, "0", "NX", *_expiry(ttl)], ["INCRBY", name, str(by)]]
        answers = self._post(key, "/multi-exec", dumps(commands, ensure_ascii=False).encode())
        if "error" in answers[1]:
            raise self._refusal(key, answers[1]["error"], 400)
        return self._integer(key, answers[1]["result"])

    def advance(self, key: str, by: int, most: int) -> tuple[bool, int]:
        """See ``portable.drivers.cache``. One script, by the server's clock."""
        moved, ahead = self._run(key, "EVAL", ADVANCE, "1", self._space + key, str(by), str(most))
        return bool(moved), int(ahead)

    def _integer(self, key: str, result: Any) -> int:
        if isinstance(result, bool) or not isinstance(result, int):
            raise ServiceError(f"the answer is no integer but {type(result).__name__}", resource=self._label, key=key)
        return result

    def native(self) -> Any:
        """A function that runs one command, ``native()("TTL", "limits:a")``, and returns its result as JSON has it,
        texts in base64.
        """
        return lambda *command: self._run(None, *command)

    def close(self) -> None:
        """Close its connections. The next use makes new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # --- HTTP

    def _run(self, key: str | None, *command: str) -> Any:
        return self._post(key, "/", dumps(command, ensure_ascii=False).encode())["result"]

    def _post(self, key: str | None, path: str, body: bytes) -> Any:
        from http.client import HTTPException

        headers = {"Authorization": f"Bearer {self._token}", "Upstash-Encoding": "base64"}
        connection = self._take()
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
        except (OSError, HTTPException) as error:
            connection.close()
            raise translate(error, self._label, key) from error
        self._give(connection)
        try:
            said = loads(text)
        except ValueError as error:
            kind = kind_of_status(status) or UnavailableError  # what stands before it answered in its place
            raise kind(f"an answer with status {status} that is no JSON", resource=self._label, key=key) from error
        if status != 200 or (isinstance(said, dict) and "result" not in said):
            raise self._refusal(key, str(said.get("error", "")) if isinstance(said, dict) else "", status)
        return said

    def _refusal(self, key: str | None, text: str, status: int) -> ServiceError:
        kind = kind_of_code(text) or kind_of_status(status) or ServiceError
        return kind(f"Upstash: {text} (status {status})", resource=self._label, key=key)

    def _take(self) -> HTTPConnection:
        from select import select

        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connection()
            # A call that must not be repeated shall not find out that the other side hung up long ago.
            if connection.sock is not None and not select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()

    def _give(self, connection: HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._idle) < IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _connection(self) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        return (HTTPSConnection if self._tls else HTTPConnection)(self._host, self._port, timeout=SECONDS)


def _expiry(ttl: int | None) -> tuple[str, ...]:
    return () if ttl is None else ("PX", str(ttl))


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _bytes(result: Any) -> bytes | None:
    return None if result is None else b64decode(result)
