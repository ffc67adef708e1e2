"""From rows to records: a bad row costs only itself."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.sdk import Amount, Asset, SetAside, SkipRecord, TryAgain, mapped

EUR = Asset.parse("EUR/2")


def amount(row: Any) -> Amount:
    """A mapper as authors write it."""
    return Amount.from_minor(row["money"]["cents"], Asset.parse(row["money"]["asset"].upper()))


GOOD = {"money": {"cents": 100, "asset": "eur/2"}}


@pytest.mark.parametrize("bad", [
    {}, None, [], 7, {"money": None}, {"money": {"cents": "1.5", "asset": "eur/2"}},
    {"money": {"cents": 1.5, "asset": "eur/2"}}, {"money": {"cents": 1, "asset": None}},
    {"money": {"cents": 1, "asset": "not an asset"}}, {"money": {"cents": 10**80, "asset": "eur/2"}},
], ids=str)  # fmt: skip
def test_a_row_that_cannot_be_understood_is_set_aside(bad: Any) -> None:
    """With what it looked like and why; the rows around it are mapped."""
    first, aside, last = mapped([GOOD, bad, GOOD], amount)

    assert first == last == Amount.from_minor(100, EUR)
    assert isinstance(aside, SetAside)
    assert aside.kind == "payment"
    assert aside.reason
    assert aside.raw is not None
    assert json.loads(aside.raw) == bad


def test_the_mapper_says_why() -> None:
    """SkipRecord's own words and raw form are kept, even an empty one."""

    def skip(row: str) -> Amount:
        raise SkipRecord("not a payment", raw="" if row == "empty" else None)

    told, empty = mapped(["text", "empty"], skip, kind="account")

    assert told == SetAside(kind="account", reason="not a payment", raw="text")
    assert empty == SetAside(kind="account", reason="not a payment", raw="")


def test_arithmetic_speaks_of_the_row() -> None:
    """A number that is none is the row's fault."""
    (aside,) = mapped(["ten"], Decimal)

    assert isinstance(aside, SetAside)
    assert "InvalidOperation" in aside.reason


@pytest.mark.parametrize(
    "raised", [TryAgain("down"), OSError("no disk"), RuntimeError("a defect"), KeyboardInterrupt()]
)
def test_what_concerns_more_than_the_row_is_let_out(raised: BaseException) -> None:
    """Setting every row aside because the network is down would lose them quietly."""

    def fail(_: object) -> Amount:
        raise raised

    with pytest.raises(type(raised)):
        list(mapped([GOOD], fail))


class Odd:
    """Something that JSON has no word for."""

    def __repr__(self) -> str:
        return "odd"


def test_a_row_that_cannot_be_shown_is_set_aside_all_the_same() -> None:
    """Loops, halves of surrogate pairs and objects: what it looked like is told as well as possible."""
    loop: list[Any] = []
    loop.append(loop)
    rows = [loop, {"half": "\ud800"}, {"odd": Odd()}, b"\xff"]
    shown = [aside.raw for aside in mapped(rows, amount) if isinstance(aside, SetAside)]

    assert shown == ["[[...]]", "{'half': '\\ud800'}", b'{"odd":"odd"}', b"\xff"]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FIELDS = st.sampled_from(["money", "cents", "asset"])


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner)))
def test_no_row_stops_the_others(row: Any) -> None:
    """Whatever a provider sends, one row in is one record or one set-aside record out."""
    out = list(mapped([row, GOOD], amount))

    assert len(out) == 2
    assert isinstance(out[1], Amount)


def test_a_struct_is_shown_by_its_fields() -> None:
    """Wire structs are rows as well."""

    class Wire(msgspec.Struct):
        cents: str

    (aside,) = mapped([Wire("x")], lambda row: Amount.from_minor(row.cents, EUR))

    assert isinstance(aside, SetAside)
    assert aside.raw == b'{"cents":"x"}'
