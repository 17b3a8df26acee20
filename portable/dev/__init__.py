"""``portable dev``: the app on this machine, with its queues, buckets and schedules, reloaded on change.

A supervisor process binds the port, watches the project and keeps a worker process running, which serves HTTP with
uvicorn and delivers events over the local platform. State lies in ``.portable/`` of the project and survives both.
Never used in production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portable.errors import ConfigError

if TYPE_CHECKING:
    from portable.build.project import Project

__all__ = ["serve"]

_NEEDED = ("fastapi", "uvicorn", "watchfiles", "websockets")


def serve(project: Project, host: str = "127.0.0.1", port: int = 8000, reload: bool = True) -> int:
    """Serve a project until it is interrupted, and return the exit status.

    Args:
        project: its folder and its App.
        host: where to listen. The pages under ``/_portable/`` answer this machine alone, whatever it is.
        port: 0 takes a free one, which the banner names.
        reload: start anew when a Python file of the project changes. Without it everything runs in this process, where
            a debugger reaches it.

    Raises:
        ConfigError: the port is in use, the extra ``dev`` is not installed, or another one serves this project.
    """
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"portable dev needs {', '.join(missing)}, not installed: pip install 'portable-functions[dev]'"
        )
    from portable.dev.places import bind

    with bind(host, port) as listener:
        if reload:
            from portable.dev.supervisor import supervise

            return supervise(project.root, project.spec, listener)
        from portable.dev.worker import serve_here

        return serve_here(project.root, project.spec, listener)
