"""Reads ``.env`` files strictly: what is unclear is refused with its line, never with what stands there.

    # a comment
    NAME=value            # to the end of the line, blanks around it and a comment after " #" left out
    export NAME='raw'     # as it stands, over several lines too
    NAME="a\\nb"           # with \\n \\r \\t \\" \\\\ \\$ for what they mean

``$`` means nothing: no variable is put in. No library is used: the files hold secrets, which one that expands, or that
skips a line it does not understand, would change without a word; and the local target has no dependencies.
"""

from __future__ import annotations

import re
from pathlib import Path

from portable.errors import ConfigError

__all__ = ["read_env_file"]

LARGEST = 1 << 20  # bytes

_START = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?\n")
_RAW = re.compile(r"'([^']*)'")
_QUOTED = re.compile(r'"((?:[^"\\]|\\[\s\S])*)"')
_PLAIN = re.compile(r"[^\n]*")
_ESCAPE = re.compile(r"\\([\s\S])")
_MEANS = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in a file. Raises ConfigError with file and line, never with a value."""
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ConfigError(f"{path} is larger than {LARGEST} bytes")
    text = _decoded(path, data).replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        blank = _BLANK.match(text, position)
        if blank:
            position = blank.end()
            continue
        name, value, end = _assignment(path, text, position)
        if name in found:
            raise _refusal(path, text, position, f"{name} stands here a second time")
        found[name] = value
        position = end
    return found


def _decoded(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")  # with the mark that Windows editors put in front
    except UnicodeDecodeError as error:
        where = data.count(b"\n", 0, error.start) + 1
    else:
        if "\0" not in text:
            return text
        where = text.count("\n", 0, text.index("\0")) + 1
    # Outside of the handler: the decoder's own error holds all of the file.
    raise ConfigError(f"{path}:{where}: not text in UTF-8")


def _assignment(path: Path, text: str, position: int) -> tuple[str, str, int]:
    start = _START.match(text, position)
    if start is None:
        raise _refusal(path, text, position, "not of the form NAME=value")
    quote = text[start.end()]
    if quote not in "'\"":
        plain = _PLAIN.match(text, start.end())
        assert plain is not None  # it matches nothing, too
        value = re.split(r"(?:^|[ \t])#", plain.group(), maxsplit=1)[0].strip()
        return start.group(1), value, plain.end() + 1
    quoted = (_RAW if quote == "'" else _QUOTED).match(text, start.end())
    if quoted is None:
        raise _refusal(path, text, position, f"the value of {start.group(1)} has no closing {quote}")
    rest = _REST.match(text, quoted.end())
    if rest is None:
        raise _refusal(path, text, quoted.end(), f"something follows the closing {quote} of {start.group(1)}")
    value = quoted.group(1)
    if quote == '"':
        unknown = next((one.group(1) for one in _ESCAPE.finditer(value) if one.group(1) not in _MEANS), None)
        if unknown is not None:
            raise _refusal(path, text, position, f"the value of {start.group(1)} has an escape that is not known")
        value = _ESCAPE.sub(lambda one: _MEANS[one.group(1)], value)
    return start.group(1), value, rest.end()


def _refusal(path: Path, text: str, position: int, problem: str) -> ConfigError:
    return ConfigError(f"{path}:{text.count(chr(10), 0, position) + 1}: {problem}")
