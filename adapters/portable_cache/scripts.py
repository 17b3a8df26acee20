"""What Redis runs in one piece, https://redis.io/docs/latest/develop/programmability/eval-intro."""

from __future__ import annotations

__all__ = ["ADVANCE"]

# Microseconds since the epoch have 51 bits, and Lua's numbers are exact to 53.
ADVANCE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local held = redis.call('GET', KEYS[1])
local mark = held and string.match(held, '^%d+$') and tonumber(held)
if held and not mark then return redis.error_reply('ERR value is not an integer or out of range') end
if not mark or mark < now then mark = now end
local by = tonumber(ARGV[1])
if mark - now + by > tonumber(ARGV[2]) then return {0, mark - now} end
mark = mark + by
if mark > now then
  redis.call('SET', KEYS[1], string.format('%.0f', mark), 'PX', string.format('%.0f', math.ceil((mark - now) / 1000)))
end
return {1, mark - now}
"""
"""``CacheDriver.advance``: the key, ``by`` and ``most``."""
