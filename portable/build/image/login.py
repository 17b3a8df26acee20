"""The login that ``docker login`` left, as the header of a request."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portable.build.image.reference import HUB, Reference
from portable.build.image.session import MISSING
from portable.errors import BuildError, ConfigError

__all__ = ["login", "missing_helper"]

_HUB_LOGIN = "https://index.docker.io/v1/"  # what Docker calls Docker Hub in its file of logins


def login(session: Any, reference: Reference, challenge: str, actions: str) -> Mapping[str, str]:
    """The header that answers a ``WWW-Authenticate``; empty where nobody is logged in, and the registry asks for one.

    ``actions``: ``pull`` or ``pull,push``. Raises ConfigError for a file of logins that cannot be read, BuildError for
    a challenge that is none of Docker's, and OSError where the token's issuer does not answer.
    """
    try:
        from oras.auth import get_auth_backend
        from oras.auth.utils import parse_auth_header
        from oras.logger import logger
    except ImportError as error:
        raise ConfigError(MISSING) from error

    logger.set_level(60)  # it tells the terminal what is raised here as well
    basic = challenge.lower().startswith("basic")
    backend = get_auth_backend("basic" if basic else "token", session, reference.plain)
    known = _find(backend, reference)
    if basic:
        return backend.get_auth_header() if known else {}
    said = parse_auth_header(challenge)
    if not said.realm:
        raise BuildError(f"{reference}: the registry asks for a login of a kind nobody knows: {challenge[:200]}")
    # One token for all of it: a token for reading alone would be refused at the first write.
    said.scope = f"repository:{reference.repository}:{actions}"
    backend.token = backend.request_token(said) if known else backend.request_anonymous_token(said)
    found: Mapping[str, str] = backend.get_auth_header()
    return found


def missing_helper(reference: Reference) -> str:
    """The program that Docker's file of logins names for a registry, where it is not on PATH; else empty."""
    said = _read(reference)
    named = [said["credHelpers"].get(one) for one in _names(reference)]
    helper = next((one for one in (*named, said["credsStore"]) if one), None)
    program = f"docker-credential-{helper}"
    return program if helper and shutil.which(program) is None else ""


def _find(backend: Any, reference: Reference) -> bool:
    """Whether Docker's file of logins, or a program that it names, has one for this registry."""
    from oras.container import Container

    backend._auth_config = _read(reference)  # oras would lay the file at home over that of DOCKER_CONFIG, or under it
    try:
        for name in _names(reference):
            container = Container(f"registry.invalid/{reference.repository}")
            container.registry = name
            backend.load_configs(container)
            if getattr(backend, "_basic_auth", None):
                return True
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unreadable(reference, error) from error
    return False


def _names(reference: Reference) -> list[str]:
    return [_HUB_LOGIN, HUB] if reference.registry == HUB else [reference.registry]


def _read(reference: Reference) -> dict[str, Any]:
    folder = os.environ.get("DOCKER_CONFIG")
    file = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        said = json.loads(file.read_bytes()) if file.is_file() else {}
        tables = {name: dict(said.get(name) or {}) for name in ("auths", "credHelpers")}
        return {**tables, "credsStore": said.get("credsStore")}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(reference, error) from error


def _unreadable(reference: Reference, error: Exception) -> ConfigError:
    return ConfigError(f"{reference}: the login that `docker login` left cannot be read: {error!r}; log in again")
