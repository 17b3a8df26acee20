"""What local buckets do beyond what every bucket does."""

import errno
import os
import sqlite3
import subprocess
import sys

import pytest

from portable import Bucket, Queue
from portable.errors import (
    AlreadyExistsError,
    ConfigError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from portable_local.bucket import LocalBucket
from portable_local.errors import translate
from portable_local.platform import LocalPlatform


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    return tmp_path / "b"


@pytest.fixture
def bucket(folder):
    bucket = LocalBucket("uploads", folder)
    yield bucket
    bucket.close()


def write(bucket, key, data=b"data", **options):
    options = {"content_type": None, "metadata": None, "if_absent": False, "if_match": None, **options}
    return bucket.write(key, data, **options)


@pytest.mark.parametrize(
    ("key", "start", "end"),
    [
        ("in/cat.png", "in__cat~", ".png"),
        ("../../etc/passwd", "__..__etc__passwd~", ""),
        ("CON", "CON~", ""),
        ("日本.jpeg", "__~", ".jpeg"),
        ("a.b/c", "a.b__c~", ""),
        (".", "~", ""),
        ("x" * 1024, "x" * 60 + "~", ""),
    ],
)
def test_a_person_finds_the_file(bucket, folder, key, start, end):
    write(bucket, key, b"untouched bytes")
    [file] = (folder / "blobs").iterdir()
    assert file.name.startswith(start)
    assert file.name.endswith(end)
    assert file.read_bytes() == b"untouched bytes"


def test_one_file_a_blob(bucket, folder):
    for n in range(5):
        write(bucket, "a", str(n).encode())
    write(bucket, "b")
    with pytest.raises(AlreadyExistsError):
        write(bucket, "b", if_absent=True)
    bucket.delete("b")
    assert len(list((folder / "blobs").iterdir())) == 1
    assert list((folder / "unsure").iterdir()) == []


def test_the_same_bytes_get_a_new_etag(bucket):
    assert write(bucket, "a").etag != write(bucket, "a").etag


def test_a_file_removed_by_hand(bucket, folder):
    write(bucket, "a")
    next((folder / "blobs").iterdir()).unlink()
    with pytest.raises(NotFoundError, match="No such file"):
        bucket.read("a", None, None)
    write(bucket, "a", b"again")
    assert bucket.read("a", None, None) == b"again"


def test_a_listing_steps_over_what_it_folds(bucket, monkeypatch):
    for n in range(300):
        write(bucket, f"many/{n:03}")
    write(bucket, "other/a")
    write(bucket, "z")
    pages = []
    page = LocalBucket._page
    monkeypatch.setattr(LocalBucket, "_page", lambda *args: pages.append(page(*args)) or pages[-1])
    assert [row.key for row in bucket.list("", "/")] == ["many/", "other/", "z"]
    assert sum(map(len, pages)) < 40


CREATE = """
import sys
from pathlib import Path
from portable_local.bucket import LocalBucket
from portable.errors import AlreadyExistsError
bucket = LocalBucket("b", Path(sys.argv[1]))
won = 0
for n in range(200):
    try:
        bucket.write(f"{n}", sys.argv[2].encode(), content_type=None, metadata=None, if_absent=True, if_match=None)
        won += 1
    except AlreadyExistsError:
        pass
print(won)
"""


def test_processes_that_begin_at_once(bucket, folder):
    command = [sys.executable, "-c", CREATE, str(folder)]
    processes = [subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE) for n in range(3)]
    won = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(won) == 200
    owners = [bucket.read(str(n), None, None) for n in range(200)]
    assert [owners.count(str(n).encode()) for n in range(3)] == won
    assert len(list((folder / "blobs").iterdir())) == 200


# --- changes


def test_changes_survive_and_are_handled_once(bucket, folder):
    write(bucket, "before")
    bucket.watch("dev")
    write(bucket, "a", b"12")
    write(bucket, "a", b"123")
    bucket.delete("a")
    bucket.delete("never")
    with pytest.raises(AlreadyExistsError):
        write(bucket, "before", if_absent=True)
    bucket.close()
    again = LocalBucket("uploads", folder)
    again.watch("dev")
    changes = again.changes("dev")
    assert [(one.kind, one.key, one.size) for one in changes] == [
        ("created", "a", 2),
        ("created", "a", 3),
        ("deleted", "a", None),
    ]
    assert [one.id for one in changes] == sorted(one.id for one in changes)
    assert again.changes("dev", 1)[0].id == changes[0].id
    again.handled("dev", changes[1].id)
    assert [one.kind for one in again.changes("dev")] == ["deleted"]
    again.handled("dev", changes[2].id)
    assert again.changes("dev") == []
    write(again, "b")
    assert [one.key for one in again.changes("dev")] == ["b"]
    again.close()


def test_changes_are_kept_for_the_slowest_watcher_and_for_nobody_else(bucket, folder):
    write(bucket, "a")
    assert _count(folder) == 0
    bucket.watch("one")
    bucket.watch("two")
    write(bucket, "a")
    write(bucket, "b")
    bucket.handled("one", bucket.changes("one")[-1].id)
    assert _count(folder) == 2
    bucket.handled("two", bucket.changes("two")[0].id)
    assert [one.key for one in bucket.changes("two")] == ["b"]
    assert _count(folder) == 1


def test_who_stops_watching_holds_no_change_back(bucket, folder):
    bucket.watch("one")
    bucket.watch("two")
    write(bucket, "a")
    bucket.handled("one", bucket.changes("one")[-1].id)
    assert bucket.watchers() == ["one", "two"]
    bucket.unwatch("two")
    assert bucket.watchers() == ["one"]
    assert _count(folder) == 0
    write(bucket, "b")
    bucket.unwatch("one")
    assert _count(folder) == 0
    bucket.unwatch("nobody")


def _count(folder):
    connection = sqlite3.connect(folder / "index.sqlite")
    [count] = connection.execute("SELECT count(*) FROM changes").fetchone()
    connection.close()
    return count


# --- the platform


def test_default_state_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    platform = LocalPlatform({})
    monkeypatch.chdir("/")
    write(platform.open(Bucket("uploads")), "a")
    assert (tmp_path / ".portable" / "state" / "buckets" / "uploads" / "index.sqlite").is_file()
    platform.close()


def test_an_address_is_a_folder_that_exists(tmp_path):
    (tmp_path / "mine").mkdir()
    platform = LocalPlatform({"PORTABLE_BUCKET_UPLOADS": str(tmp_path / "mine"), "PORTABLE_LOCAL_STATE": str(tmp_path)})
    write(platform.open(Bucket("uploads")), "a")
    assert (tmp_path / "mine" / "index.sqlite").is_file()
    platform.close()


def test_one_driver_a_resource_and_used_again_after_close(tmp_path):
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})
    driver = platform.open(Bucket("uploads"))
    assert platform.open(Bucket("uploads")) is driver
    assert platform.open(Queue("uploads")) is not driver
    write(driver, "a")
    platform.close()
    assert driver.read("a", None, None) == b"data"
    assert platform.open(Bucket("uploads")).read("a", None, None) == b"data"
    driver.close()
    platform.close()


def test_full_durability(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="normal or full, not 'ful'"):
        LocalPlatform({"PORTABLE_LOCAL_DURABILITY": "ful"})
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(number) or fsync(number))
    platform = LocalPlatform({"PORTABLE_LOCAL_DURABILITY": "full", "PORTABLE_LOCAL_STATE": str(tmp_path)})
    bucket = platform.open(Bucket("uploads"))
    write(bucket, "a")
    assert len(synced) == 2  # the file, and the folder that names it
    with bucket._database.connection() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    platform.close()


# --- errors


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOENT, NotFoundError),
        (errno.EACCES, PermissionDeniedError),
        (errno.ENOSPC, UnavailableError),
        (errno.EINVAL, ServiceError),
    ],
)
def test_file_errors(number, expected):
    error = translate(OSError(number, os.strerror(number)), "bucket uploads", "a")
    assert type(error) is expected
    assert str(error).startswith("bucket uploads, key 'a': ")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, UnavailableError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, UnavailableError),
        (sqlite3.SQLITE_IOERR_WRITE, UnavailableError),
        (sqlite3.SQLITE_CANTOPEN, NotFoundError),
        (sqlite3.SQLITE_READONLY, PermissionDeniedError),
        (sqlite3.SQLITE_TOOBIG, UnsupportedError),
        (sqlite3.SQLITE_CORRUPT, ServiceError),
    ],
)
def test_sqlite_errors(code, expected):
    error = sqlite3.OperationalError("why")
    error.sqlite_errorcode = code
    assert type(translate(error, "queue q")) is expected
    assert str(translate(error, "queue q")) == "queue q: why"


def test_a_file_that_is_no_database(folder):
    (folder / "index.sqlite").write_bytes(b"not a database" * 100)
    bucket = LocalBucket("uploads", folder)
    with pytest.raises(ServiceError, match=r"bucket uploads, key 'a': .*not a database") as caught:
        bucket.stat("a")
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    bucket.close()
