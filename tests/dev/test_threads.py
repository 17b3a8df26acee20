"""The pool of threads."""

import asyncio
import threading
import time

import pytest

from portable.serving.threads import Threads


def test_a_thread_that_is_idle_is_used_again():
    async def run():
        pool = Threads(8, "test")
        used = set()
        for _ in range(100):
            used.add(await pool.run(threading.get_ident))
            while not pool._idle:  # noqa: ASYNC110 - its result comes a moment before it is
                await asyncio.sleep(0.001)
        return used

    assert len(asyncio.run(run())) == 1


def test_no_more_run_at_once_than_allowed_and_the_rest_wait_in_order():
    async def run():
        pool = Threads(3, "test")
        running, most, order = set(), [0], []

        def job(number):
            running.add(number)
            most[0] = max(most[0], len(running))
            order.append(number)
            time.sleep(0.01)
            running.discard(number)
            return number

        assert await asyncio.gather(*(pool.run(job, n) for n in range(12))) == list(range(12))
        return most[0], order

    most, order = asyncio.run(run())
    assert most == 3
    assert sorted(order[:3]) == [0, 1, 2]


def test_what_it_raises_is_raised():
    async def run():
        await Threads(1, "test").run(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(run())
