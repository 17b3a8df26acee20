"""The adapter for this machine: files, SQLite and a local server."""
