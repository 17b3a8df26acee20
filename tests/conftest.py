"""The real parts that tests run against: found, started once a session when first asked for, and named at the end."""

from __future__ import annotations

import functools
import gc
import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from portable.run import emulators, parts
from portable.run.doctor import doctor_report
from portable.run.emulators import Emulator
from portable.run.parts import Found
from portable.testing.matrix import MatrixSession

CONFORMANCE = Path(__file__).parent.parent / "docs" / "conformance.md"
LONGEST = (  # slow ones first: what begins last must not keep one process busy while the others wait
    "tests/run/test_targets.py",
    "tests/adapters/portable_azure/test_servicebus_queue.py",
    "tests/adapters/portable_nats/test_restarts.py",
    "tests/adapters/portable_azure/test_topic.py",
    "tests/run/test_life.py",
    "tests/run/test_corpus.py",
    "tests/adapters/portable_local/test_crashes.py",
    "tests/adapters/portable_aws/test_infrastructure.py",
    "tests/run/test_verify.py",
    "tests/testing/test_matrix.py",
    "tests/testing/test_plugin.py",
    "tests/adapters/portable_aws/test_deploy.py",
    "tests/adapters/portable_aws/test_permissions.py",
    "tests/adapters/portable_container/test_http.py",
    "tests/adapters/portable_container/test_polling.py",
    "tests/dev/test_reload.py",
    "tests/run/test_report.py",
)
# Plugins that come along with what the tests need, and are half of what a pytest takes to start.
NOT_LOADED = ("cloudcoil", "faker", "schemathesis")
REQUIRE_ALL = os.environ.get("PORTABLE_REQUIRE_ALL", "") not in ("", "0")

_used = pytest.StashKey[dict[str, Found]]()
_wanted_in_vain = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    left_out = " ".join(f"-p no:{name}" for name in NOT_LOADED)
    if left_out not in (options := os.environ.get("PYTEST_ADDOPTS", "")):  # of every pytest that a test starts
        os.environ["PYTEST_ADDOPTS"] = f"{options} {left_out}".strip()
    config.stash[_used] = {}
    config.stash[_wanted_in_vain] = {}
    if not config.getoption("--conformance"):  # what a suite's case comes to has to be what the document says
        config.pluginmanager.register(MatrixSession(CONFORMANCE, only=False), "conformance-document")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What is collected stays to the end: thousands of tests are not looked through again by every collector's run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several processes, each takes the next file when it is done: the longest first, then those of many tests."""
    if hasattr(config, "workerinput"):
        counts = Counter(item.path for item in items)
        ranks = {config.rootpath / name: rank for rank, name in enumerate(LONGEST)}
        items.sort(key=lambda item: (ranks.get(item.path, len(ranks)), -counts[item.path], str(item.path)))


def pytest_make_parametrize_id(val: object) -> str | None:
    """A name without an address in memory: the processes that share the tests know them by their names."""
    told = repr(val)
    return re.sub(r" at 0x[0-9a-f]+", "", told) if " at 0x" in told and not hasattr(val, "__name__") else None


_rows = functools.cache(doctor_report)  # it asks many programs for their version


def pytest_report_header() -> list[str]:
    rows = _rows()
    here = [f"{row.part} {row.version}" for row in rows if row.version]
    missing = [f"{row.part} {row.python}".rstrip() for row in rows if not row.version]
    lines = [f"real parts here: {', '.join(here) or 'none'}"]
    if missing:
        effect = "their tests fail" if REQUIRE_ALL else "their tests are skipped"
        lines.append(f"real parts missing, so {effect}: {', '.join(missing)}")
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Half a surrogate pair, which a test printed, does not go from one process to another."""
    return _sendable((yield))


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_sendable(key): _sendable(one) for key, one in value.items()}
    return type(value)(_sendable(one) for one in value) if isinstance(value, (list, tuple)) else value


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes tells the one that speaks which real parts it used."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["parts"] = [list(session.config.stash[_used]), session.config.stash[_wanted_in_vain]]


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_testnodedown(node: Any, error: object) -> None:
    used, in_vain = getattr(node, "workeroutput", {}).get("parts", ((), {}))
    for label in used:
        name, _, python = label.partition(" ")
        if (found := parts.find(name, python or None)) is not None:
            node.config.stash[_used][label] = found
    node.config.stash[_wanted_in_vain].update(in_vain)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("real parts")
    for found in sorted(config.stash[_used].values(), key=str):
        terminalreporter.line(f"used     {found}")
    missing = {f"{row.part} {row.python}".rstrip(): row.how_to_get for row in _rows() if not row.version}
    for name, how_to_get in {**missing, **config.stash[_wanted_in_vain]}.items():
        terminalreporter.line(f"missing  {name}. To get it: {how_to_get}")


@pytest.fixture(scope="session")
def require_part(pytestconfig: pytest.Config) -> Callable[..., Found]:
    """``require_part(name, python=None)``: the part, which the summary then names; without it the test is skipped.

    With PORTABLE_REQUIRE_ALL=1 a missing part fails the test.
    """

    def require(name: str, python: str | None = None) -> Found:
        found = parts.find(name, python)
        part = parts.named(name)
        label = f"{name} {part.python(python)}".rstrip()
        if found is None:
            how_to_get = part.how_to_get.replace("VERSION", part.python(python))
            pytestconfig.stash[_wanted_in_vain][label] = how_to_get
            message = f"{label} is missing. To get it: {how_to_get}"
            pytest.fail(message, pytrace=False) if REQUIRE_ALL else pytest.skip(message)
        pytestconfig.stash[_used][label] = found
        return found

    return require


@pytest.fixture(scope="session")
def moto_server(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """S3 and SQS, for the session."""
    require_part("moto")
    with emulators.moto_server() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def fake_gcs(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """Cloud Storage, for the session."""
    require_part("fake-gcs-server")
    with emulators.fake_gcs() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def pubsub(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """Pub/Sub, for the session."""
    require_part("java")
    require_part("pubsub-emulator")
    with emulators.pubsub() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def redis_server(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """Redis, for the session."""
    require_part("redis-server")
    with emulators.redis_server() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def nats_server(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """NATS, for the session."""
    require_part("nats-server")
    with emulators.nats_server() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def firestore(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """Firestore, for the session."""
    require_part("java")
    require_part("firestore-emulator")
    with emulators.firestore() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def cosmos(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """Cosmos DB, for the session."""
    require_part("node")
    require_part("cosmosdb-server")
    with emulators.cosmos() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def azurite(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """Azure blobs, queues and tables, for the session."""
    require_part("node")
    require_part("azurite")
    with emulators.azurite() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def service_bus(require_part: Callable[..., Found]) -> Iterator[Emulator]:
    """A stand-in for Service Bus, for the session. A queue is made when it is first used, by the start of its name."""
    require_part("qpid-proton")
    rules: dict[str, dict[str, object]] = {
        "emails-": {"lock": 2, "max_delivery": 5, "forward": "dead-"},
        "dead-": {"lock": 30},
        "ordered-": {"lock": 2, "max_delivery": 5, "sessions": True, "dedup": True},
        "signups-": {"lock": 2, "max_delivery": 5, "forward": "dead-", "subscriptions": ["welcome", "audit", "paid"]},
        "orders-": {"lock": 2, "max_delivery": 5, "sessions": True, "subscriptions": ["welcome"]},
    }
    with emulators.service_bus(rules) as emulator:
        yield emulator
