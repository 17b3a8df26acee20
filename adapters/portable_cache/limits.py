"""What a cache can hold, each figure with its source."""

from __future__ import annotations

LARGEST = (1 << 63) - 1  # https://redis.io/docs/latest/commands/incrby: signed integers of 64 bits
SMALLEST = -(1 << 63)

MEMORY_ENTRIES = 10_000
MEMORY_BYTES = 64 * 1024 * 1024  # keys and values, without what Python adds
