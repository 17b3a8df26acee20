"""Keys as subjects: one to one, and nothing in them that a subject means otherwise."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable.testing.conformance.bucket_keys import HOSTILE_KEYS
from portable_nats.keys import key_of, part_of, subject_filter, token_of, tokens_of

TOKENS = re.compile(r"[A-Za-z0-9_=-]+(\.[A-Za-z0-9_=-]+)*")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
ODD = st.text("a/.=*> %\x00é", min_size=1, max_size=8)


@given(TEXT | ODD)
def test_keys_come_back(key: str) -> None:
    tokens = tokens_of(key)
    assert TOKENS.fullmatch(tokens)
    assert key_of(tokens) == key


@given(TEXT | ODD | st.integers(-(2**63), 2**63 - 1))
def test_parts_of_a_tables_key_come_back(part: str | int) -> None:
    token = token_of(part)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert part_of(token) == part
    assert type(part_of(token)) is type(part)


@given(TEXT | ODD, st.integers(0, 10))
def test_a_filter_lets_every_key_with_the_prefix_through(key: str, length: int) -> None:
    pattern = subject_filter(key[:length])
    assert pattern.endswith(">")
    whole = pattern[:-1]
    assert tokens_of(key).startswith(whole)
    assert len(tokens_of(key)) > len(whole)


@pytest.mark.parametrize("name", HOSTILE_KEYS)
def test_hostile_keys(name: str) -> None:
    assert key_of(tokens_of(HOSTILE_KEYS[name])) == HOSTILE_KEYS[name]
    # A server reads lines of up to 4,096 bytes: with the bucket's name and an inbox for the answer it has to fit.
    assert len(tokens_of(HOSTILE_KEYS[name])) <= 3072


def test_the_longest_key_of_a_table() -> None:
    assert len(f"{token_of('🐍' * 256)}.{token_of('é' * 512)}") < 3072
