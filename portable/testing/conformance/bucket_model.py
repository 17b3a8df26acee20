"""A bucket compared with a dict, over operations that Hypothesis chooses."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError
from portable.resources.bucket import Bucket
from portable.testing.conformance.bucket_keys import HOSTILE_KEYS, BucketKeys

__all__ = ["BucketModel"]


class BucketModel(BucketKeys):
    """One case. It needs Hypothesis, and is skipped without.

    Attributes:
        model_examples: how often it begins with an empty bucket. model_steps: operations each time.
    """

    model_examples: ClassVar[int] = 8
    model_steps: ClassVar[int] = 25

    def test_bucket_is_like_a_dict(self, bucket: Bucket) -> None:
        hypothesis = pytest.importorskip("hypothesis")
        from hypothesis.stateful import run_state_machine_as_test

        settings = hypothesis.settings(
            max_examples=self.model_examples,
            stateful_step_count=self.model_steps,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        run_state_machine_as_test(_machine(bucket, self.spoiled_characters), settings=settings)


def _machine(bucket: Bucket, spoiled: str) -> Any:
    from hypothesis import strategies as st
    from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

    characters = st.characters(exclude_categories=["Cs"], exclude_characters=spoiled)
    odd = st.text(st.sampled_from("a/.%\\ 2FAé🐍").filter(lambda one: one not in spoiled), min_size=1, max_size=6)
    hostile = st.sampled_from([key for key in HOSTILE_KEYS.values() if not set(key) & set(spoiled)])
    new_keys = hostile | odd | st.text(characters, min_size=1, max_size=20)
    data = st.binary(max_size=50)

    class Machine(RuleBasedStateMachine):
        keys = Bundle("keys")

        def __init__(self) -> None:
            super().__init__()
            self.model: dict[str, tuple[bytes, str]] = {}
            self.etags: dict[str, str | None] = {}
            bucket.delete_many(row.key for row in bucket.list())

        def _wrote(self, key: str, value: bytes, type: str, etag: str | None) -> None:
            self.model[key] = (value, type)
            self.etags[key] = etag

        @rule(target=keys, key=new_keys)
        def name(self, key: str) -> str:
            return key

        @rule(key=keys, value=data, type=st.sampled_from(["text/plain", "image/png"]), streamed=st.booleans())
        def write(self, key: str, value: bytes, type: str, streamed: bool) -> None:
            source = iter([value[:10], value[10:]]) if streamed else value
            self._wrote(key, value, type, bucket.write(key, source, content_type=type).etag)

        @rule(key=keys, value=data)
        def create(self, key: str, value: bytes) -> None:
            try:
                etag = bucket.write(key, value, content_type="text/plain", if_absent=True).etag
            except AlreadyExistsError:
                assert key in self.model
            else:
                assert key not in self.model
                self._wrote(key, value, "text/plain", etag)

        @rule(key=keys, other=keys, value=data)
        def replace(self, key: str, other: str, value: bytes) -> None:
            etag = self.etags.get(other)
            if etag is None:
                return
            try:
                etag = bucket.write(key, value, content_type="text/plain", if_match=etag).etag
            except PreconditionFailedError:
                assert key != other
            else:
                # Where an etag is made of the data, two blobs may share it.
                assert key == other or self.model[key][0] == self.model[other][0]
                self._wrote(key, value, "text/plain", etag)

        @rule(key=keys)
        def delete(self, key: str) -> None:
            bucket.delete(key)
            self.model.pop(key, None)
            self.etags.pop(key, None)

        @rule(some=st.lists(consumes(keys), max_size=4))
        def delete_many(self, some: list[str]) -> None:
            assert bucket.delete_many(some) == []
            for key in some:
                self.model.pop(key, None)
                self.etags.pop(key, None)

        @rule(source=keys, to=keys)
        def copy(self, source: str, to: str) -> None:
            try:
                etag = bucket.copy(source, to).etag
            except NotFoundError:
                assert source not in self.model
            else:
                self._wrote(to, *self.model[source], etag)

        @rule(key=keys, start=st.integers(0, 60), size=st.integers(0, 60))
        def read(self, key: str, start: int, size: int) -> None:
            if key not in self.model:
                assert not bucket.exists(key)
                return
            value, kind = self.model[key]
            assert bucket.read(key) == value
            assert bucket.read(key, start=start, end=start + size) == value[start : start + size]
            info = bucket.stat(key)
            assert (info.key, info.size, info.content_type, info.etag) == (key, len(value), kind, self.etags[key])
            with bucket.open(key) as blob:
                assert blob.read() == value

        @rule(prefix=st.text(characters, max_size=2) | keys)
        def list_prefix(self, prefix: str) -> None:
            expected = sorted((key for key in self.model if key.startswith(prefix)), key=str.encode)
            assert [row.key for row in bucket.list(prefix)] == expected

        @invariant()
        def holds_the_same_keys(self) -> None:
            assert [row.key for row in bucket.list()] == sorted(self.model, key=str.encode)

    return Machine
