"""JSON that may be understood in two ways, or cannot be stored, is refused, and all else comes through."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.api.strict_json import DEPTH_MAX, NotStrict, strict_json

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**200), 10**200) | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(values, st.booleans())
def test_what_means_one_thing_comes_through(value: Any, ascii_only: bool) -> None:  # noqa: FBT001 - given by name
    """Text of any script, escaped or not, and integers beyond what machines count in."""
    assert strict_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a": NaN}', "It holds NaN, which is no number."),
        (b'{"a": [-Infinity]}', "It holds -Infinity, which is no number."),
        (b'{"a": 1e999}', "It holds a number that is out of range."),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "It has 'c' twice in one object."),
        (b'{"a": 1, "\\u0061": 2}', "It has 'a' twice in one object."),
        (b'{"a": "\\u0000"}', "'a' holds a NUL character, which no database text can."),
        (b'{"a": {"b": ["x\\u0000"]}}', "'a' holds a NUL character, which no database text can."),
        (b'{"\\u0000": 1}', "It holds a NUL character, which no database text can."),
        (b'{"a": "\\ud83d"}', "'a' holds half of a surrogate pair, which is no text."),
        (b'{"a": {"\\ude00": 1}}', "'a' holds half of a surrogate pair, which is no text."),
        (b'{"a": "\xed\xa0\xbd"}', "It is not UTF-8."),
        ('{"a": "é"}'.encode("latin-1"), "It is not UTF-8."),
        ('{"a": 1}'.encode("utf-16"), "It is not UTF-8."),
        (b'{"a": ' + b"9" * 5000 + b"}", "It holds a number of more digits than any amount has."),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), f"It is nested more than {DEPTH_MAX} levels deep."),
        (b'{"a":' * 900 + b"1" + b"}" * 900, f"It is nested more than {DEPTH_MAX} levels deep."),
        (b"[" * 100_000, f"It is nested more than {DEPTH_MAX} levels deep."),
    ],
)
def test_what_does_not_is_refused(body: bytes, why: str) -> None:
    """The message says why, and shows no value."""
    with pytest.raises(NotStrict) as refused:
        strict_json(body)

    assert str(refused.value) == why


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a": 01}', b"{'a': 1}", b'{"a": "\n"}', b"\xef\xbb\xbf{}", b"nul", b"{}{}"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Said with the place where it stops being any."""
    with pytest.raises(NotStrict, match=r"\(char \d+\)\.$"):
        strict_json(body)


def test_the_deepest_that_is_taken() -> None:
    """It is as deep as the limit says, in lists and in objects."""
    assert strict_json(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    assert strict_json(b'{"a":' * (DEPTH_MAX - 1) + b"1" + b"}" * (DEPTH_MAX - 1))
