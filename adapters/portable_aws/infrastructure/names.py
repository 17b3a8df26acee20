"""Words of CloudFormation: logical ids, references, and names made from an app's own."""

from __future__ import annotations

import hashlib
import re
from typing import Any

__all__ = ["att", "bucket_name", "fitting", "logical", "ref", "sub"]

_UNIQUE = {"Fn::Select": [4, {"Fn::Split": ["-", {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}]}]}
"""The last part of the stack's own id: twelve hexadecimal digits that no other stack has."""
_UNIQUE_LENGTH = 13
_BUCKET_LENGTH = 63  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html


def logical(name: str, suffix: str = "") -> str:
    """A logical id: ``daily-reports`` and ``Bucket`` are ``DailyReportsBucket``."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name)) + suffix


def ref(name: str) -> dict[str, Any]:
    """``!Ref``."""
    return {"Ref": name}


def att(name: str, attribute: str) -> dict[str, Any]:
    """``!GetAtt``."""
    return {"Fn::GetAtt": [name, attribute]}


def sub(text: str) -> dict[str, Any]:
    """``!Sub``."""
    return {"Fn::Sub": text}


def fitting(text: str, most: int) -> str:
    """A name of at most ``most`` characters; what is cut off is told apart by a digest."""
    if len(text) <= most:
        return text
    return f"{text[: most - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def bucket_name(app: str, stage: str, name: str) -> dict[str, Any]:
    """A bucket's name that is known before the bucket is there, unique in the world: it holds a part of the stack's id.

    A bucket notifies a function, whose policy and variables name the bucket: a reference would lead in a circle.
    """
    plain = re.sub(r"[^a-z0-9-]+", "-", f"{app}-{stage}-{name}".lower()).strip("-")
    return {"Fn::Sub": [f"{fitting(plain, _BUCKET_LENGTH - _UNIQUE_LENGTH)}-${{Unique}}", {"Unique": _UNIQUE}]}
