from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.errors import DomainError
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentScheme, PaymentStatus, PaymentType
from paymux.ingestion.page import columns
from paymux.ingestion.plain import plain_payments
from paymux.ingestion.rows import LAST_SECOND, REFERENCE_MAX, Unusable, payment_row

HERE = UUID("93b44ff6-d939-473d-ba59-c754c7cd8777")
EUR = Asset.parse("EUR/2")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Text(str):
    """Text of somebody's own."""

    __slots__ = ()


class Status(StrEnum):
    """A status of somebody's own."""

    PENDING = "PENDING"


def payment(**changes: Any) -> Payment:
    known: dict[str, Any] = {"reference": "p", "type": PaymentType.PAY_IN, "status": PaymentStatus.PENDING}
    return Payment(**known | {"amount": Amount(100, EUR)} | changes)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"source": "s", "destination": "d", "created_at": NOON, "scheme": PaymentScheme.VISA},
        {"metadata": {"b": "\U0001f600", "a": "1"}, "raw": b'{"id": 1}'},
        {"amount": Amount(10**78 - 1, Asset.parse("ETH/18")), "raw": "text", "created_at": LAST_SECOND},
        {"reference": "x" * REFERENCE_MAX},
    ],
    ids=str,
)
def test_what_most_payments_are_like_is_plain(change: dict[str, Any]) -> None:
    """And comes out as it would one by one."""
    records = [payment(reference="q"), payment(**change)]

    assert plain_payments(HERE, records) == columns([payment_row(HERE, record) for record in records])


@pytest.mark.parametrize(
    "change",
    [
        {"reference": ""}, {"reference": "q"}, {"reference": "\u00e9"}, {"reference": "x\0"},
        {"reference": 5}, {"reference": Text("t")}, {"reference": "x" * (REFERENCE_MAX + 1)},
        {"source": ""}, {"destination": b"d"}, {"type": "PAY-IN"}, {"status": Status.PENDING},
        {"scheme": None}, {"amount": 100}, {"amount": None}, {"initial_amount": Amount(1, EUR)},
        {"created_at": NOON.replace(tzinfo=None)}, {"created_at": "noon"},
        {"created_at": NOON.astimezone(timezone(timedelta(hours=2)))},
        {"created_at": datetime.max.replace(tzinfo=UTC)},
        {"metadata": {"k": 1}}, {"metadata": "m"}, {"metadata": []}, {"metadata": ""}, {"metadata": 0},
        {"raw": 5}, {"report": "r"}, {"reported_at": NOON},
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_odd_is_left_to_a_closer_look(change: dict[str, Any]) -> None:
    """One such record, and all are looked at one by one."""
    assert plain_payments(HERE, [payment(reference="q"), payment(**change)]) is None


@pytest.mark.parametrize("record", [None, "text", object()])
def test_what_is_no_payment_is_left_to_a_closer_look(record: Any) -> None:
    """Whatever it is."""
    assert plain_payments(HERE, [payment(), record]) is None
    assert plain_payments(HERE, []) == ()


def rarely(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.none() | st.none() | values


texts = st.sampled_from(["a", "b", "\u00e9", "", "nul \0", "\ud800"]) | st.text(max_size=3)
times = st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2)), None]))
payments = st.builds(
    payment,
    reference=st.uuids().map(str) | texts,
    type=st.sampled_from([*PaymentType, "PAYOUT", "none"]),
    amount=st.builds(Amount, st.integers(-(10**77), 10**77), st.sampled_from([EUR, Asset.parse("JPY")])),
    initial_amount=rarely(st.just(Amount(5, EUR))),
    source=st.none() | texts,
    created_at=times,
    metadata=st.dictionaries(texts, texts, max_size=2) | st.sampled_from([None, [], "", 0]),
    raw=st.none() | st.binary(max_size=5) | st.text(max_size=5),
    report=rarely(texts),
    reported_at=rarely(times),
)


@given(st.lists(payments, max_size=4))
def test_all_at_once_comes_to_the_same_as_one_by_one(records: list[Payment]) -> None:
    """Or to nothing: what one by one would be refused is never let in together."""
    together = plain_payments(HERE, records)
    if together is None:
        return
    try:
        assert together == columns([payment_row(HERE, record) for record in records])
    except (Unusable, DomainError) as error:
        pytest.fail(f"let in, but {error}")
