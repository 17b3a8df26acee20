"""Where this tool keeps what it can make again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["user_cache"]


def user_cache() -> Path:
    """The user's cache directory for this tool; it may not exist yet."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "portable"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "portable"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "portable"
    return Path.home() / ".cache" / "portable"
