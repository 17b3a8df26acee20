"""What only its own function may import."""

from __future__ import annotations

from portable import Router

router = Router()


@router.get("/heavy", function="heavy")
def weigh() -> str:
    return "heavy"
