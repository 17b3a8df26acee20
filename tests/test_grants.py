"""Verbs of resources: no method of any portable type is without."""

from __future__ import annotations

from typing import Any

import pytest

from portable import Bucket, Cache, Config, Queue, Secret, Sockets, Stream, Table, Topic
from portable.grants import BESIDE, METHODS, NEEDS_NOTHING, TRANSACTION, VERBS, method_of
from portable.resources.transaction import Transaction

TYPES: tuple[Any, ...] = (Bucket, Cache, Config, Queue, Secret, Sockets, Stream, Table, Topic)
ANYTHING = {"driver", "native"}  # reach whatever there is: every verb, with a note


def test_every_kind_has_verbs() -> None:
    assert {one.kind for one in TYPES} == set(VERBS) == set(METHODS)


@pytest.mark.parametrize("type", TYPES)
def test_every_method_has_verbs(type: Any) -> None:
    names = {name for name in dir(type) if not name.startswith("_")} - ANYTHING - NEEDS_NOTHING
    unknown = {name for name in names if method_of(type.kind, name) is None and callable(getattr(type, name))}
    assert unknown == set()
    for method in {*METHODS[type.kind], *BESIDE.get(type.kind, {})}:
        assert callable(getattr(type, method)), method


@pytest.mark.parametrize("kind", VERBS)
def test_verbs_are_those_of_the_kind(kind: str) -> None:
    needed = {verb for verbs in METHODS[kind].values() for verb in verbs}
    assert needed == set(VERBS[kind])
    assert list(VERBS[kind]) == sorted(VERBS[kind])


def test_every_operation_of_a_transaction_has_verbs() -> None:
    assert {name for name in vars(Transaction) if not name.startswith("_")} == set(TRANSACTION)
