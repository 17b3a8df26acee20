"""Write a function once; run it on AWS, Google Cloud, Azure, and your own machine."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portable.app import App as App
    from portable.drivers import BlobInfo as BlobInfo
    from portable.drivers.table import Sort as Sort
    from portable.errors import AlreadyExistsError as AlreadyExistsError
    from portable.errors import BuildError as BuildError
    from portable.errors import ConfigError as ConfigError
    from portable.errors import DeadlineExceededError as DeadlineExceededError
    from portable.errors import DeployError as DeployError
    from portable.errors import HTTPError as HTTPError
    from portable.errors import NotFoundError as NotFoundError
    from portable.errors import PermissionDeniedError as PermissionDeniedError
    from portable.errors import PortableError as PortableError
    from portable.errors import PreconditionFailedError as PreconditionFailedError
    from portable.errors import Reject as Reject
    from portable.errors import Retry as Retry
    from portable.errors import ServiceError as ServiceError
    from portable.errors import UnavailableError as UnavailableError
    from portable.errors import UnsupportedError as UnsupportedError
    from portable.events import BlobEvent as BlobEvent
    from portable.events import Change as Change
    from portable.events import Context as Context
    from portable.events import Headers as Headers
    from portable.events import Message as Message
    from portable.events import Request as Request
    from portable.events import Response as Response
    from portable.events import SocketEvent as SocketEvent
    from portable.events import Tick as Tick
    from portable.events.records import StreamRecord as StreamRecord
    from portable.forms import FormData as FormData
    from portable.forms import FormLimits as FormLimits
    from portable.forms import Upload as Upload
    from portable.http.background import BackgroundTasks as BackgroundTasks
    from portable.http.compression import GZip as GZip
    from portable.http.conditional import ETag as ETag
    from portable.http.conditional import Ranges as Ranges
    from portable.http.conditional import check_conditions as check_conditions
    from portable.http.cors import CORS as CORS
    from portable.http.params import Body as Body
    from portable.http.params import Cookie as Cookie
    from portable.http.params import Depends as Depends
    from portable.http.params import File as File
    from portable.http.params import Form as Form
    from portable.http.params import Header as Header
    from portable.http.params import Path as Path
    from portable.http.params import Query as Query
    from portable.http.redirects import redirect as redirect
    from portable.http.streams import EventStream as EventStream
    from portable.http.streams import ServerSentEvent as ServerSentEvent
    from portable.http.streams import StreamResponse as StreamResponse
    from portable.idempotency import idempotent as idempotent
    from portable.permissions import granted as granted
    from portable.resources.backoff import Backoff as Backoff
    from portable.resources.bucket import Bucket as Bucket
    from portable.resources.cache import Cache as Cache
    from portable.resources.config import Config as Config
    from portable.resources.delivery import Delivery as Delivery
    from portable.resources.pages import Entry as Entry
    from portable.resources.pages import Page as Page
    from portable.resources.queue import Queue as Queue
    from portable.resources.secret import Secret as Secret
    from portable.resources.sockets import Sockets as Sockets
    from portable.resources.stream import Stream as Stream
    from portable.resources.table import Table as Table
    from portable.resources.topic import Topic as Topic
    from portable.router import Router as Router

_HOME = {
    "portable.app": ("App",),
    "portable.drivers": ("BlobInfo",),
    "portable.drivers.table": ("Sort",),
    "portable.errors": (
        "AlreadyExistsError",
        "BuildError",
        "ConfigError",
        "DeadlineExceededError",
        "DeployError",
        "HTTPError",
        "NotFoundError",
        "PermissionDeniedError",
        "PortableError",
        "PreconditionFailedError",
        "Reject",
        "Retry",
        "ServiceError",
        "UnavailableError",
        "UnsupportedError",
    ),
    "portable.events": (
        "BlobEvent",
        "Change",
        "Context",
        "Headers",
        "Message",
        "Request",
        "Response",
        "SocketEvent",
        "Tick",
    ),
    "portable.events.records": ("StreamRecord",),
    "portable.forms": ("FormData", "FormLimits", "Upload"),
    "portable.http.background": ("BackgroundTasks",),
    "portable.http.compression": ("GZip",),
    "portable.http.conditional": ("ETag", "Ranges", "check_conditions"),
    "portable.http.cors": ("CORS",),
    "portable.http.params": ("Body", "Cookie", "Depends", "File", "Form", "Header", "Path", "Query"),
    "portable.http.redirects": ("redirect",),
    "portable.http.streams": ("EventStream", "ServerSentEvent", "StreamResponse"),
    "portable.idempotency": ("idempotent",),
    "portable.permissions": ("granted",),
    "portable.resources.backoff": ("Backoff",),
    "portable.resources.bucket": ("Bucket",),
    "portable.resources.cache": ("Cache",),
    "portable.resources.config": ("Config",),
    "portable.resources.delivery": ("Delivery",),
    "portable.resources.pages": ("Entry", "Page"),
    "portable.resources.queue": ("Queue",),
    "portable.resources.secret": ("Secret",),
    "portable.resources.sockets": ("Sockets",),
    "portable.resources.stream": ("Stream",),
    "portable.resources.table": ("Table",),
    "portable.resources.topic": ("Topic",),
    "portable.router": ("Router",),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - the type checkers read the imports above
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module 'portable' has no attribute {name!r}")
    import sys

    __import__(module)  # importlib would bring warnings along, which a cold start can do without
    value = getattr(sys.modules[module], name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
