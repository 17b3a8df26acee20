"""What a verified token says of its bearer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Base = dict[str, Any]
else:
    Base = dict

__all__ = ["Claims"]


class Claims(Base):
    """The claims of a token, as JSON has them: ``claims["sub"]``. In a test, write them: ``Claims(sub="ada")``."""

    __slots__ = ("_granted",)

    def __init__(self, claims: Mapping[str, Any] = {}, /, **more: Any) -> None:
        super().__init__(claims, **more)
        self._granted: frozenset[str] | None = None

    @property
    def subject(self) -> str:
        """``sub``; "" where there is none."""
        return str(self.get("sub") or "")

    @property
    def issuer(self) -> str:
        """``iss``; "" where there is none."""
        return str(self.get("iss") or "")

    @property
    def scopes(self) -> frozenset[str]:
        """What is in ``scope`` (words, or a list) and ``scp``, and in the claim that ``JWTBearer(roles=…)`` names."""
        if self._granted is None:
            self._granted = words_in(self.get("scope")) | words_in(self.get("scp"))
        return self._granted

    def grant(self, scopes: Iterable[str]) -> None:
        """Add to :attr:`scopes`; the claims stay as they are."""
        self._granted = self.scopes | frozenset(scopes)


def words_in(value: object) -> frozenset[str]:
    """The words of a text, or the texts of a list; of anything else none."""
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, (list, tuple)):
        return frozenset(one for one in value if isinstance(one, str))
    return frozenset()
