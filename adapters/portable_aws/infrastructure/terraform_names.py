"""Names and arguments of Terraform."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Made", "snake"]

Made = dict[str, dict[str, Any]]
"""Arguments by type and name."""


def snake(name: str) -> str:
    """``EmailsQueue`` is ``emails_queue``, ``maxReceiveCount`` ``max_receive_count``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
