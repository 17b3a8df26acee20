"""The adapter for Google Cloud."""
