"""The tables of errors of Redis and Upstash."""

from __future__ import annotations

import builtins
import http.client

import pytest

from portable import PermissionDeniedError, ServiceError, UnavailableError, UnsupportedError
from portable_cache.errors import BY_CODE, BY_STATUS, BY_TYPE, kind_of_code, kind_of_status, translate

exceptions = pytest.importorskip("redis.exceptions")


@pytest.mark.parametrize("code", BY_CODE)
def test_codes(code: str) -> None:
    parser = pytest.importorskip("redis._parsers.base").BaseParser  # which takes the word off where it has a class
    prefix = "ERR " if " " in code else ""
    for found in (parser.parse_error(f"{prefix}{code} 3999 127.0.0.1:6381"), exceptions.ResponseError(f"{code} why")):
        error = translate(found, "cache limits", "k")
        assert type(error) is BY_CODE[code], found
        assert str(error).startswith("cache limits, key 'k': ")


def test_the_named_classes_exist() -> None:
    places = (exceptions, builtins, http.client)
    assert {name for name in BY_TYPE if not any(hasattr(place, name) for place in places)} == set()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.AuthenticationError("invalid"), PermissionDeniedError),
        (exceptions.NoPermissionError("why"), PermissionDeniedError),
        (exceptions.BusyLoadingError("why"), UnavailableError),
        (exceptions.ConnectionError("refused"), UnavailableError),
        (exceptions.TimeoutError("late"), UnavailableError),
        (exceptions.ReadOnlyError("a replica"), UnavailableError),
        (exceptions.ResponseError("unheard of"), ServiceError),
        (ConnectionResetError(104, "reset"), UnavailableError),
        (TimeoutError("late"), UnavailableError),
        (http.client.RemoteDisconnected("gone"), UnavailableError),
        (http.client.IncompleteRead(b"half"), UnavailableError),
        (RuntimeError("odd"), ServiceError),
    ],
)
def test_kinds(error: Exception, kind: type[Exception]) -> None:
    assert type(translate(error, "cache limits")) is kind


def test_every_class_of_redis_py_is_decided() -> None:
    found = [value for value in vars(exceptions).values() if isinstance(value, type) and issubclass(value, Exception)]
    unavailable = [
        one.__name__ for one in found if issubclass(one, (exceptions.ConnectionError, exceptions.TimeoutError))
    ]
    for name in unavailable:
        kind = type(translate(getattr(exceptions, name)("why"), "cache limits"))
        assert kind in (UnavailableError, PermissionDeniedError), name


@pytest.mark.parametrize(
    ("status", "kind"),
    [*BY_STATUS.items(), (500, UnavailableError), (503, UnavailableError), (400, None), (404, None)],
)
def test_statuses(status: int, kind: type[ServiceError] | None) -> None:
    assert kind_of_status(status) is kind


def test_a_cluster_that_shows_its_nodes_is_not_served() -> None:
    assert kind_of_code("MOVED 3999 127.0.0.1:6381") is UnsupportedError
