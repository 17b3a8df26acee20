"""Clients: a missing SDK, a missing region, and what is tried again."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from portable import AlreadyExistsError, Bucket, ConfigError, Queue, UnavailableError
from portable.resources import use_platform
from portable_aws import _sdk
from portable_aws.runtime import platform

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "PORTABLE_BUCKET_UPLOADS": "s3://uploads",
    "PORTABLE_QUEUE_EMAILS": "https://sqs.us-east-1.amazonaws.com/123456789012/emails",
}


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with (
        use_platform(platform(ENVIRONMENT)),
        pytest.raises(ConfigError, match=r"pip install 'portable-functions\[aws\]'"),
    ):
        Bucket("uploads").read("a")


def test_without_a_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    environment = {"PORTABLE_QUEUE_EMAILS": "http://127.0.0.1:9/1/emails"}
    with use_platform(platform(environment)), pytest.raises(ConfigError, match="set AWS_REGION"):
        Queue("emails").send("a")


def test_the_region_of_a_queue_is_in_its_address() -> None:
    aws = platform({name: value for name, value in ENVIRONMENT.items() if name != "AWS_REGION"})
    with use_platform(aws):
        assert Queue("emails").native().meta.region_name == "us-east-1"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes S3 answer with these statuses in turn; returns the requests that were sent."""
    monkeypatch.setattr(_sdk, "sleep", lambda seconds: None)

    def prepare(client: Any, *statuses: int) -> list[Any]:
        from botocore.awsrequest import AWSResponse

        sent: list[Any] = []

        class Raw:
            @staticmethod
            def stream(*_: Any) -> Any:
                return iter(())

            @staticmethod
            def read(*_: Any) -> bytes:
                return b""

        def send(request: Any, **_: Any) -> Any:
            sent.append(request)
            return AWSResponse(request.url, statuses[len(sent) - 1], {}, Raw())

        client.meta.events.register("before-send.s3", send)
        return sent

    return prepare


def test_a_plain_write_is_tried_again(answers: Any) -> None:
    with use_platform(platform(ENVIRONMENT)):
        uploads = Bucket("uploads")
        sent = answers(uploads.native(), 503, 500, 200)
        uploads.write("a", b"data")
    assert len(sent) == 3


def test_and_given_up_in_the_end(answers: Any) -> None:
    with use_platform(platform(ENVIRONMENT)):
        uploads = Bucket("uploads")
        sent = answers(uploads.native(), 503, 503, 503, 200)
        with pytest.raises(UnavailableError, match="bucket uploads, key 'a'"):
            uploads.write("a", b"data")
    assert len(sent) == 3


@pytest.mark.parametrize("options", [{"if_absent": True}, {"if_match": "etag"}])
def test_a_conditional_write_is_tried_once(answers: Any, options: Any) -> None:
    """An acknowledgement that was lost would turn the one who won into one who found the key there."""
    with use_platform(platform(ENVIRONMENT)):
        uploads = Bucket("uploads")
        sent = answers(uploads.native(), 503, 200)
        with pytest.raises(UnavailableError):
            uploads.write("a", b"data", **options)
    assert len(sent) == 1
    name, value = ("If-None-Match", b"*") if "if_absent" in options else ("If-Match", b'"etag"')
    assert sent[0].headers[name] in (value, value.decode())


def test_the_key_was_there(answers: Any) -> None:
    with use_platform(platform(ENVIRONMENT)):
        uploads = Bucket("uploads")
        answers(uploads.native(), 412)
        with pytest.raises(AlreadyExistsError, match="bucket uploads, key 'a'"):
            uploads.write("a", b"data", if_absent=True)
