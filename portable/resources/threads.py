"""The bounded pool on which a blocking driver call runs when it is awaited."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

THREADS = 16


@cache
def pool() -> ThreadPoolExecutor:
    """One pool a process. Calls beyond ``THREADS`` at once wait for a thread."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="portable-resource")
