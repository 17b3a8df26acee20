"""Removes what a crash left in a bucket's stream: chunks of writes that never happened, or that were replaced.

    python -m portable_nats.sweep uploads photos

sweeps these buckets, by the names their addresses have in the environment. Run it now and then, from a schedule.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from time import time

from portable.drivers import address_variable
from portable.resources import check_name
from portable_nats._sdk import Link
from portable_nats.bucket import chunks_stream, chunks_subject
from portable_nats.index import Index
from portable_nats.keys import read_place
from portable_nats.store import subjects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["sweep"]

DAY = timedelta(days=1)


def sweep(name: str, environment: Mapping[str, str] | None = None, *, older: timedelta = DAY) -> int:
    """Remove the garbage of the bucket ``name``, and return of how many writes it was.

    Args:
        environment: addresses, servers and credentials; None reads the process's own.
        older: what was begun after that long ago is left alone. No write may take longer.
    """
    link = Link(environment)
    try:
        return link.call(_sweep(link, *read_place("bucket", check_name("bucket", name), environment), older))
    finally:
        link.close()


async def _sweep(link: Link, urls: str, bucket: str, older: timedelta) -> int:
    server = link.server(urls)
    index, stream = Index(server, bucket), chunks_stream(bucket)
    latest = int((time() - older.total_seconds()) * 1000)
    left = set()
    async for subject in subjects(server, stream, chunks_subject(bucket, "*", 0)):
        blob = subject.split(".")[-2]
        if int(blob[:12], 16) < latest:
            left.add(blob)
    if left:
        # The index is read after the chunks were listed: what was begun since is not among them.
        for key in await index.keys(""):
            entry = await index.find(key)
            if entry is not None:
                left.discard(entry.blob)
    for blob in left:
        await server.api(f"STREAM.PURGE.{stream}", {"filter": chunks_subject(bucket, blob, "*")})
    return len(left)


if __name__ == "__main__":
    for bucket_name in sys.argv[1:]:
        sys.stdout.write(f"{address_variable('bucket', bucket_name)}: {sweep(bucket_name)} removed\n")
