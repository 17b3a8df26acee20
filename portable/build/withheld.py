"""Files of a project that are never deployed: what holds secrets, by its name or by what is in it.

``include`` does not bring them back, but for a certificate's ``.pem`` that has no private key in it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from portable.errors import ConfigError

__all__ = ["check_path", "holds_secret", "is_plain", "is_regular", "is_secret_name"]

_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".yarnrc.yml",
    ".dockercfg",
    ".git-credentials",
    ".htpasswd",
    ".vault-token",
    ".my.cnf",
    ".s3cfg",
    ".boto",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.ppk",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.pem",
    "*.tfstate",
    "*.tfstate.*",
    "*.tfvars",
    "credentials",
    "credentials.json",
    "credentials.csv",
    "credentials.y*ml",
    "application_default_credentials.json",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "serviceaccount*.json",
    "kubeconfig",
    "local.settings.json",
    "secrets.json",
    "secrets.toml",
    "secrets.y*ml",
)
_FOLDERS = (".git", ".hg", ".svn", ".aws", ".azure", ".gcloud", ".ssh", ".gnupg", ".kube", ".docker", ".terraform")
_PUBLIC_TOO = ("*.pem", "*.key")
_NOT_SECRET = ("*.env.example", ".env.example", ".env.sample", ".env.template", "id_rsa*.pub", "id_*.pub")
_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/:=\s,-]{64}|PuTTY-User-Key-File-"
)
_ACCOUNT = re.compile(rb"\"type\"\s*:\s*\"service_account\"")
_LONGEST = 1_000_000
"""Bytes: what is longer is no key file."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028\u2029\ud800-\udfff]")


def is_secret_name(path: str, included: Sequence[str] = ()) -> bool:
    """Whether a file is called what files with secrets are called. ``included``: patterns that ask for it."""
    *folders, name = path.split("/")
    lowered = name.lower()
    if any(folder in _FOLDERS for folder in folders):
        return True
    if any(fnmatchcase(lowered, pattern) for pattern in _NOT_SECRET):
        return False
    found = [pattern for pattern in _NAMES if fnmatchcase(lowered, pattern)]
    if included and found and all(pattern in _PUBLIC_TOO for pattern in found):
        return False  # a certificate, unless a look into it says otherwise
    return bool(found)


def holds_secret(file: Path) -> bool:
    """Whether a private key or a service account's key is in a file, source code aside, which may speak of them."""
    try:
        size = file.stat().st_size
        if size > _LONGEST or file.suffix in (".py", ".so", ".pyi"):
            return False
        data = file.read_bytes()
    except OSError:
        return False
    return bool(_KEY.search(data)) or (b'"private_key"' in data and bool(_ACCOUNT.search(data)))


def is_regular(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file with content: not a socket, a pipe or a device. Raises ConfigError for a dead link."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except FileNotFoundError:
        raise ConfigError(
            f"{entry.path} is a link to nothing; remove it, or leave it out by `[tool.portable] exclude`"
        ) from None


def is_plain(path: str) -> bool:
    """Whether every tool reads a path back as it is: no control characters, backslashes, or bytes that are no UTF-8."""
    return not _CONTROL.search(path)


def check_path(path: str, entry: os.DirEntry[str], root: str) -> None:
    """Raise ConfigError for a name no bundle may hold, and for a link that leads out of the project."""
    way_out = "or leave it out by `[tool.portable] exclude`"
    if not is_plain(path):
        raise ConfigError(
            f"{path!r} has a character in its name that not every tool reads back as it was: rename it, {way_out}"
        )
    if entry.is_symlink():
        real = os.path.realpath(entry.path)
        if real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
            raise ConfigError(f"{path} is a link that leads out of the project, to {real}: put a copy there, {way_out}")
