"""The AWS account that is deployed to, and the bucket in it that zips are deployed from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from portable.deploy import Place
from portable.errors import ConfigError, DeployError
from portable_aws._sdk import Client

__all__ = ["Account", "code_of", "is_passing"]

_ATTEMPTS = 5
TEMPLATES = "templates/"
"""Where in the bucket templates are that are too large for a call."""
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError")
_SSO = ("SSOTokenLoadError", "UnauthorizedSSOTokenError")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN = ("AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException")
_BUSY = (
    "InternalFailure",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
)
_UNREACHED = ("ConnectTimeoutError", "ConnectionClosedError", "EndpointConnectionError", "ReadTimeoutError")


def code_of(error: BaseException | None) -> str:
    """AWS's code of an error, "" where it has none."""
    response = getattr(error, "response", None) or {}
    code: str = response.get("Error", {}).get("Code", "")
    return code


def is_passing(error: BaseException | None) -> bool:
    """Whether AWS was busy, or out of reach, so that asking again may help."""
    return code_of(error) in _BUSY or type(error).__name__ in _UNREACHED


class Account:
    """Clients, made on first use. Region and profile are the settings', else the environment's; endpoints and
    credentials the environment's, else those of the SDK's usual chain.
    """

    def __init__(self, place: Place) -> None:
        region = place.settings.get("region")
        self._environment = {**place.environment, **({"AWS_REGION": region} if region else {})}
        self._profile: str | None = place.settings.get("profile") or place.environment.get("AWS_PROFILE")
        self._chosen: str | None = place.settings.get("artifacts")
        self._clients: dict[str, Client] = {}
        self._id = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            client.close()

    def client(self, service: str) -> Any:
        """A client of botocore. Raises ConfigError without the SDK, a region or such a profile."""
        if service not in self._clients:
            self._clients[service] = Client(service, self._environment, profile=self._profile, attempts=_ATTEMPTS)
        try:
            return self._clients[service].get()
        except ConfigError as error:
            if "AWS_REGION" not in str(error):
                raise
            raise ConfigError(f'{error}, or [tool.portable.aws] region = "…"') from error
        except Exception as error:
            raise self._translated(service, "client", error) from error

    def call(self, service: str, method: str, **arguments: Any) -> Any:
        """One call. Raises ConfigError where nobody says who is asking, and DeployError for what AWS refuses."""
        client = self.client(service)
        try:
            return getattr(client, method)(**arguments)
        except Exception as error:
            raise self._translated(service, method, error) from error

    def _translated(self, service: str, method: str, error: Exception) -> Exception:
        kind = type(error).__name__
        if kind in _NO_CREDENTIALS or kind in _SSO:
            return ConfigError(
                f"AWS does not know who is asking: {error}; aws configure, aws sso login, or AWS_PROFILE"
            )
        code = code_of(error)
        if code in _EXPIRED:
            return ConfigError(f"the credentials for AWS have expired ({service} {method}): aws sso login, or new ones")
        if code in _UNKNOWN:
            return ConfigError(
                f"AWS does not know these credentials ({service} {method}: {error}): another profile or key? A region "
                "that an account has not turned on says the same"
            )
        where = f"; is {self._region_known()} the region?" if kind == "EndpointConnectionError" else ""
        return DeployError(f"{service} {method}: {error}{where}")

    def _region_known(self) -> str:
        return str(self._environment.get("AWS_REGION") or self._environment.get("AWS_DEFAULT_REGION") or "that")

    @property
    def id(self) -> str:
        """The account's number."""
        if not self._id:
            self._id = self.call("sts", "get_caller_identity")["Account"]
        return self._id

    @property
    def region(self) -> str:
        """Its region."""
        region: str = self.client("cloudformation").meta.region_name
        return region

    # --- the bucket of artifacts

    @property
    def artifacts(self) -> str:
        """Its name: the settings', else one that every app of the account and region shares."""
        return self._chosen or f"portable-artifacts-{self.id}-{self.region}"

    def make_artifacts(self) -> None:
        """Create the bucket where it is missing; the settings' own has to be there."""
        try:
            self.call("s3", "head_bucket", Bucket=self.artifacts, ExpectedBucketOwner=self.id)
            return
        except DeployError as error:
            code = code_of(error.__cause__)
            if self._chosen or code not in ("404", "NoSuchBucket"):
                raise DeployError(f"the bucket of artifacts {self.artifacts} {_refused(error, code)}") from error
        where = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
        more = {"CreateBucketConfiguration": where} if where else {}
        self.call("s3", "create_bucket", Bucket=self.artifacts, **more)
        names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        blocked = dict.fromkeys(names, True)
        self.call("s3", "put_public_access_block", Bucket=self.artifacts, PublicAccessBlockConfiguration=blocked)
        # A template is read while its change set is made, and never again.
        old = {"ID": "templates", "Status": "Enabled", "Filter": {"Prefix": TEMPLATES}, "Expiration": {"Days": 7}}
        parts = {
            "ID": "unfinished-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
        rules = {"Rules": [old, parts]}
        self.call("s3", "put_bucket_lifecycle_configuration", Bucket=self.artifacts, LifecycleConfiguration=rules)

    def upload(self, key: str, content: bytes | Path) -> bool:
        """Put a file there under a key made from its bytes; False where it is there already."""
        named = {"Bucket": self.artifacts, "Key": key, "ExpectedBucketOwner": self.id}
        try:
            self.call("s3", "head_object", **named)
            return False
        except DeployError as error:
            if code_of(error.__cause__) not in ("404", "NoSuchKey", "403"):
                raise
        data = content if isinstance(content, bytes) else content.read_bytes()
        self.call("s3", "put_object", Body=data, **named)
        return True

    def upload_template(self, app: str, body: str) -> str:
        """A template that is too large for a call, and its URL."""
        self.make_artifacts()
        key = f"{TEMPLATES}{app}/{hashlib.sha256(body.encode()).hexdigest()}.json"
        self.upload(key, body.encode())
        named = {"Bucket": self.artifacts, "Key": key}
        url: str = self.client("s3").generate_presigned_url("get_object", named)
        return url.partition("?")[0]


def _refused(error: DeployError, code: str) -> str:
    if code in ("404", "NoSuchBucket"):
        return "is not there"
    if code in ("301", "PermanentRedirect"):
        return "is in another region than the deployment; functions are made from a bucket of their own region"
    if code in ("403", "AccessDenied"):
        return "is another account's, or these credentials may not use it"
    return f"cannot be used: {error}"
