"""A blob of 1 KB put and got, microseconds of the client's CPU: `python benchmarks/bucket.py [--rounds 7]`.

`Bucket` on AWS beside boto3 and obstore as they come, and the least a socket takes, against a small stand-in for S3 on
this machine that checks nothing. Each contender runs in a process of its own; they take turns, round by round. The
figure is the least of the rounds, all threads counted; the ratio is what to read.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import multiprocessing
import subprocess
import sys

NAMES = ("socket", "obstore", "boto3", "portable")
CHILD = r"""
import os, sys, time
name, port = sys.argv[1:]
DATA = b"x" * 1024
URL = f"http://127.0.0.1:{port}"
os.environ.update(AWS_ENDPOINT_URL=URL, AWS_REGION="us-east-1", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x",
                  PORTABLE_BUCKET_UPLOADS="s3://uploads")
begin = time.process_time()
if name == "socket":
    import socket
    link = socket.create_connection(("127.0.0.1", int(port)))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = f"/uploads/in/a.txt HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
    def ask(text, body, least):
        link.sendall(text.encode() + body)
        found = link.recv(65536)
        while len(found) < least:
            found += link.recv(65536)
        return found
    def put(): ask(f"PUT {head}content-length: 1024\r\n\r\n", DATA, 40)
    def get(): return ask(f"GET {head}\r\n", b"", 1100)[-1024:]
elif name == "obstore":
    import obstore
    from obstore.store import S3Store
    store = S3Store("uploads", endpoint=URL, region="us-east-1", access_key_id="x", secret_access_key="x",
                    client_options={"allow_http": True})
    def put(): obstore.put(store, "in/a.txt", DATA)
    def get(): return bytes(obstore.get(store, "in/a.txt").bytes())
elif name == "boto3":
    import boto3
    client = boto3.client("s3", endpoint_url=URL)
    def put(): client.put_object(Bucket="uploads", Key="in/a.txt", Body=DATA)
    def get(): return client.get_object(Bucket="uploads", Key="in/a.txt")["Body"].read()
else:
    from portable import Bucket
    from portable.resources import set_platform
    from portable_aws.runtime import platform
    set_platform(platform())
    bucket = Bucket("uploads")
    def put(): bucket.write("in/a.txt", DATA)
    def get(): return bucket.read("in/a.txt")
put()
assert get() == DATA
print((time.process_time() - begin) * 1000, flush=True)
calls = {"put": put, "get": get}
for line in sys.stdin:
    call, n = calls[line.strip()], 200
    begin = time.process_time_ns()
    for _ in range(n): call()
    print((time.process_time_ns() - begin) / n / 1000, flush=True)
"""


class _S3(asyncio.Protocol):
    """PUT keeps a body, GET gives it; nothing is checked."""

    blobs: dict[bytes, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while True:
            head, end, rest = self.waiting.partition(b"\r\n\r\n")
            if not end:
                return
            lines = head.split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
            size = int(headers.get(b"content-length", 0))
            if len(rest) < size:
                if b"expect" in headers and not rest:
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self.waiting = rest[size:]
            method, path, _ = lines[0].split(b" ")
            self.answer(method, path.partition(b"?")[0], rest[:size])

    def answer(self, method: bytes, path: bytes, body: bytes) -> None:
        if method == b"PUT":
            self.blobs[path] = body
            found = b""
        else:
            found = self.blobs[path]
        tag = hashlib.md5(self.blobs[path], usedforsecurity=False).hexdigest().encode()
        self.transport.write(
            b'HTTP/1.1 200 OK\r\nETag: "%b"\r\nLast-Modified: Mon, 05 Jan 2026 10:00:00 GMT\r\n'
            b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (tag, len(found), found)
        )


def _serve(ready: multiprocessing.connection.Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_S3, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(there,), daemon=True)
    server.start()
    port = str(here.recv())
    running, first, best = {}, {}, {}
    for name in NAMES:
        command = [sys.executable, "-c", CHILD, name, port]
        running[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first[name] = float(running[name].stdout.readline())
    for _ in range(rounds):
        for case in ("put", "get"):
            for name, process in running.items():
                process.stdin.write(f"{case}\n")
                process.stdin.flush()
                took = float(process.stdout.readline())
                best[name, case] = min(took, best.get((name, case), took))
    for process in running.values():
        process.stdin.close()
        process.wait()
    server.terminate()
    print(f"Python {sys.version.split()[0]}, µs of CPU (ratio to boto3), least of {rounds} rounds of 200\n")
    print("| | put 1 KB | get 1 KB | first put and get, ms of CPU with imports |\n| --- | --- | --- | --- |")
    for name in NAMES:
        cells = [f"{best[name, case]:.0f} ({best[name, case] / best['boto3', case]:.2f})" for case in ("put", "get")]
        print(f"| {name} | {' | '.join(cells)} | {first[name]:.0f} |")


if __name__ == "__main__":
    main()
