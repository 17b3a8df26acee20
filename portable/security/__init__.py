"""Who may call: bearer tokens.

Each object is a dependency (``claims: Annotated[Claims, Depends(jwt)]``) and, as it is, a middleware for the whole app
(``app.middleware(jwt)``). What an app does not use is not imported.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portable.security.bearer import JWTBearer
    from portable.security.claims import Claims

__all__ = [
    "Claims",
    "JWTBearer",
]

_MODULES = {
    "Claims": "claims",
    "JWTBearer": "bearer",
}

if not TYPE_CHECKING:

    def __getattr__(name):  # noqa: ANN001, ANN202 - type checkers read the imports above
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        full = f"{__name__}.{module}"
        __import__(full)
        from sys import modules

        found = globals()[name] = getattr(modules[full], name)
        return found
