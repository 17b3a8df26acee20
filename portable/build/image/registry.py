"""A registry, with the login that ``docker login`` made.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import msgspec

from portable.build.image.documents import INDEXES, MANIFESTS, Index, Manifest
from portable.build.image.login import login, missing_helper
from portable.build.image.reference import HUB, Reference
from portable.build.image.session import BUSY, CHUNK, TRIES, Body, new_session, reason_of, wait
from portable.build.image.store import LARGEST_DOCUMENT, hashed
from portable.errors import BuildError

__all__ = ["BlobUnknownError", "Registry"]

_AGAIN = (*BUSY, 404, 416)
"""Of an upload: the registry is busy, its place is gone, or it holds part of what was sent before."""


class _Answer(msgspec.Struct):
    """All of what a registry answers, but for a blob."""

    status: int
    reason: str
    headers: Mapping[str, str]
    url: str
    data: bytes


class BlobUnknownError(BuildError):
    """A manifest was refused because the registry has not all that it names."""


class _BrokenOffError(Exception):
    """A body was not taken to its end."""


class Registry:
    """One repository of a registry. Not safe under threads.

    Requests are repeated, three times with growing waits, where the registry is busy or does not answer; a blob that
    breaks off on its way up is begun anew, one on its way down goes on where it stopped. Every method raises BuildError
    that names the reference, what the registry said and the way out.
    """

    def __init__(self, reference: Reference, *, push: bool = False) -> None:
        self.reference = reference
        self._push = push
        self._root = f"{'http' if reference.plain else 'https'}://{reference.host}/v2"
        self._session: Any = None
        self._login: Mapping[str, str] = {}

    def manifest(self, wanted: str) -> tuple[str, bytes]:
        """Media type and bytes of what has a tag or a digest."""
        answer = self._ask("GET", f"manifests/{wanted}", _IMAGES)
        if answer.status == 404:
            raise BuildError(f"the registry has no image {self.reference}")
        self._refuse_unless(answer, 200)
        if wanted.startswith("sha256:") and hashed(answer.data) != wanted:
            raise BuildError(f"{self.reference}: the registry answers {wanted} with something else")
        return answer.headers.get("Content-Type", "").partition(";")[0], answer.data

    def blob(self, digest: str) -> Iterator[bytes]:
        """The content of a blob, in chunks."""
        had = 0
        for attempt in range(TRIES):
            rest = {"Range": f"bytes={had}-"} if had else {}
            # Compressed on its way it would not be what the digest is of.
            answer = self._send("GET", f"blobs/{digest}", {"Accept-Encoding": "identity", **rest})
            if answer.status_code != 206 or not had:
                self._refuse_unless(answer, 200)
            again = had if answer.status_code == 200 else 0
            try:
                for chunk in answer.iter_content(CHUNK):
                    fresh = chunk[again:]
                    again -= len(chunk) - len(fresh)
                    had += len(fresh)
                    yield fresh
                return
            except OSError as error:
                if attempt == TRIES - 1:
                    raise BuildError(f"{self.reference}: {digest} broke off: {reason_of(error)}") from error
            finally:
                answer.close()
            wait(attempt)

    def has(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        return self._ask("HEAD", f"blobs/{digest}").status == 200

    def upload(self, digest: str, file: Path, mounted_from: str = "") -> None:
        """Put a blob into the repository, or take it over from another one of the registry's."""
        query = f"?mount={digest}&from={mounted_from}" if mounted_from else ""
        for attempt in range(TRIES):
            answer = self._ask("POST", f"blobs/uploads/{query}")
            if answer.status == 201:
                return  # taken over
            self._refuse_unless(answer, 202)
            try:
                answer = self._ask("PUT", self._place(answer, digest), _BINARY, Body(file))
            except _BrokenOffError as error:
                if attempt == TRIES - 1:
                    raise BuildError(f"{self.reference}: {digest} broke off: {error}") from error
            else:
                if answer.status not in _AGAIN or attempt == TRIES - 1:
                    self._refuse_unless(answer, 201)
                    return
            wait(attempt)  # what has come of it is not to be relied on: from the start, at a place of its own

    def named_by(self, tag: str) -> tuple[str, set[str]]:
        """The digest of what has a tag, and those of all the blobs it is made of: the registry has them.

        Nothing where there is no such tag, or what has it cannot be read.
        """
        answer = self._ask("GET", f"manifests/{tag}", _IMAGES)
        if answer.status != 200:
            return "", set()
        try:
            documents = [answer.data]
            if "manifests" in msgspec.json.decode(answer.data, type=dict):
                images = msgspec.json.decode(answer.data, type=Index).manifests[:_MOST_IMAGES]
                documents = [self._ask("GET", f"manifests/{one.digest}", _IMAGES).data for one in images]
            made = [msgspec.json.decode(one, type=Manifest) for one in documents]
        except msgspec.MsgspecError:
            return "", set()
        return hashed(answer.data), {part.digest for one in made for part in (*one.layers, one.config)}

    def put_manifest(self, wanted: str, media_type: str, data: bytes) -> None:
        """Give a manifest or an index a tag or, under its digest, only a place.

        Raises BlobUnknownError where something of it is not there.
        """
        answer = self._ask("PUT", f"manifests/{wanted}", {"Content-Type": media_type}, data)
        if answer.status in (400, 404) and b"BLOB_UNKNOWN" in answer.data:
            raise BlobUnknownError(f"{self.reference}: the registry says {answer.status}: {_said(answer)}")
        self._refuse_unless(answer, 201)

    def _place(self, answer: _Answer, digest: str) -> str:
        """Where an upload goes to. What is sent over TLS to the registry is not sent without it to another."""
        said = answer.headers.get("Location", "")
        place = urljoin(answer.url, said)
        if not said or not place.startswith(("https://", "http://") if self.reference.plain else "https://"):
            raise BuildError(f"{self.reference}: the registry sends an upload to {said or 'no place'!r}")
        return f"{place}{'&' if '?' in place else '?'}digest={digest}"

    def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, data: Any = None) -> _Answer:
        return self._read(self._send(method, path, headers, data))

    def _send(self, method: str, path: str, headers: Mapping[str, str] | None = None, data: Any = None) -> Any:
        url = path if "://" in path else f"{self._root}/{self.reference.repository}/{path}"
        ours = url.startswith(f"{self._root}/")  # nobody else is given the login

        def once() -> Any:
            said = {**(self._login if ours else {}), **(headers or {})}
            return self._session.request(method, url, data=data, headers=said, stream=True)

        try:
            if self._session is None:
                self._session = new_session(self.reference)
                self._log_in()
            answer = once()
            if answer.status_code == 401 and ours and self._login:
                answer.close()
                self._log_in()  # a token lasts minutes
                answer = once()
            return answer
        except OSError as error:  # requests' own are of it
            if isinstance(data, Body):
                raise _BrokenOffError(reason_of(error)) from error
            raise BuildError(self._unreached(error)) from error

    def _read(self, answer: Any) -> _Answer:
        data = b""
        try:
            for chunk in answer.iter_content(CHUNK):
                data += chunk
                if len(data) > LARGEST_DOCUMENT:
                    raise BuildError(f"{self.reference}: the registry answers with more than {LARGEST_DOCUMENT} bytes")
        except OSError as error:
            raise BuildError(f"{self.reference}: the registry's answer broke off: {reason_of(error)}") from error
        finally:
            answer.close()
        return _Answer(answer.status_code, str(answer.reason), answer.headers, answer.url, data)

    def _log_in(self) -> None:
        """Ask which login the registry wants, and take it from what ``docker login`` left.

        It is said at once, and not when a large body was refused for the lack of it.
        """
        asked = self._read(self._session.get(f"{self._root}/", stream=True))
        challenge = asked.headers.get("Www-Authenticate", "")
        actions = "pull,push" if self._push else "pull"
        self._login = login(self._session, self.reference, challenge, actions) if challenge else {}

    def _refuse_unless(self, answer: Any, status: int) -> None:
        if not isinstance(answer, _Answer):
            if answer.status_code == status:
                return
            answer = self._read(answer)
        if answer.status == status:
            return
        said, way_out = _said(answer), ""
        if answer.status in (401, 403):
            raise BuildError(self._refused(said))
        if answer.status in BUSY:
            way_out = f"; it was asked {TRIES} times: try again later"
        elif answer.status == 404 and self._push:
            way_out = "; make the repository there first, if it makes none by itself"
        raise BuildError(f"{self.reference}: the registry says {answer.status}: {said}{way_out}")

    def _refused(self, why: str) -> str:
        name = "" if self.reference.registry == HUB else f" {self.reference.registry}"
        what = "write" if self._push else "read"
        helper = missing_helper(self.reference)
        lost = f"{helper}, which keeps its login, is not on PATH; " if helper else ""
        return f"the registry lets nobody {what} {self.reference} ({why}): {lost}`docker login{name}` with one who may"

    def _unreached(self, error: Exception) -> str:
        way_out = (
            "is it up, and the name right?"
            if self._push
            else "take --base FOLDER, an OCI layout (`skopeo copy docker://… oci:FOLDER`), to build without it"
        )
        return f"{self.reference}: no answer from the registry: {reason_of(error)}; {way_out}"


_MOST_IMAGES = 8
_IMAGES = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
_BINARY = {"Content-Type": "application/octet-stream"}


def _said(answer: _Answer) -> str:
    """What a registry says of an error, in the words of the specification's body."""
    try:
        errors = json.loads(answer.data)["errors"]
        return "; ".join(str(one.get("message") or one.get("code")) for one in errors)[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.reason
