"""URLs for one blob of a local bucket, signed with a key that lies beside the bucket. ``portable dev`` serves them.

http://127.0.0.1:8000/_portable/signed/uploads?key=in%2Fcat.png&method=GET&expires=1790000000&signature=…
"""

from __future__ import annotations

import hmac
import os
import time
from pathlib import Path
from urllib.parse import urlencode

from portable.drivers.bucket import SignedURL
from portable.errors import PermissionDeniedError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

__all__ = ["URL", "check_url", "signed_url"]

URL = "PORTABLE_LOCAL_URL"
"""Where ``portable dev`` answers; it sets this itself for the app it serves."""

_FIELDS = ("key", "method", "expires", "content_type")


def signed_url(
    folder: Path, bucket: str, key: str, method: str, expires: timedelta, content_type: str | None
) -> SignedURL:
    """A URL of one blob. Raises UnsupportedError where no server is known."""
    base = os.environ.get(URL)
    if not base:
        raise UnsupportedError(
            f"a local bucket's URLs are answered by `portable dev`, and none runs here ({URL} is not set)",
            resource=f"bucket {bucket}",
            key=key,
        )
    fields = {"key": key, "method": method, "expires": str(int(time.time() + expires.total_seconds()))}
    if content_type is not None:
        fields["content_type"] = content_type
    fields["signature"] = _signature(folder, fields)
    headers = {} if content_type is None else {"content-type": content_type}
    return SignedURL(f"{base.rstrip('/')}/_portable/signed/{bucket}?{urlencode(fields)}", method, headers)


def check_url(folder: Path, bucket: str, query: Mapping[str, str], method: str, headers: Mapping[str, str]) -> str:
    """The key a request with a signed URL is for. Raises PermissionDeniedError for one that was not signed for it."""
    key = query.get("key", "")
    expected = _signature(folder, query)
    wrong = ""
    if not hmac.compare_digest(expected.encode(), query.get("signature", "").encode()):
        wrong = "the signature is not this bucket's"
    elif int(query["expires"]) < time.time():
        wrong = "the URL has expired"
    elif method != query["method"] and (method, query["method"]) != ("HEAD", "GET"):
        wrong = f"the URL is for {query['method']}"
    elif "content_type" in query and headers.get("content-type") != query["content_type"]:
        wrong = f"the URL is for content type {query['content_type']}"
    if wrong:
        raise PermissionDeniedError(wrong, resource=f"bucket {bucket}", key=key)
    return key


def _signature(folder: Path, fields: Mapping[str, str]) -> str:
    signed = urlencode([(name, fields[name]) for name in _FIELDS if name in fields])
    return hmac.digest(_secret(folder), signed.encode(), "sha256").hex()


def _secret(folder: Path) -> bytes:
    """The bucket's own, made on first use. Of several processes that begin at once, one wins."""
    path = folder / "url.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        fresh = folder / f"url.key.{os.urandom(8).hex()}"
        fresh.touch(0o600)
        fresh.write_bytes(os.urandom(32))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return path.read_bytes()
