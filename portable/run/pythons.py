"""Python interpreters on this machine: see ``portable.build.pythons``, which a build needs too."""

from portable.build.pythons import CURRENT, full_version, interpreter, uv_command

__all__ = ["CURRENT", "full_version", "interpreter", "uv_command"]
