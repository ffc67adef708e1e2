import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.errors import InvalidJson
from paymux.domain.ids import canonical_json

Vectors = Callable[[str], list[dict[str, Any]]]

# Whole floats beyond this are written with zeros for the digits they do not have, and read as integers.
EXACT = 2.0**53
scalars = st.none() | st.booleans() | st.integers() | st.floats(-EXACT, EXACT) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def test_every_measured_string_is_written_alike(vectors: Vectors) -> None:
    """The escapes are the fewest, and in upper-case hex."""
    for vector in vectors("canonical_string"):
        assert canonical_json(vector["in"]) == vector["out"]


def test_every_measured_value_is_written_alike(vectors: Vectors) -> None:
    """When numbers are read as the reference reads them: each as a 64-bit float."""
    for vector in vectors("canonical_json"):
        if "out" in vector:
            assert canonical_json(json.loads(vector["in"], parse_int=float)) == vector["out"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-0.0, "0"),
        (1, "1"),
        (1.0, "1"),
        (0.1, "1.0E-1"),
        (-0.1, "-1.0E-1"),
        (1.5, "1.5E0"),
        (123.456, "1.23456E2"),
        (5e-324, "5.0E-324"),
        (1e21, "1000000000000000000000"),
        (1.2345678901234568e29, "123456789012345680000000000000"),
        (123456789012345678901234567890, "123456789012345678901234567890"),
        ("", '""'),
        (
            '\x00\x0b\x1f\b\t\n\f\r"\\/\x7f\u2028<&>',
            '"\\u0000\\u000B\\u001F\\b\\t\\n\\f\\r\\"\\\\/\x7f\u2028<&>"',
        ),
        ([], "[]"),
        ((1, [2]), "[1,[2]]"),
        ({}, "{}"),
        ({"b": 1, "a": {"d": 2, "c": 3}}, '{"a":{"c":3,"d":2},"b":1}'),
        (
            {"\U0001f600": 1, "\ufb00": 2, "Z": 3, "a": 4, "": 5},
            '{"":5,"Z":3,"a":4,"\ufb00":2,"\U0001f600":1}',
        ),
    ],
)
def test_a_value_has_one_form(value: object, written: str) -> None:
    """Keys by code point (not UTF-16 unit), whole numbers in full, others with one digit and a point."""
    assert canonical_json(value) == written


@given(values)
def test_what_is_written_is_json_of_the_same_value(value: object) -> None:
    """Any reader of JSON gets it back, integers to the last digit."""
    assert json.loads(canonical_json(value)) == value


@given(values)
def test_the_form_is_stable(value: object) -> None:
    """Written, read and written again, it is the same text; so it can be an identity."""
    written = canonical_json(value)

    assert canonical_json(json.loads(written)) == written


@given(st.dictionaries(st.text(), scalars), st.randoms())
def test_the_order_of_keys_is_no_matter(value: dict[str, object], random: Any) -> None:
    """Two objects that are equal are one text."""
    items = list(value.items())
    random.shuffle(items)

    assert canonical_json(dict(items)) == canonical_json(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_reads_back_as_itself(value: float) -> None:
    """Its digits are the fewest that do."""
    assert float(canonical_json(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal(1),
        datetime(2024, 1, 1, tzinfo=UTC),
        b"a",
        {1: "a"},
        {None: 1},
        {1},
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_is_refused(value: object) -> None:
    """At any depth; nothing is turned into text by guess."""
    for whole in (value, [value], {"key": value}):
        with pytest.raises(InvalidJson):
            canonical_json(whole)
