"""The suites catch what they are for: a mutant breaks one promise, or declares what is not so, and its case fails."""

import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from portable.testing.conformance import BucketConformance

HEAD = """
import json
import time
from datetime import timedelta

import pytest

from portable import Bucket, Queue
from portable.capabilities import refused
from portable.errors import NotFoundError
from portable.resources import use_platform
from portable.testing.conformance import BucketConformance, QueueConformance
from portable_local.bucket import LocalBucket
from portable_local.capabilities import CAPABILITIES
from portable_local.platform import LocalPlatform
from portable_local.queue import _CLAIM, LocalQueue


class Platform(LocalPlatform):
    kind = None

    def open(self, resource):
        driver = super().open(resource)
        if self.kind is not None:
            driver.__class__ = self.kind
        return driver


class Local:
    kind = None

    @pytest.fixture
    def platform(self, tmp_path):
        gone = str(tmp_path / "gone")
        names = ("PORTABLE_BUCKET_MISSING", "PORTABLE_QUEUE_MISSING")
        platform = Platform({"PORTABLE_LOCAL_STATE": str(tmp_path), **dict.fromkeys(names, gone)})
        platform.kind = self.kind
        with use_platform(platform):
            yield platform
        platform.close()

    @pytest.fixture
    def bucket(self, platform):
        return Bucket("uploads")

    @pytest.fixture
    def queue(self, platform):
        return Queue("emails")
"""

# Name of the mutant: the case that has to fail, the suite, and what is wrong.
MUTANTS = {
    "FoldsCase": (
        "hostile_keys_never_collide",
        "Bucket",
        """
    class kind(LocalBucket):
        def write(self, key, data, **options):
            return super().write(key.lower(), data, **options)

        def read(self, key, start, end):
            return super().read(key.lower(), start, end)
""",
    ),
    "ResolvesPaths": (
        "hostile_key[two_slashes]",
        "Bucket",
        """
    class kind(LocalBucket):
        def write(self, key, data, **options):
            return super().write(key.replace("//", "/"), data, **options)
""",
    ),
    "LooksBeforeItWrites": (
        "one_of_many_writers_creates",
        "Bucket",
        """
    class kind(LocalBucket):
        def write(self, key, data, *, if_absent, **options):
            if if_absent:
                try:
                    super().stat(key)
                except NotFoundError:
                    if_absent = False
                    time.sleep(0.05)
            return super().write(key, data, if_absent=if_absent, **options)
""",
    ),
    "IgnoresTheEtag": (
        "no_update_is_lost",
        "Bucket",
        """
    class kind(LocalBucket):
        def write(self, key, data, *, if_match, **options):
            return super().write(key, data, if_match=None, **options)
""",
    ),
    "WritesInParts": (
        "a_reader_sees_a_whole_blob",
        "Bucket",
        """
    class kind(LocalBucket):
        def write(self, key, data, **options):
            try:
                old = super().read(key, None, None)
            except NotFoundError:
                old = b""
            super().write(key, data[: len(data) // 2] + old[len(data) // 2 :], **options)
            time.sleep(0.01)
            return super().write(key, data, **options)
""",
    ),
    "NamesNothing": (
        "missing_key[read]",
        "Bucket",
        """
    class kind(LocalBucket):
        def read(self, key, start, end):
            try:
                return super().read(key, start, end)
            except NotFoundError as error:
                raise NotFoundError("not found") from error
""",
    ),
    "KeepsOldMetadata": (
        "overwrite",
        "Bucket",
        """
    class kind(LocalBucket):
        def write(self, key, data, *, metadata, **options):
            try:
                metadata = {**super().stat(key).metadata, **(metadata or {})}
            except NotFoundError:
                pass
            return super().write(key, data, metadata=metadata, **options)
""",
    ),
    "SortsAsUTF16": (
        "list_in_order_of_utf8",
        "Bucket",
        """
    class kind(LocalBucket):
        def list(self, prefix, delimiter):
            return iter(sorted(super().list(prefix, delimiter), key=lambda row: row.key.encode("utf-16-be")))
""",
    ),
    "ListsOnePage": (
        "list_more_than_a_page",
        "Bucket",
        """
    page_size = 20

    class kind(LocalBucket):
        def list(self, prefix, delimiter):
            rows = super().list(prefix, delimiter)
            return (row for row, _ in zip(rows, range(20)))
""",
    ),
    "KeepsWhatCame": (
        "source_that_raises[2]",
        "Bucket",
        """
    class kind(LocalBucket):
        def write_parts(self, key, parts, **options):
            came = []
            try:
                came.extend(iter(lambda: next(parts), None))
            except Exception:
                pass
            return super().write_parts(key, iter(came), **options)
""",
    ),
    "AlwaysReads": (
        "read_if_none_match",
        "Bucket",
        """
    class kind(LocalBucket):
        def read(self, key, start, end, if_match=None, if_none_match=None):
            return super().read(key, start, end, if_match)
""",
    ),
    "CopiesTheDataAlone": (
        "copy",
        "Bucket",
        """
    class kind(LocalBucket):
        def copy(self, source, target, to):
            options = {"content_type": None, "metadata": None, "if_absent": False, "if_match": None}
            return to.write(target, self.read(source, None, None), **options)
""",
    ),
    "OpensTheLatest": (
        "read_if_match",
        "Bucket",
        """
    class kind(LocalBucket):
        def open(self, key, start, end, if_match):
            return super().open(key, start, end, None)
""",
    ),
    "StaleFault": ("delete", "Bucket", '\n    emulator_faults = {"delete": "was mended long ago"}\n'),
    "EncodesAnew": (
        "body_is_the_text_as_sent",
        "Queue",
        """
    class kind(LocalQueue):
        def send(self, body, **options):
            return super().send(json.dumps(json.loads(body)), **options)
""",
    ),
    "DropsAttributes": (
        "attributes",
        "Queue",
        """
    class kind(LocalQueue):
        def send(self, body, *, attributes, **options):
            return super().send(body, attributes={}, **options)
""",
    ),
    "NeverHides": (
        "hidden_while_leased",
        "Queue",
        """
    class kind(LocalQueue):
        def receive(self, limit, wait, lease):
            return super().receive(limit, wait, timedelta(0))
""",
    ),
    "KeepsWhatIsDone": (
        "acknowledged_is_gone",
        "Queue",
        """
    class kind(LocalQueue):
        def acknowledge(self, received):
            pass
""",
    ),
    "CountsNothing": (
        "retry",
        "Queue",
        "\n    capabilities = CAPABILITIES['queue'] | {'attempts': refused('not so', source='')}\n",
    ),
    "DeniesDelay": (
        "delay",
        "Queue",
        "\n    capabilities = CAPABILITIES['queue'] | {'delay': refused('not so', source='')}\n",
    ),
    "DeniesOrder": (
        "group_is_refused",
        "Queue",
        "\n    capabilities = CAPABILITIES['queue'] | {'ordered': refused('not so', source='')}\n",
    ),
    "DeniesDepth": (
        "depth",
        "Queue",
        "\n    capabilities = CAPABILITIES['queue'] | {'depth': refused('not so', source='')}\n",
    ),
    "ForgetsTheOrder": (
        "a_group_waits_for_a_failed_message",
        "Queue",
        """
    class kind(LocalQueue):
        def receive(self, limit, wait, lease):
            self._claim_statement = _CLAIM
            return super().receive(limit, wait, lease)
""",
    ),
    "TakesNoLimit": (
        "redrive",
        "Queue",
        """
    class kind(LocalQueue):
        def redrive(self, limit):
            return super().redrive(None)
""",
    ),
    "DeniesDeadLetters": (
        "dead_letters",
        "Queue",
        "\n    capabilities = CAPABILITIES['queue'] | {'dead_letters': refused('not so', source='')}\n",
    ),
    "DeniesMoving": (
        "after_max_attempts",
        "Queue",
        """
    capabilities = CAPABILITIES["queue"] | {"moves_dead_letters": refused("not so", source="")}
    patience = timedelta(seconds=2)
""",
    ),
    "ClaimsALimit": ("size_of_bodies", "Queue", "\n    largest_body = 1000\n"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """By test id, what became of it. Every mutated case runs unmutated too."""
    folder = tmp_path_factory.mktemp("suites")
    text, wanted = HEAD, []
    for name, (case, suite, body) in {
        **MUTANTS,
        "Sound": ("", "Bucket", "\n    page_size = 20\n"),
        "SoundToo": ("", "Queue", ""),
    }.items():
        given = "\n    capabilities = CAPABILITIES['queue']\n" if suite == "Queue" else ""
        text += f"\n\nclass Test{name}(Local, {suite}Conformance):{given}{body or chr(10)}    pass\n"
        cases = [case] if case else [known for known, kind, _ in MUTANTS.values() if kind == suite]
        wanted += [f"test_mutants.py::Test{name}::test_{one}" for one in cases]
    (folder / "test_mutants.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml", *wanted]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {}
    for case in ET.parse(folder / "report.xml").iter("testcase"):  # written by the process above
        name = case.get("classname").removeprefix("test_mutants.Test")
        what = {child.tag: child.get("message") for child in case if child.tag in ("failure", "error", "skipped")}
        found[name, case.get("name").removeprefix("test_")] = what
    return found


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails(outcomes, name):
    case, suite, _ = MUTANTS[name]
    assert list(outcomes[name, case]) == ["failure"]
    assert outcomes["Sound" if suite == "Bucket" else "SoundToo", case] == {}


def test_a_failed_case_shows_the_values(outcomes):
    assert "['A', 'Z'" in outcomes["SortsAsUTF16", "list_in_order_of_utf8"]["failure"]


def test_a_fault_of_no_case_is_refused():
    with pytest.raises(TypeError, match=r"names 'no_such', and there is no case test_no_such"):
        type("TestBucket", (BucketConformance,), {"emulator_faults": {"no_such": "reason"}})
