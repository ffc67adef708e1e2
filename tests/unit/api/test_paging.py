"""Cursors: what they hold comes back, and nothing else is taken for one."""

from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.api.errors import InvalidQuery
from paymux.api.paging import Cursors

CURSORS = Cursors(b"key")
values = (
    st.integers(-(10**78), 10**78)
    | st.text(st.characters(codec="utf-8"), max_size=2000)
    | st.uuids()
    | st.datetimes(timezones=st.just(UTC))
)
rows = st.lists(values, min_size=1, max_size=5).map(tuple)


def next_of(key: tuple[Any, ...], query: str = "", sort: str = "") -> str:
    """The cursor behind a row."""
    place = CURSORS.place("list", "1", None, query, sort)
    return str(CURSORS.page(place, [1, 2], [key, key])["cursor"]["next"])


@given(rows, st.text(st.characters(codec="utf-8"), max_size=3000), st.sampled_from(["", "status:asc"]))
def test_a_cursor_brings_back_what_it_was_made_of(key: tuple[Any, ...], query: str, sort: str) -> None:
    """Exactly, at any size, with the filter and the order; said again beside it, they fit."""
    cursor = next_of(key, query, sort)
    for place in (CURSORS.place("list", None, cursor), CURSORS.place("list", "7", cursor, query, sort)):
        assert place.row == key
        assert (place.query, place.sort, place.size, place.backwards) == (query, sort, 1, False)


@given(rows, st.data())
def test_a_cursor_with_a_changed_byte_is_none(key: tuple[Any, ...], data: st.DataObject) -> None:
    """Wherever it is changed."""
    cursor = next_of(key)
    signed = bytearray(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    at = data.draw(st.integers(0, len(cursor) - 2))
    other = data.draw(st.sampled_from("AB-_09zq").filter(lambda letter: letter != cursor[at]))
    changed = cursor[:at] + other + cursor[at + 1 :]
    assert urlsafe_b64decode(changed + "=" * (-len(changed) % 4)) != bytes(signed)
    with pytest.raises(InvalidQuery):
        CURSORS.place("list", None, changed)


def test_a_cursor_is_of_one_list_one_filter_and_one_deployment() -> None:
    """Anything else beside it is refused, not ignored."""
    cursor = next_of((1,), "[1]", "status:asc")
    for scope, query, sort in (("other", "", ""), ("list", "[2]", ""), ("list", "", "status:desc")):
        with pytest.raises(InvalidQuery):
            CURSORS.place(scope, None, cursor, query, sort)
    with pytest.raises(InvalidQuery):
        Cursors(b"another").place("list", None, cursor)


def test_a_long_filter_makes_no_longer_cursor_than_it_must() -> None:
    """Identifiers of one installation have most of their letters in common."""
    query = ",".join(
        f"eyJDb25uZWN0b3JJRCI6eyJQcm92aWRlciI6IkRVTU1ZLVBBWSIsI{number}" for number in range(200)
    )
    assert len(next_of((datetime(2024, 1, 1, tzinfo=UTC),), query)) < len(query) // 4
