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

__all__ = ["Client", "retrying"]

CONNECT_SECONDS = 5
READ_SECONDS = 30  # above the 20 s that a receive may wait
ATTEMPTS = 3

_making = Lock()


class Client:
    """A client of one AWS service, made on first use. Safe under threads.

    Args:
        service: as botocore names it. environment: region, endpoint and credentials; None leaves them to the SDK.
        region: where the environment names none. style: of S3's addresses, ``virtual`` or ``path``.

    Calls are tried once: whether a repetition is safe depends on the call, see :func:`retrying`.
    """

    def __init__(
        self, service: str, environment: Mapping[str, str] | None, region: str | None = None, style: str = "virtual"
    ) -> None:
        self._service = service
        self._environment = environment
        self._region = region
        self._style = style
        self._client: Any = None

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
            retries={"total_max_attempts": 1, "mode": "standard"},
            # botocore would sign URLs by version 2, which newer regions refuse.
            signature_version="s3v4" if self._service == "s3" else None,
            # An emulator's host names no bucket; S3 itself wants it in the host, where it can be.
            s3={"addressing_style": "path" if self._endpoint() else self._style} if self._service == "s3" else None,
        )
        try:
            return Session().create_client(self._service, config=config, **self._options())
        except NoRegionError as error:
            raise ConfigError("no AWS region is set: set AWS_REGION (Lambda does it itself)") from error

    def _read(self, name: str) -> str | None:
        import os

        return (os.environ if self._environment is None else self._environment).get(name) or None

    def _endpoint(self) -> str | None:
        return self._read(f"AWS_ENDPOINT_URL_{self._service.upper()}") or self._read("AWS_ENDPOINT_URL")

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


def retrying(call: Callable[[], T]) -> T:
    """What ``call`` gives, tried again after UnavailableError. For calls that do no harm twice."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except UnavailableError:
            sleep(0.05 * 4**attempt)
    return call()
