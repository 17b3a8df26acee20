"""What a container runs on, and what each platform beside it can do for its triggers."""

from __future__ import annotations

__all__ = ["PYTHONS"]

PYTHONS = ("3.13", "3.12", "3.11")
"""Those this framework is tested on; an image brings its own."""
