"""The adapter for This machine: files, SQLite and a local server."""
