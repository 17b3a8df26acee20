"""What NATS and this adapter can do, each figure with its source.

[server] github.com/nats-io/nats-server; [ours] chosen here.
"""

from __future__ import annotations

__all__ = [
    "ACK_WAIT_SECONDS",
    "CACHE_BYTES",
    "CHUNK_BYTES",
    "DUPLICATE_SECONDS",
    "LOOK_SECONDS",
    "MAX_PAYLOAD",
    "NAMES_A_PAGE",
    "PATIENCE_SECONDS",
    "TRY_SECONDS",
]

DUPLICATE_SECONDS = 120  # [server] StreamDefaultDuplicatesWindow: how long a stream knows the id of a message
MAX_PAYLOAD = 1024 * 1024  # [server] MAX_PAYLOAD_SIZE, unless max_payload is configured; headers included
NAMES_A_PAGE = 100_000  # [server] JSMaxSubjectDetails: subjects in one answer of STREAM.INFO
ACK_WAIT_SECONDS = 30  # [ours] for a message that no worker got to see: it was on its way to one that went away
LOOK_SECONDS = 10.0  # [ours] at most so often a worker with nothing to do looks what holds an ordered queue back
CACHE_BYTES = 256 * 1024 * 1024  # [ours] a cache as provisioned; the oldest values make room for others
CHUNK_BYTES = 256 * 1024  # [ours] a blob's bytes in one message; servers take 1 MiB unless told otherwise
TRY_SECONDS = 3.0  # [ours] for one answer of a server
PATIENCE_SECONDS = 12.0  # [ours] for a call with its repetitions: a server's restart is bridged, a lost one is told
