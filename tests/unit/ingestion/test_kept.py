"""What is kept of a record beside what it says: its raw form, and all of it when it is set aside."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.aside import SetAside
from paymux.ingestion.rows import RAW_KEPT, RAW_MAX, aside_row, raw_text, storable

# The raw form


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ('{ "b" : 1.10,\n "a": [1e400, -0.0, 1E+2, 0.1000] }', '{"b":1.10,"a":[1e400,-0.0,1E+2,0.1000]}'),
        (b'{"id": 12345678901234567890123456789012345678}', '{"id":12345678901234567890123456789012345678}'),
        ('{"a": 1, "a": 2}', '{"a":1,"a":2}'),
        ('{"u": "\\u0041\\/ \U0001f600 \u2028"}', '{"u":"\\u0041\\/ \U0001f600 \u2028"}'),
        ('{"nul": "\\u0000"}', '{"nul":"\\u0000"}'),
        (' "text" ', '"text"'),
        ("plain, text", "plain, text"),
        ('{"a": 1', '{"a": 1'),
        ("{'a': 1}", "{'a': 1}"),
        ('{"a": NaN}', '{"a": NaN}'),
        ("", ""),
        ("<xml a='1'>  </xml>", "<xml a='1'>  </xml>"),
        ("MT940\r\n:20:REF  \r\n", "MT940\r\n:20:REF  \r\n"),
        (b"latin-1 \xe9", "latin-1 \\xe9"),
        (b'{"name": "\xe9"}', '{"name":"\\xe9"}'),
        ("\ud800", "\\ud800"),
        ("nul \0 here", "nul \\u0000 here"),
        ("[" * 2000 + "]" * 2000, "[" * 2000 + "]" * 2000),
        (None, None),
    ],
    ids=lambda raw: ascii(raw)[:40],
)  # fmt: skip
def test_a_raw_form_is_kept_as_it_is_but_compact(raw: Any, kept: str | None) -> None:
    """Every digit, every key, their order; what is not JSON is text; what no text can hold is escaped."""
    assert raw_text(raw) == kept


@given(st.binary() | st.text(st.characters(exclude_categories=())))
def test_any_raw_form_can_be_stored(raw: str | bytes) -> None:
    """Whatever a provider answers."""
    kept = raw_text(raw)

    assert kept is not None
    assert b"\0" not in kept.encode()


# Set aside


class Hostile:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    "field",
    [
        None,
        "",
        "text",
        "\ud800\0",
        b"\xff",
        bytearray(b"x"),
        {"a": 1},
        {1: {2, 3}},
        10**5000,
        Hostile(),
        object,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_can_be_set_aside(field: Any) -> None:
    """Setting aside is the last resort, so it never fails."""
    made = aside_row(SetAside(kind=field, reason=field, raw=field))

    assert all("\0" not in text and text.encode() is not None for text in made[1:] if text is not None)


def test_what_is_set_aside_is_kept_whole() -> None:
    """It is to be replayed some day; only what is beyond a record's limit is cut."""
    whole, beyond = "x" * RAW_MAX, "x" * (RAW_MAX + 1)

    assert aside_row(SetAside(reason="r", raw=whole))[3] == whole
    assert aside_row(SetAside(reason="r", raw=beyond))[3] == "x" * RAW_KEPT


def test_the_same_finding_has_the_same_id() -> None:
    """So that it counts up; another reason, kind or raw form is another finding."""
    findings: list[tuple[str, str, str | bytes | None]] = [
        ("payment", "r", "x"), ("payment", "r", b"x"), ("account", "r", "x"), ("payment", "s", "x"),
        ("payment", "r", None),
    ]  # fmt: skip
    ids = [aside_row(SetAside(kind=kind, reason=reason, raw=raw))[0] for kind, reason, raw in findings]

    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_what_is_not_text_is_shown_as_json() -> None:
    """A dictionary is easier to replay than its repr."""
    assert storable({"a": 1}) == '{"a":1}'
    assert storable(10**5000) == "<int>"
    assert storable(Hostile()) == "<Hostile>"
