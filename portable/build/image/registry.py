"""A registry, through ``oras`` and the login that ``docker login`` made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from portable.build.image.documents import INDEXES, MANIFESTS
from portable.build.image.reference import HUB, Reference
from portable.build.image.store import hashed
from portable.errors import BuildError, ConfigError

__all__ = ["Registry"]

_CHUNK = 1 << 20
_HUB_LOGIN = "https://index.docker.io/v1/"  # what Docker calls Docker Hub in its file of logins
_BUSY = (429, 500, 502, 503, 504)
_TRIES = 4
_SECONDS = (20, 300)  # to connect, and until the next bytes come


class Registry:
    """One repository of a registry. Not safe under threads.

    Requests are repeated, three times with growing waits, where the registry is busy or does not answer. Every method
    raises BuildError that names the reference, what the registry said and the way out.
    """

    def __init__(self, reference: Reference, *, push: bool = False) -> None:
        self.reference = reference
        self._push = push
        self._root = f"{'http' if reference.plain else 'https'}://{reference.host}/v2"
        self._session: Any = None
        self._login: Mapping[str, str] = {}

    def manifest(self, wanted: str) -> tuple[str, bytes]:
        """Media type and bytes of what has a tag or a digest."""
        accepted = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        answer = self._ask("GET", f"manifests/{wanted}", accepted)
        if answer.status_code == 404:
            raise BuildError(f"the registry has no image {self.reference}")
        self._refuse_unless(answer, 200)
        media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        if wanted.startswith("sha256:") and hashed(answer.content) != wanted:
            raise BuildError(f"{self.reference}: the registry answers {wanted} with something else")
        return media_type, answer.content

    def blob(self, digest: str) -> Iterator[bytes]:
        """The content of a blob, in chunks."""
        answer = self._ask("GET", f"blobs/{digest}", stream=True)
        try:
            self._refuse_unless(answer, 200)
            yield from answer.iter_content(_CHUNK)
        except OSError as error:
            raise BuildError(f"{self.reference}: {digest} broke off: {error}") from error
        finally:
            answer.close()

    def has(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        return bool(self._ask("HEAD", f"blobs/{digest}").status_code == 200)

    def upload(self, digest: str, file: Path | bytes, mounted_from: str = "") -> None:
        """Put a blob into the repository, or take it over from another one of the registry's."""
        query = f"?mount={digest}&from={mounted_from}" if mounted_from else ""
        answer = self._ask("POST", f"blobs/uploads/{query}")
        if answer.status_code == 201:
            return  # taken over
        self._refuse_unless(answer, 202)
        place = answer.headers["Location"]
        place = place if "://" in place else f"{self._root.removesuffix('/v2')}{place}"
        place += f"{'&' if '?' in place else '?'}digest={digest}"
        self._refuse_unless(self._put_blob(place, file), 201)

    def put_manifest(self, wanted: str, media_type: str, data: bytes) -> None:
        """Give a manifest or an index a tag or, under its digest, only a place."""
        answer = self._ask("PUT", f"manifests/{wanted}", {"Content-Type": media_type}, data)
        self._refuse_unless(answer, 201)

    def _put_blob(self, place: str, content: Path | bytes) -> Any:
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(content, bytes):
            return self._ask("PUT", place, headers, content)
        return self._ask("PUT", place, headers, _Body(content))

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        *,
        stream: bool = False,
    ) -> Any:
        url = path if "://" in path else f"{self._root}/{self.reference.repository}/{path}"
        ours = url.startswith(f"{self._root}/")  # nobody else is given the login

        def once() -> Any:
            said = {**(self._login if ours else {}), **(headers or {})}
            return self._session.request(method, url, data=data, headers=said, stream=stream)

        try:
            if self._session is None:
                self._session = _session()
                self._log_in()
            answer = once()
            if answer.status_code == 401 and ours and self._login:
                answer.close()
                self._log_in()  # a token lasts minutes
                answer = once()
            return answer
        except OSError as error:  # requests' own are of it
            raise BuildError(self._unreached(error)) from error

    def _log_in(self) -> None:
        """Ask which login the registry wants, and take it from what ``docker login`` left.

        It is said at once, and not when a large body was refused for the lack of it.
        """
        from oras.auth import get_auth_backend
        from oras.auth.utils import parse_auth_header

        wanted = self._session.get(f"{self._root}/").headers.get("Www-Authenticate", "")
        if not wanted:
            return
        basic = wanted.lower().startswith("basic")
        backend = get_auth_backend("basic" if basic else "token", self._session, self.reference.plain)
        known = self._find_login(backend)
        if basic:
            self._login = backend.get_auth_header() if known else {}
            return
        said = parse_auth_header(wanted)
        # One token for all of it: a token for reading alone would be refused at the first write.
        said.scope = f"repository:{self.reference.repository}:{'pull,push' if self._push else 'pull'}"
        backend.token = backend.request_token(said) if known else backend.request_anonymous_token(said)
        self._login = backend.get_auth_header()

    def _find_login(self, backend: Any) -> bool:
        """Whether Docker's file of logins, or a program that it names, has one for this registry."""
        from oras.container import Container

        folder = os.environ.get("DOCKER_CONFIG")
        files = [file] if folder and os.path.exists(file := os.path.join(folder, "config.json")) else []
        names = [_HUB_LOGIN, HUB] if self.reference.registry == HUB else [self.reference.registry]
        for name in names:
            container = Container(f"registry.invalid/{self.reference.repository}")
            container.registry = name
            backend.load_configs(container, configs=list(files))
            if getattr(backend, "_basic_auth", None):
                return True
        return False

    def _refuse_unless(self, answer: Any, status: int) -> None:
        if answer.status_code == status:
            return
        if answer.status_code in (401, 403):
            raise BuildError(self._refused(_said(answer)))
        raise BuildError(f"{self.reference}: the registry says {answer.status_code}: {_said(answer)}")

    def _refused(self, why: str) -> str:
        name = "" if self.reference.registry == HUB else f" {self.reference.registry}"
        what = "write" if self._push else "read"
        return f"the registry lets nobody {what} {self.reference} ({why}): `docker login{name}` with one who may"

    def _unreached(self, error: Exception) -> str:
        reason = getattr(error.args[0], "reason", error) if error.args else error
        way_out = (
            "is it up, and the name right?"
            if self._push
            else "take --base FOLDER, an OCI layout (`skopeo copy docker://… oci:FOLDER`), to build without it"
        )
        return f"{self.reference}: no answer from the registry: {str(reason).rpartition(': ')[2]}; {way_out}"


class _Body:
    """A file that is sent from its start as often as it has to be."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __len__(self) -> int:
        return self._file.stat().st_size

    def __iter__(self) -> Iterator[bytes]:
        with self._file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                yield chunk


def _session() -> Any:
    """A session that asks again where a registry is busy, and waits for no answer for ever."""
    from http.cookiejar import DefaultCookiePolicy

    try:
        import requests
        from oras.logger import logger
        from urllib3.util.retry import Retry
    except ImportError as error:
        raise ConfigError("a registry takes oras: pip install 'portable-functions[image]'") from error

    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
            return super().send(request, *arguments, **{**more, "timeout": more.get("timeout") or _SECONDS})

    logger.set_level(60)  # it tells the terminal what is raised here as well
    session = requests.Session()
    # Some registries take whoever keeps a cookie for a browser.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    retry = Retry(_TRIES - 1, backoff_factor=0.4, status_forcelist=_BUSY, allowed_methods=None, raise_on_status=False)
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter(max_retries=retry))
    return session


def _said(answer: Any) -> str:
    """What a registry says of an error, in the words of the specification's body."""
    try:
        errors = answer.json()["errors"]
        return "; ".join(str(one.get("message") or one.get("code")) for one in errors)
    except (ValueError, KeyError, TypeError):
        return str(answer.reason)
