"""Caches, the same on every cloud: Redis, Upstash over HTTP, and this process's memory."""
