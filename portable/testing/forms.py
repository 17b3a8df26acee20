"""A form as a browser sends it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import urlencode

__all__ = ["Files", "write_form"]

File = bytes | tuple[str, bytes] | tuple[str, bytes, str]
Files = Mapping[str, File] | Iterable[tuple[str, File]]


def write_form(fields: Iterable[tuple[str, str]], files: Files) -> tuple[bytes, str]:
    """Body and content type: urlencoded where there are no files, else multipart.

    A file is its bytes, ``(filename, bytes)`` or ``(filename, bytes, content_type)``; of bytes alone the filename is
    the field's name. Equal forms are equal bytes.
    """
    given = list(files.items() if isinstance(files, Mapping) else files)
    if not given:
        return urlencode(list(fields)).encode(), "application/x-www-form-urlencoded"
    parts = [(f"name={_quoted(name)}", value.encode(), "") for name, value in fields]
    for name, file in given:
        filename, content, kind = (name, file, "") if isinstance(file, bytes) else (*file, "")[:3]
        parts.append((f"name={_quoted(name)}; filename={_quoted(filename)}", content, kind))
    digest = sha256()
    for part in parts:
        digest.update(repr(part).encode())
    boundary = digest.hexdigest()[:32]
    body = bytearray()
    for said, content, kind in parts:
        head = f"--{boundary}\r\nContent-Disposition: form-data; {said}\r\n"
        if kind:
            head += f"Content-Type: {kind}\r\n"
        body += f"{head}\r\n".encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return bytes(body), f"multipart/form-data; boundary={boundary}"


def _quoted(text: str) -> str:
    """As browsers write names: https://html.spec.whatwg.org/#multipart-form-data."""
    for character, code in (('"', "%22"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(character, code)
    return f'"{text}"'
