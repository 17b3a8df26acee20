"""The only file that touches AWS's SDK. It is imported on the first use of a resource, never at a start.

botocore alone, which is all that boto3's clients are, takes two thirds of boto3's time to import.
"""

from __future__ import annotations

from threading import Lock
from time import sleep

from portable.errors import ConfigError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["Client", "Place", "register_snapshot", "retrying", "snapshot_hooks"]

CONNECT_SECONDS = 5
READ_SECONDS = 30  # above the 20 s that a receive may wait
ATTEMPTS = 3

_making = Lock()


class Client:
    """A client of one AWS service, made on first use. Safe under threads.

    Args:
        service: as botocore names it. environment: region, endpoint and credentials; None leaves them to the SDK.
        region: where the environment names none. style: of S3's addresses, ``virtual`` or ``path``.
        endpoint: of a service that has one for each resource; no other is looked for.
        profile: of the SDK's own settings; whoever deploys may have several.
        attempts: how often the SDK makes a call. Once: whether another is safe depends on the call, :func:`retrying`.
    """

    def __init__(
        self,
        service: str,
        environment: Mapping[str, str] | None,
        region: str | None = None,
        style: str = "virtual",
        endpoint: str | None = None,
        profile: str | None = None,
        attempts: int = 1,
    ) -> None:
        self._service = service
        self._environment = environment
        self._region = region
        self._style = style
        self._own = endpoint
        self._profile = profile
        self._attempts = attempts
        self._client: Any = None
        self._session: Any = None

    def place(self, bucket: str) -> Place | None:
        """Where and as whom botocore speaks to a bucket; None where that is more than a host and a key can say."""
        try:
            return self._place(bucket)
        except Exception:  # a call of the client's says better what is wrong
            return None

    def _place(self, bucket: str) -> Place | None:
        from urllib.parse import parse_qs, urlsplit
        from urllib.request import getproxies

        from botocore.credentials import Credentials
        from botocore.httpsession import where

        url = urlsplit(self.get().generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, 60))
        access, _, region, service, _ = parse_qs(url.query)["X-Amz-Credential"][0].rsplit("/", 4)
        if getproxies() or service != "s3" or not url.path.endswith("/k"):
            return None
        options = self._options()
        if access == options.get("aws_access_key_id"):
            known = (access, options["aws_secret_access_key"], options["aws_session_token"])
            credentials = Credentials(*known)
        else:
            credentials = self._session.get_credentials()
        bundle = self._session.get_config_variable("ca_bundle") or where()
        return Place(url.netloc, url.path[:-1], region, credentials, bundle if url.scheme == "https" else None)

    def get(self) -> Any:
        """The botocore client. Raises ConfigError without the SDK or a region."""
        client = self._client
        if client is None:
            with _making:
                if self._client is None:
                    self._client = self._make()
                client = self._client
        return client

    def close(self) -> None:
        """Close its connections. The next use makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _make(self) -> Any:
        try:
            from botocore.config import Config
            from botocore.exceptions import NoRegionError
            from botocore.session import Session
        except ImportError as error:
            raise ConfigError(
                "AWS's SDK is not installed: pip install 'portable-functions[aws]' (`portable build` adds it itself)"
            ) from error
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": self._attempts, "mode": "standard"},
            # botocore would sign URLs by version 2, which newer regions refuse.
            signature_version="s3v4" if self._service == "s3" else None,
            # An emulator's host names no bucket; S3 itself wants it in the host, where it can be.
            s3={"addressing_style": "path" if self._endpoint() else self._style} if self._service == "s3" else None,
        )
        try:
            self._session = Session(profile=self._profile)
            return self._session.create_client(self._service, config=config, **self._options())
        except NoRegionError as error:
            raise ConfigError("no AWS region is set: set AWS_REGION (Lambda does it itself)") from error

    def _read(self, name: str) -> str | None:
        import os

        return (os.environ if self._environment is None else self._environment).get(name) or None

    def _endpoint(self) -> str | None:
        return self._own or self._read(f"AWS_ENDPOINT_URL_{self._service.upper()}") or self._read("AWS_ENDPOINT_URL")

    def _options(self) -> dict[str, str | None]:
        options = {
            "region_name": self._read("AWS_REGION") or self._read("AWS_DEFAULT_REGION") or self._region,
            "endpoint_url": self._endpoint(),
        }
        if self._environment is not None:
            options["aws_access_key_id"] = self._read("AWS_ACCESS_KEY_ID")
            options["aws_secret_access_key"] = self._read("AWS_SECRET_ACCESS_KEY")
            options["aws_session_token"] = self._read("AWS_SESSION_TOKEN")
        return options


class Place:
    """A bucket's host and path, its region, and who asks.

    Args:
        root: path before the key. certificates: file of the authorities that are trusted; None speaks plain HTTP.
    """

    def __init__(self, host: str, root: str, region: str, credentials: Any, certificates: str | None) -> None:
        self.host = host
        self.region = region
        self._root = root
        self._credentials = credentials
        self._key: tuple[str, str, bytes] = ("", "", b"")
        name, _, port = host.partition(":")
        self._address = (name, int(port or (443 if certificates else 80)))
        self._context: Any = None
        if certificates:
            from ssl import create_default_context

            self._context = create_default_context(cafile=certificates)

    def path(self, key: str) -> str:
        """As it is sent, and signed."""
        from urllib.parse import quote

        return self._root + quote(key, safe="-_.~/")

    def credentials(self) -> tuple[str, str, str | None]:
        """Key, secret and token at this moment; botocore renews them."""
        found = self._credentials.get_frozen_credentials()
        return found.access_key, found.secret_key, found.token

    def signing_key(self, date: str, secret: str) -> bytes:
        """The key of one day."""
        known = self._key
        if known[:2] == (date, secret):
            return known[2]
        from hmac import digest

        key = f"AWS4{secret}".encode()
        for word in (date, self.region, "s3", "aws4_request"):
            key = digest(key, word.encode(), "sha256")
        self._key = (date, secret, key)
        return key

    def connect(self) -> Any:
        """A new connection, with the client's timeouts. Raises OSError."""
        import socket

        made = socket.create_connection(self._address, CONNECT_SECONDS)
        try:
            made.settimeout(READ_SECONDS)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._context.wrap_socket(made, server_hostname=self._address[0]) if self._context else made
        except BaseException:
            made.close()
            raise


def retrying(call: Callable[[], T]) -> T:
    """What ``call`` gives, tried again after UnavailableError. For calls that do no harm twice."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except UnavailableError:
            sleep(0.05 * 4**attempt)
    return call()


def register_snapshot(save: Callable[[], None], restore: Callable[[], None]) -> None:
    """Have the runtime client call these around SnapStart's snapshot. Raises ConfigError for one without them.

    https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    """
    try:
        from snapshot_restore_py import register_after_restore, register_before_snapshot
    except ImportError as error:
        raise ConfigError(
            "SnapStart is on, and the runtime has no snapshot_restore_py; take Python 3.12 or later"
        ) from error
    register_before_snapshot(save)
    register_after_restore(restore)


def snapshot_hooks() -> tuple[list[Callable[[], Any]], list[Callable[[], Any]]]:
    """What was registered to be called before SnapStart's snapshot, and after a restore, each in its order."""
    from functools import partial

    from snapshot_restore_py import get_after_restore, get_before_snapshot

    before = [partial(*call[:1], *call[1], **call[2]) for call in reversed(get_before_snapshot())]
    return [*before], [partial(*call[:1], *call[1], **call[2]) for call in get_after_restore()]
