"""Who may use this server's own pages: this machine, and no other site that a browser on it has open.

They read and delete blobs and call functions, so three doors are shut: another machine (the peer's address), a name of
somebody's that was made to point here (``Host``: DNS rebinding), and a page of another site that posts here
(``Origin``, ``Sec-Fetch-Site``: cross-site request forgery). The app's own routes answer everyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

__all__ = ["refusal"]

_SAFE = ("GET", "HEAD", "OPTIONS")


def refusal(scope: Mapping[str, Any]) -> str:
    """Why a request for one of the pages is refused; "" when it is not."""
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value.decode("latin-1"))
    client = scope.get("client")
    if client and not _is_loopback(client[0]):
        return "These pages are for the machine the server runs on"
    hosts = headers.get(b"host", [])
    if len(hosts) != 1 or not _is_local_host(hosts[0]):
        return "These pages answer to localhost, 127.0.0.1 and [::1] alone; the Host of this request is another"
    if scope["method"] in _SAFE:
        return ""
    here = f"{scope['scheme']}://{hosts[0]}".lower()
    if any(origin.lower() != here for origin in headers.get(b"origin", [])):
        return "This request comes from a page of another site"
    if any(site not in ("same-origin", "none") for site in headers.get(b"sec-fetch-site", [])):
        return "This request comes from a page of another site"
    return ""


def _is_local_host(host: str) -> bool:
    """Whether a ``Host`` names this machine, whatever its port."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        return bool(bracket) and (not rest or rest.startswith(":")) and _is_loopback(name)
    name = host.partition(":")[0].lower()
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
