"""The only file that touches redis-py. It is imported on the first use of a cache, never at a start."""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["redis_client"]

CONNECT_SECONDS = 2.0  # a cache that is slower than what it spares is of no use
READ_SECONDS = 5.0


def redis_client(address: str) -> Any:
    """A client of one Redis, safe under threads; it connects on first use. Raises ConfigError.

    It tries nothing again: whether a repetition is safe depends on the call.
    """
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ConfigError(
            "redis-py is not installed: pip install 'portable-functions[redis]' (`portable build` adds it itself)"
        ) from error
    try:
        return Redis.from_url(
            address,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=READ_SECONDS,
            socket_keepalive=True,
            health_check_interval=30,  # a frozen instance comes back with connections that are gone
            protocol=2,  # every server speaks it, and the answers in use are the same
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        pass
    raise ConfigError("the address of a cache is not of the form redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]")
