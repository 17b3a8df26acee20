"""An emulated AWS account: buckets and queues made with botocore, as a deployment would."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest

from portable import Table
from portable.run.emulators import Emulator
from portable_aws._sdk import Client
from portable_aws.provision import make_table


class Account:
    """What a test makes in the emulator."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._clients = {
            service: Client(service, environment)
            for service in ("dynamodb", "kinesis", "s3", "secretsmanager", "sns", "sqs", "ssm")
        }

    def client(self, service: str) -> Any:
        return self._clients[service].get()

    def bucket(self, name: str) -> str:
        self.client("s3").create_bucket(Bucket=name)
        return f"s3://{name}"

    def queue(self, name: str, **attributes: str) -> str:
        url: str = self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def arn(self, url: str) -> str:
        answer = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    def queue_with_dead_letters(self, name: str, attempts: int = 5) -> tuple[str, str]:
        dead = self.queue(f"{name}-dead")
        policy = json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": attempts})
        return self.queue(name, RedrivePolicy=policy), dead

    def fifo_with_dead_letters(self, name: str) -> dict[str, str]:
        """A FIFO queue, and its addresses by variable."""
        dead = self.queue(f"{name}-dead.fifo", FifoQueue="true")
        policy = json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": 5})
        url = self.queue(f"{name}.fifo", FifoQueue="true", RedrivePolicy=policy)
        return {f"PORTABLE_QUEUE_{name.upper()}": url, f"PORTABLE_DEADLETTER_{name.upper()}": dead}

    def table(self, table: Table[Any], *, old: bool | None = None) -> str:
        return make_table(self.client("dynamodb"), f"{table.name}-table", table.options, old=old)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session", autouse=True)
def _descriptions_read_once() -> Iterator[None]:
    """botocore reads a megabyte of JSON for each session's client: here all sessions share the one that reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield


@pytest.fixture
def account(moto_server: Emulator) -> Iterator[Account]:
    moto_server.reset()
    made = Account(dict(moto_server.environment))
    yield made
    made.close()


@pytest.fixture
def payload(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """A documented event: each file names its page in ``_source``, which is taken out."""

    def load(name: str) -> Any:
        document = json.loads((request.path.parent / "payloads" / f"{name}.json").read_text("utf-8"))
        document.pop("_source")
        return document

    return load
