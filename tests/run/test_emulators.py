from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from portable.errors import UnsupportedError
from portable.run import emulators
from portable.run.emulators import PROJECT, Emulator, emulator
from portable.run.processes import StartError, accepts, answers, free_port, running

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
SERVE = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]


def call(method: str, url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def call_json(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    status, text = call(method, url, data, **{"Content-Type": "application/json"})
    assert status == 200, text
    return json.loads(text)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie still has its number; in a container there may be nobody to collect it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(condition: Any, seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.02)


def test_a_process_runs_for_the_block_and_its_output_is_logged(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "logs" / "server.log"
    with running("server", [*SERVE, str(port)], ready=lambda _: answers(port), log=log) as process:
        assert process.alive
        assert call("GET", f"http://127.0.0.1:{port}/")[0] == 200
    assert not accepts(port)
    assert gone(process.pid)
    assert "GET / HTTP/1.1" in log.read_text()


def test_it_stops_when_the_block_fails() -> None:
    port = free_port()
    with pytest.raises(ZeroDivisionError), running("server", [*SERVE, str(port)], ready=lambda _: answers(port)):
        _ = 1 / 0
    assert not accepts(port)


def test_one_that_ends_before_it_is_ready_shows_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; print('no such flag'); sys.exit(3)"]
    with pytest.raises(StartError, match=r"tool ended with status 3 before it was ready:\nno such flag"):
        running("tool", command, ready=lambda _: False).__enter__()


def test_one_that_is_never_ready_is_stopped() -> None:
    seen = []

    def ready(process: Any) -> bool:
        seen.append(process.pid)
        return False

    with pytest.raises(StartError, match=r"tool was not ready within 0\.2 s"):
        running("tool", SLEEP, ready=ready, timeout=0.2).__enter__()
    assert gone(seen[0])


def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(StartError, match="cannot run /no/such/file"):
        running("tool", ["/no/such/file"], ready=lambda _: False).__enter__()


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@pytest.mark.parametrize("victim", ["parent", "supervisor"])
def test_the_command_ends_when_the_one_that_holds_it_is_killed(victim: str, tmp_path: Path) -> None:
    if victim == "supervisor" and sys.platform != "linux":
        pytest.skip("only Linux can bind a child to the supervisor's death")
    noted = tmp_path / "pid"
    command = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    script = f"""
import sys, time
from pathlib import Path
from portable.run.processes import running
noted = Path(sys.argv[1])
command = [sys.executable, "-c", {command!r}, sys.argv[1]]
with running("t", command, ready=lambda _: noted.exists() and noted.read_text()) as r:
    print(r.pid, flush=True)
    time.sleep(600)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # a killed process cannot remove what it left there
    command_line = [sys.executable, "-c", script, str(noted)]
    with subprocess.Popen(command_line, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        supervisor, child = int(parent.stdout.readline()), int(noted.read_text())
        assert not gone(child)
        os.kill(parent.pid if victim == "parent" else supervisor, signal.SIGKILL)
        wait_until(lambda: gone(child))
        parent.kill()


def test_moto_keeps_objects_and_messages_until_reset(moto_server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    for name, value in moto_server.environment.items():
        monkeypatch.setenv(name, value)
    storage, queues = boto3.client("s3"), boto3.client("sqs")
    storage.create_bucket(Bucket="kept")
    storage.put_object(Bucket="kept", Key="key", Body=b"data")
    assert [item["Key"] for item in storage.list_objects_v2(Bucket="kept")["Contents"]] == ["key"]
    url = queues.create_queue(QueueName="letters")["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="hi")
    assert queues.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hi"
    moto_server.reset()
    assert storage.list_buckets()["Buckets"] == []
    assert "QueueUrls" not in queues.list_queues()
    storage.close()
    queues.close()


def test_fake_gcs_keeps_objects_until_reset(fake_gcs: Emulator) -> None:
    endpoint = fake_gcs.environment["STORAGE_EMULATOR_HOST"]
    call_json("POST", f"{endpoint}/storage/v1/b", {"name": "kept"})
    upload = f"{endpoint}/upload/storage/v1/b/kept/o?uploadType=media&name=in%2Fkey"
    assert call("POST", upload, b"data")[0] == 200
    stored = f"{endpoint}/storage/v1/b/kept/o/in%2Fkey?alt=media"
    assert call("GET", stored) == (200, b"data")
    fake_gcs.reset()
    assert call("GET", stored)[0] == 404
    assert not call_json("GET", f"{endpoint}/storage/v1/b").get("items")


def test_pubsub_delivers_what_is_published_and_forgets(pubsub: Emulator) -> None:
    project = f"http://{pubsub.environment['PUBSUB_EMULATOR_HOST']}/v1/projects/{PROJECT}"
    call_json("PUT", f"{project}/topics/letters", {})
    call_json("PUT", f"{project}/subscriptions/box", {"topic": f"projects/{PROJECT}/topics/letters"})
    call_json("POST", f"{project}/topics/letters:publish", {"messages": [{"data": "aGk="}]})
    pulled = call_json("POST", f"{project}/subscriptions/box:pull", {"maxMessages": 1})
    assert pulled["receivedMessages"][0]["message"]["data"] == "aGk="
    pubsub.reset()
    assert call("GET", f"{project}/topics/letters")[0] == 404
    assert call("GET", f"{project}/subscriptions/box")[0] == 404


def test_fake_gcs_publishes_object_events_to_pubsub(pubsub: Emulator, require_part) -> None:
    require_part("fake-gcs-server")
    project = f"{pubsub.endpoint}/v1/projects/{PROJECT}"
    call_json("PUT", f"{project}/topics/objects", {})
    call_json("PUT", f"{project}/subscriptions/objects", {"topic": f"projects/{PROJECT}/topics/objects"})
    with emulators.fake_gcs(events=pubsub, topic="objects") as storage:
        call_json("POST", f"{storage.endpoint}/storage/v1/b", {"name": "noisy"})
        call("POST", f"{storage.endpoint}/upload/storage/v1/b/noisy/o?uploadType=media&name=key", b"data")
        pulled = call_json("POST", f"{project}/subscriptions/objects:pull", {"maxMessages": 1})
    attributes = pulled["receivedMessages"][0]["message"]["attributes"]
    assert (attributes["eventType"], attributes["objectId"]) == ("OBJECT_FINALIZE", "key")
    pubsub.reset()


def test_firestore_keeps_documents_until_reset(firestore: Emulator) -> None:
    documents = f"{firestore.endpoint}/v1/projects/{PROJECT}/databases/(default)/documents/kept"
    call_json("POST", f"{documents}?documentId=key", {"fields": {"n": {"integerValue": "7"}}})
    assert call_json("GET", f"{documents}/key")["fields"] == {"n": {"integerValue": "7"}}
    firestore.reset()
    assert call_json("GET", documents) == {}


def test_cosmos_keeps_items_until_reset(cosmos: Emulator) -> None:
    sdk = pytest.importorskip("azure.cosmos")
    connection = cosmos.environment["AZURE_COSMOS_CONNECTION_STRING"]
    with sdk.CosmosClient.from_connection_string(connection, enable_endpoint_discovery=False) as client:
        container = client.create_database("kept").create_container("items", sdk.PartitionKey("/p"))
        with pytest.raises(sdk.exceptions.CosmosResourceNotFoundError):
            container.read_item("key", "a")
        container.create_item({"id": "key", "p": "a"})
        assert container.read_item("key", "a")["p"] == "a"
        container.delete_item("key", "a")
        with pytest.raises(sdk.exceptions.CosmosResourceNotFoundError):
            container.read_item("key", "a")
        cosmos.reset()
        assert list(client.list_databases()) == []


def test_azurite_serves_blobs_and_queues(azurite: Emulator) -> None:
    blob = pytest.importorskip("azure.storage.blob")
    queue = pytest.importorskip("azure.storage.queue")
    connection = azurite.environment["AzureWebJobsStorage"]
    with blob.BlobServiceClient.from_connection_string(connection) as blobs:
        container = blobs.create_container("kept")
        container.upload_blob("key", b"data")
        assert container.download_blob("key").readall() == b"data"
        blobs.delete_container("kept")
    with queue.QueueClient.from_connection_string(connection, "kept") as messages:
        messages.create_queue()
        messages.send_message("hi")
        assert messages.receive_message().content == "hi"
        messages.delete_queue()
    with pytest.raises(UnsupportedError, match="azurite cannot be emptied"):
        azurite.reset()


def test_a_port_that_was_taken_meanwhile_is_given_up(require_part, monkeypatch: pytest.MonkeyPatch) -> None:
    require_part("fake-gcs-server")
    port = free_port()
    given = iter([port, free_port()])
    monkeypatch.setattr(emulator, "free_port", lambda: next(given))
    with contextlib.ExitStack() as stack:
        stack.enter_context(running("server", [*SERVE, str(port)], ready=lambda _: answers(port)))
        storage = stack.enter_context(emulators.fake_gcs())
        assert storage.port != port
        assert call_json("GET", f"{storage.endpoint}/storage/v1/b")["kind"] == "storage#buckets"


@pytest.mark.parametrize(
    ("part", "start"),
    [
        ("qpid-proton", lambda log: emulators.service_bus({}, log=log)),
        ("redis-server", lambda log: emulators.redis_server(log=log)),
    ],
    ids=["service bus", "redis"],
)
def test_what_an_earlier_start_logged_is_no_sign_of_this_one(require_part, monkeypatch, tmp_path, part, start) -> None:
    require_part(part)
    taken, free = free_port(), free_port()
    given = iter([taken, free])
    monkeypatch.setattr(emulator, "free_port", lambda: next(given))
    log = tmp_path / "log"
    log.write_text("listening on 1\n")
    with contextlib.ExitStack() as stack:
        stack.enter_context(running("server", [*SERVE, str(taken)], ready=lambda _: answers(taken)))
        assert stack.enter_context(start(log)).port == free
        assert accepts(free)


def test_a_free_port_is_given_once_and_is_none_of_those_of_connections_going_out() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    assert max(ports) < 32768
