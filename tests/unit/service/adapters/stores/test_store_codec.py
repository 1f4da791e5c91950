from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.stores import codec
from service.adapters.stores.cursors import decode_cursor, encode_cursor
from service.core.domain import (
    ComparisonPreference,
    GroupDraft,
    RatingPreference,
    SharePreference,
)
from service.core.errors import InvalidInput, StoreUnavailable

# Surrogates as well: a store must not choke on what a lenient parser let through.
texts = st.text(st.characters(exclude_categories=()), max_size=20)
shares = st.floats(0, 1)
weights = st.none() | st.floats(0, 1e300)
preferences = st.one_of(
    st.builds(
        SharePreference,
        question=texts,
        options=st.lists(texts).map(tuple),
        distribution=st.lists(shares).map(tuple),
        counts=st.none() | st.lists(st.floats(0, 1e300)).map(tuple),
    ),
    st.builds(RatingPreference, prompt=texts, response=texts, score=shares, weight=weights),
    st.builds(ComparisonPreference, prompt=texts, chosen=texts, rejected=texts, weight=weights),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
drafts = st.builds(
    GroupDraft,
    name=texts,
    preferences=st.lists(preferences, max_size=4).map(tuple),
    description=st.none() | texts,
    metadata=st.none() | st.dictionaries(texts, json_values, max_size=3),
)


def record(draft: GroupDraft) -> codec.Record:
    made = codec.now()
    return codec.Record(
        group_id="g",
        version=3,
        head=codec.encode_head(draft, embedder="e"),
        preferences=codec.encode_preferences(draft.preferences),
        created_at=made,
        updated_at=made,
    )


@given(drafts)
def test_a_group_comes_back_equal(draft: GroupDraft) -> None:
    group = codec.decode_group(record(draft))
    assert (group.name, group.description, group.metadata, group.preferences) == (
        draft.name,
        draft.description,
        draft.metadata,
        draft.preferences,
    )
    assert (group.id, group.version, group.embedder) == ("g", 3, "e")


@given(st.lists(preferences, max_size=4))
def test_an_array_of_preferences_comes_apart_again(some: list[codec.Preference]) -> None:
    encoded = codec.encode_preferences(some)
    joined = codec.join_preferences(encoded)
    assert joined.isascii()
    assert codec.split_preferences(joined) == encoded


def test_times_are_utc_and_exact() -> None:
    stored = record(GroupDraft(name="n", preferences=()))
    group = codec.decode_group(stored)
    assert group.created_at.tzinfo == UTC
    assert abs((datetime.now(UTC) - group.created_at).total_seconds()) < 60
    assert group.created_at.isoformat(timespec="microseconds") == stored.created_at


@pytest.mark.parametrize(
    "head",
    ["", "[]", "{}", "null", '{"schema_version": 1}', '{"schema_version": "one", "name": "n"}'],
)
def test_a_damaged_head_is_an_outage(head: str) -> None:
    with pytest.raises(StoreUnavailable, match="damaged"):
        codec.decode_group(codec.Record("g", 1, head, (), codec.now(), codec.now()))


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "other"}', '{"kind": "share"}', "[]", "7"])
def test_a_damaged_preference_is_an_outage(text: str) -> None:
    head = codec.encode_head(GroupDraft(name="n", preferences=()), embedder="e")
    with pytest.raises(StoreUnavailable, match="damaged"):
        codec.decode_group(codec.Record("g", 1, head, (text,), codec.now(), codec.now()))


def test_a_newer_record_is_named_as_such() -> None:
    head = json.loads(codec.encode_head(GroupDraft(name="n", preferences=()), embedder="e"))
    head["schema_version"] = codec.SCHEMA_VERSION + 1
    with pytest.raises(StoreUnavailable, match="newer release"):
        codec.decode_group(codec.Record("g", 1, json.dumps(head), (), codec.now(), codec.now()))


def test_vectors_that_do_not_fit_their_shape_are_absent() -> None:
    good = codec.encode_vectors(np.ones((3, 2), np.float32))
    assert codec.decode_vectors(good) is not None
    assert codec.decode_vectors(codec.VectorRecord(3, 2, good.data[:-1])) is None
    assert codec.decode_vectors(codec.VectorRecord(4, 2, good.data)) is None


@given(st.text(max_size=200))
def test_a_cursor_leads_back(last_id: str) -> None:
    assert decode_cursor(encode_cursor(last_id)) == last_id


@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True))
def test_an_invented_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as info:
        decode_cursor(cursor)
    assert [e.pointer for e in info.value.errors] == ["/cursor"]


def test_a_cursor_with_one_letter_changed_is_refused() -> None:
    cursor = encode_cursor("some-group")
    for at in range(len(cursor) - 1):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        with pytest.raises(InvalidInput):
            decode_cursor(changed)
