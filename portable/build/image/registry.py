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
        self._client: Any = None
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
        import requests

        url = path if "://" in path else f"{self._root}/{self.reference.repository}/{path}"
        try:
            client = self._client = self._client or self._open()
            # Its own loop would try a refused connection for two minutes.
            once = type(client).do_request.__wrapped__
            known = self._login if url.startswith(f"{self._root}/") else {}
            return once(client, url, method, data=data, headers={**known, **(headers or {})}, stream=stream)
        except requests.RequestException as error:
            raise BuildError(self._unreached(error)) from error
        except ValueError as error:  # what oras says of a login that does not do
            raise BuildError(self._refused("no login that would do")) from error

    def _open(self) -> Any:
        """A client that asks for the login the registry wants."""
        try:
            import oras.provider
            import requests
            from urllib3.util.retry import Retry
        except ImportError as error:
            raise ConfigError("a registry takes oras: pip install 'portable-functions[image]'") from error
        _quiet_oras()
        client = oras.provider.Registry(insecure=self.reference.plain)
        retry = Retry(
            _TRIES - 1, backoff_factor=0.4, status_forcelist=_BUSY, allowed_methods=None, raise_on_status=False
        )

        class Adapter(requests.adapters.HTTPAdapter):
            def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
                return super().send(request, *arguments, **{**more, "timeout": more.get("timeout") or _SECONDS})

        for scheme in ("http://", "https://"):
            client.session.mount(scheme, Adapter(max_retries=retry))
        asked = client.session.get(f"{self._root}/").headers.get("Www-Authenticate", "")
        if asked.lower().startswith("basic"):
            client.auth = oras.auth.get_auth_backend("basic", client.session, self.reference.plain)
        self._log_in(client)
        if asked.lower().startswith("bearer"):
            self._take_token(client, asked)
        elif asked:
            self._login = client.auth.get_auth_header()  # at once, not when a large body was refused
        return client

    def _log_in(self, client: Any) -> None:
        """What ``docker login`` left, in its file or a program the file names."""
        folder = os.environ.get("DOCKER_CONFIG")
        files = [file] if folder and os.path.exists(file := os.path.join(folder, "config.json")) else []
        names = [_HUB_LOGIN, HUB] if self.reference.registry == HUB else [self.reference.registry]
        for name in names:
            container = client.get_container(f"{self.reference.host}/{self.reference.repository}")
            container.registry = name
            client.auth.load_configs(container, configs=list(files))
            if getattr(client.auth, "_basic_auth", None):
                return
        if not hasattr(client.auth, "_basic_auth") and client.auth.__class__.__name__ == "BasicAuth":
            raise BuildError(self._refused("no login"))

    def _take_token(self, client: Any, asked: str) -> None:
        """One token for all of it: a token for reading alone would be refused at the first write."""
        from oras.auth.utils import parse_auth_header

        wanted = parse_auth_header(asked)
        wanted.scope = f"repository:{self.reference.repository}:{'pull,push' if self._push else 'pull'}"
        known = hasattr(client.auth, "_basic_auth")
        take = client.auth.request_token if known else client.auth.request_anonymous_token
        client.auth.token = take(wanted)

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


def _quiet_oras() -> None:
    """It logs to the terminal what is raised here as well."""
    from oras.logger import logger

    logger.set_level(60)


def _said(answer: Any) -> str:
    """What a registry says of an error, in the words of the specification's body."""
    try:
        errors = answer.json()["errors"]
        return "; ".join(str(one.get("message") or one.get("code")) for one in errors)
    except (ValueError, KeyError, TypeError):
        return str(answer.reason)
