"""Where this tool keeps what it can make again."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cache_folder", "user_cache"]


def user_cache() -> Path:
    """The user's cache directory for this tool; it may not exist yet."""
    from pathlib import Path

    return Path(cache_folder())


def cache_folder() -> str:
    """:func:`user_cache` as text: for what starts too fast for ``pathlib``."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return os.path.join(cache, "portable")
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
        return os.path.join(local, "portable")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Caches/portable")
    return os.path.expanduser("~/.cache/portable")
