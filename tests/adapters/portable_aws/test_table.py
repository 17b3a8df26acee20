"""DynamoDB's driver against the suite, on moto, and what is its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any, ClassVar

import pytest

from portable import Table
from portable.drivers.table import Schema, Write
from portable.errors import (
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from portable.resources import use_platform
from portable.testing.conformance import TableConformance
from portable.testing.conformance.table import TABLES
from portable_aws.capabilities import CAPABILITIES
from portable_aws.platform import AWSPlatform
from portable_aws.table import DynamoTable

exceptions = pytest.importorskip("botocore.exceptions")


@pytest.fixture
def tables(account: Any) -> Iterator[AWSPlatform]:
    environment = dict(account.environment)
    for table in TABLES:
        environment[f"PORTABLE_TABLE_{table.name.upper()}"] = account.table(table)
    environment["PORTABLE_TABLE_MISSING"] = "dynamodb://nothing-is-here"
    platform = AWSPlatform(environment)
    with use_platform(platform):
        yield platform
    platform.close()


_SUMS = "moto adds with 28 digits, DynamoDB with 38, and says when that is not enough"


@pytest.mark.slow
class TestTable(TableConformance):
    capabilities = CAPABILITIES["table"]
    emulator_faults: ClassVar[Mapping[str, str]] = {
        "sums_are_exact[far_apart]": _SUMS,
        "sums_are_exact[39_digits]": _SUMS,
    }
    model_examples = 4

    def test_money_moves_and_none_is_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """moto undoes a failed transaction by putting back a copy of the table, without what others wrote meanwhile:
        here it gets one call at a time.
        """
        turn = Lock()
        for method in ("write", "transact"):
            original = getattr(DynamoTable, method)

            def alone(driver: Any, asked: Any, original: Any = original) -> Any:
                with turn:
                    return original(driver, asked)

            monkeypatch.setattr(DynamoTable, method, alone)
        super().test_money_moves_and_none_is_lost()


class Scripted:
    """A client that answers a call with what is next: an answer, or an error."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, method: str) -> Any:
        def call(**options: Any) -> Any:
            self.calls.append((method, options))
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def refusal(code: str, **more: Any) -> Exception:
    response = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    error: Exception = exceptions.ClientError(response, "Operation")
    return error


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[DynamoTable, Scripted]]:
    """A driver over such a client, which waits for nothing between two attempts."""
    monkeypatch.setattr("portable_aws.table.sleep", lambda seconds: None)

    def make(*answers: Any, **options: Any) -> tuple[DynamoTable, Scripted]:
        table = Table("people", key="id", **options)
        driver = DynamoTable("people", Schema(table.options), {"PORTABLE_TABLE_PEOPLE": "dynamodb://people"})
        client = Scripted(*answers)
        driver._client._client = client
        return driver, client

    return make


THROTTLED = "ProvisionedThroughputExceededException"
UPDATE = Write("update", ("a",), add={"n": 1})


def test_what_was_not_done_is_repeated(scripted: Any) -> None:
    done = {"Attributes": {"id": {"S": "a"}, "n": {"N": "1"}, "portable:version": {"S": "x"}}}
    driver, client = scripted(refusal(THROTTLED), refusal("TransactionConflictException"), done)
    row = driver.write(UPDATE)
    assert (row.item, row.version, len(client.calls)) == ({"id": "a", "n": 1}, "x", 3)
    driver, client = scripted(*[refusal(THROTTLED)] * 3)
    with pytest.raises(UnavailableError, match="table people, key 'a'"):
        driver.write(UPDATE)
    assert len(client.calls) == 3


@pytest.mark.parametrize(
    ("write", "attempts"),
    [
        (UPDATE, 1),
        (Write("put", ("a",), item={"id": "a"}, if_absent=True), 1),
        (Write("delete", ("a",), if_match="1"), 1),
        (Write("put", ("a",), item={"id": "a"}), 3),
        (Write("delete", ("a",)), 3),
    ],
    ids=["update", "if_absent", "if_match", "put", "delete"],
)
def test_what_may_have_been_done_is_repeated_where_it_does_no_harm(scripted: Any, write: Write, attempts: int) -> None:
    driver, client = scripted(*[refusal("InternalServerError")] * 3)
    with pytest.raises(UnavailableError):
        driver.write(write)
    assert len(client.calls) == attempts
    assert len({str(options) for _, options in client.calls}) == 1  # the same version each time


def test_keys_left_for_later_are_asked_for_again(scripted: Any) -> None:
    def answer(found: list[str], left: list[str]) -> dict[str, Any]:
        behind = {"people": {"Keys": [{"id": {"S": key}} for key in left]}} if left else {}
        return {"Responses": {"people": [{"id": {"S": key}} for key in found]}, "UnprocessedKeys": behind}

    driver, client = scripted(answer(["b"], ["a"]), answer([], ["a"]), answer(["a"], []))
    assert [row and row.item["id"] for row in driver.get_many([("a",), ("b",), ("c",)])] == ["a", "b", None]
    assert [len(options["RequestItems"]["people"]["Keys"]) for _, options in client.calls] == [3, 1, 1]
    driver, client = scripted(*[answer([], ["a"])] * 3)
    with pytest.raises(UnavailableError, match="reads none of the keys"):
        driver.get_many([("a",)])
    driver, client = scripted(answer([], []), answer([], []))
    driver.get_many([(str(n),) for n in range(150)])
    assert [len(options["RequestItems"]["people"]["Keys"]) for _, options in client.calls] == [100, 50]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ConditionalCheckFailed", NotFoundError),
        ("TransactionConflict", UnavailableError),
        ("ThrottlingError", UnavailableError),
        ("ValidationError", ServiceError),
    ],
)
def test_a_cancelled_transaction_names_the_item(scripted: Any, code: str, kind: type[ServiceError]) -> None:
    reasons = [{"Code": "None"}, {"Code": code, "Message": "why"}]
    cancelled = refusal("TransactionCanceledException", CancellationReasons=reasons)
    driver, client = scripted(*[cancelled] * 3)
    with pytest.raises(kind) as caught:
        driver.transact([Write("delete", ("a",)), Write("update", ("b",), set={"n": 1})])
    assert type(caught.value) is kind
    assert (caught.value.resource, caught.value.key) == ("table people", "b")
    assert len({options["ClientRequestToken"] for _, options in client.calls}) == 1
    assert len(client.calls) == (3 if kind is UnavailableError else 1)


def test_an_item_too_large_or_wrong(scripted: Any) -> None:
    large = refusal("ValidationException")
    large.args = ("Item size has exceeded the maximum allowed size",)
    for error, kind in ((large, UnsupportedError), (refusal("ValidationException"), ServiceError)):
        driver, _ = scripted(error)
        with pytest.raises(kind) as caught:
            driver.write(UPDATE)
        assert type(caught.value) is kind


def test_expired_items_count_as_absent(scripted: Any) -> None:
    driver, client = scripted({}, {}, {}, ttl="ends")
    driver.write(Write("put", ("a",), item={"id": "a"}, if_absent=True))
    driver.write(Write("delete", ("a",), if_match=""))
    driver.write(Write("put", ("a",), item={"id": "a"}))
    first, second, third = (options for _, options in client.calls)
    assert first["ConditionExpression"] == "attribute_not_exists(#n0) OR #n1 <= :v0"
    assert first["ExpressionAttributeNames"] == {"#n0": "id", "#n1": "ends"}
    assert second["ConditionExpression"] == (
        "attribute_exists(#n1) AND attribute_not_exists(#n0) AND (attribute_not_exists(#n2) OR #n2 > :v0)"
    )
    assert "ConditionExpression" not in third


def test_what_others_wrote_has_no_version(account: Any) -> None:
    table = Table("people", key="id")
    address = account.table(table)
    client = account.client("dynamodb")
    client.put_item(TableName="people-table", Item={"id": {"S": "a"}, "n": {"N": "1.50"}, "set": {"NS": ["1", "2.5"]}})
    platform = AWSPlatform({**account.environment, "PORTABLE_TABLE_PEOPLE": address})
    with use_platform(platform):
        entry = table.entry("a")
        assert entry is not None
        assert (entry.item, entry.version) == ({"id": "a", "n": 1.5, "set": {1, 2.5}}, "")
        table.put({"id": "a"}, if_match="")
        with pytest.raises(PreconditionFailedError):
            table.put({"id": "a"}, if_match="")
        with pytest.raises(PreconditionFailedError):
            table.put({"id": "b"}, if_match="")
        assert table.native() is platform.open(table).native()
    platform.close()
