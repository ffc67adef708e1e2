from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.account import Account, AccountType
from paymux.domain.balance import Balance
from paymux.domain.errors import DomainError
from paymux.domain.ids import ConnectorID, parse_payment_id, payment_id, row_key
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentStatus, PaymentType
from paymux.ingestion.rows import (
    METADATA_MAX,
    RAW_MAX,
    REFERENCE_MAX,
    TEXT_MAX,
    Row,
    Unusable,
    account_row,
    balance_row,
    payment_row,
    whole,
)
from paymux.storage.database import Key

HERE = UUID("93b44ff6-d939-473d-ba59-c754c7cd8777")
EUR = Asset.parse("EUR/2")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
KEY, TYPE, ASSET, MINOR, FIRST, CREATED, METADATA, HASH, REPORT, REPORTED = 0, 2, 5, 6, 7, 10, 11, 13, 14, 16
NAUGHTY = [
    "emoji \U0001f600 and a family \U0001f469\u200d\U0001f469\u200d\U0001f466",
    "right to left: \u05e9\u05dc\u05d5\u05dd \u202eevil\u202c",
    "combining: e\u0301 is not \u00e9",
    "quotes ' \" ` $$ and \\ backslashes \\\\ {1,2} NULL",
    "lines \u2028 \u2029 \r\n \t \x01 \x7f \x85",
    "\ufeff mark, \uffff, \U0010ffff",
    "'; DROP TABLE payment; --",
    r"\u0000 spelled out, and \ud800",
]


def account(**changes: Any) -> Account:
    known: dict[str, Any] = {"reference": "acc", "type": AccountType.INTERNAL}
    return Account(**known | changes)


def balance(**changes: Any) -> Balance:
    known: dict[str, Any] = {"account": "acc", "amount": Amount(100, EUR)}
    return Balance(**known | changes)


def payment(**changes: Any) -> Payment:
    known: dict[str, Any] = {"reference": "p", "type": PaymentType.PAY_IN, "status": PaymentStatus.PENDING}
    return Payment(**known | {"amount": Amount(100, EUR)} | changes)


ROWS: dict[type, Callable[[UUID, Any], Row]] = {
    Account: account_row,
    Balance: balance_row,
    Payment: payment_row,
}


def row(record: Any) -> Row:
    return ROWS[type(record)](HERE, record)


# What comes in


@pytest.mark.parametrize("text", NAUGHTY)
def test_naughty_text_goes_through_untouched(text: str) -> None:
    """Providers send what their customers type; it is kept as it is."""
    paid = row(payment(reference=text, source=text, destination=text, report=text, metadata={text: text}))

    assert [paid[place] for place in (1, 8, 9, 15)] == [text] * 4
    assert msgspec.json.decode(paid[METADATA]) == {text: text}
    described = row(account(reference=text, name=text))
    assert (described[1], described[3]) == (text, text)
    assert row(balance(account=text))[1] == text


@pytest.mark.parametrize("minor", [0, -1, 10**77, 10**78 - 1, 1 - 10**78])
def test_amounts_are_exact_at_any_size(minor: int) -> None:
    """From one wei to all there can be of a token, below zero too."""
    ether = Asset.parse("ETH/18")
    paid = row(payment(amount=Amount(minor, ether), initial_amount=Amount(-minor, ether)))

    assert (paid[ASSET], int(paid[MINOR]), int(paid[FIRST] or paid[MINOR])) == ("ETH/18", minor, -minor)
    assert int(row(balance(amount=Amount(minor, ether)))[3]) == minor


def test_a_yen_is_a_yen() -> None:
    """``JPY`` and ``JPY/0`` are one asset, so neither spelling is a change."""
    one, other = (payment(amount=Amount(5, Asset.parse(text))) for text in ("JPY", "JPY/0"))

    assert row(one) == row(other)
    assert row(account(default_asset="JPY")) == row(account(default_asset="JPY/0"))


def test_enumerations_may_come_as_their_text() -> None:
    """Mappers hand over what the provider said, and sometimes an enumeration of their own."""

    class Theirs(StrEnum):
        PAYOUT = "PAYOUT"

    assert (
        row(payment(type="PAYOUT"))
        == row(payment(type=Theirs.PAYOUT))
        == row(payment(type=PaymentType.PAYOUT))
    )
    assert row(payment(scheme="sepa debit"))[4] == "sepa debit"


def test_a_subclass_of_text_is_text() -> None:
    """Markup libraries and enumerations make such."""

    class Marked(str):
        __slots__ = ()

    plain, marked = (
        payment(reference=kind("p"), metadata={kind("k"): kind("v")}, source=kind("s"))
        for kind in (str, Marked)
    )

    assert row(marked) == row(plain)


def test_a_time_is_the_instant_and_not_its_spelling() -> None:
    """A provider that moves to another office has reported nothing new."""
    tokyo = timezone(timedelta(hours=9))

    class Theirs(datetime):
        """As date libraries have them."""

    theirs = Theirs(2024, 5, 1, 12, tzinfo=UTC)
    rows = [
        row(payment(created_at=time, reported_at=time)) for time in (NOON, NOON.astimezone(tokyo), theirs)
    ]

    assert rows[0] == rows[1] == rows[2]
    assert [type(one[CREATED]) for one in rows] == [datetime] * 3


def test_the_beginning_of_all_time_means_no_time() -> None:
    """Go and .NET write it where there is none, and PostgreSQL would read minus infinity."""
    zero = datetime(1, 1, 1, tzinfo=UTC)

    assert row(payment(created_at=zero, reported_at=zero)) == row(payment())
    assert row(account(created_at=zero)) == row(account())
    assert row(balance(at=zero)) == row(balance())


def test_the_end_of_all_time_is_a_time() -> None:
    """.NET writes it, and PostgreSQL would read infinity; reports without a time have room after it."""
    last = datetime.max.replace(tzinfo=UTC)

    assert row(payment(reported_at=last))[REPORTED] == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


# What is the same


def test_the_order_of_metadata_says_nothing() -> None:
    """Some providers shuffle their keys; a poll must not see a change in that."""
    one, other = {"a": "1", "b": "2", "c": "3"}, {"c": "3", "a": "1", "b": "2"}

    assert row(payment(metadata=one)) == row(payment(metadata=other))
    assert row(account(metadata=one)) == row(account(metadata=other))


def test_no_metadata_is_no_metadata() -> None:
    """However it is left out."""
    assert row(payment(metadata=None)) == row(payment(metadata={})) == row(payment())


def test_the_raw_form_says_nothing() -> None:
    """A provider that stamps its answers with the time of day has not said anything new."""
    assert row(payment(raw='{"at": 1}'))[HASH] == row(payment(raw='{"at": 2}'))[HASH]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "PAYOUT"}, {"status": "FAILED"}, {"scheme": "visa"}, {"amount": Amount(101, EUR)},
        {"amount": Amount(100, Asset.parse("USD/2"))}, {"initial_amount": Amount(99, EUR)}, {"source": "s"},
        {"destination": "s"}, {"created_at": NOON}, {"reported_at": NOON}, {"report": "r"},
        {"metadata": {"k": "v"}}, {"metadata": {"k": ""}}, {"metadata": {"": "k"}},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_else_changes_is_a_change(change: dict[str, Any]) -> None:
    """Each field of a payment counts."""
    assert row(payment(**change))[HASH] != row(payment())[HASH]
    assert row(payment(**change))[KEY] == row(payment())[KEY]


def test_a_report_is_known_by_its_name_or_else_by_its_content() -> None:
    """A snapshot has no identity of its own; the database gives it one."""
    named = {row(payment(report="r", status=status))[REPORT] for status in ("PENDING", "FAILED")}
    timed = {row(payment(reported_at=NOON, status=status))[REPORT] for status in ("PENDING", "FAILED")}

    assert len(named) == 1
    assert len(timed) == 2
    assert row(payment())[REPORT] is None


def test_keys_tell_installations_and_kinds_apart() -> None:
    """An account and a payment of one name are two things, and so are those of two installations."""
    elsewhere = UUID(int=1)
    keys = {row(payment(reference="x"))[KEY], row(account(reference="x"))[KEY]}
    keys |= {payment_row(elsewhere, payment(reference="x"))[KEY]}

    assert len(keys) == 3
    assert row(balance(account="x"))[KEY] == row(account(reference="x"))[KEY] == row_key(HERE, "account", "x")


# What is refused


class Clueless(tzinfo):
    """A zone that does not know where it is."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str | None:
        return None


BAD: dict[str, list[Any]] = {
    "reference": [
        "", 5, b"bytes", ["list"], "x" * (REFERENCE_MAX + 1), "\U0001f600" * (REFERENCE_MAX // 4 + 1), "a\0b",
        "\ud800", "a\udfff",
    ],
    "member": [None, "", "pending", "internal", 5, [], {}],
    "amount": [None, 100, "100", 1.5, (100, EUR)],
    "time": [
        NOON.replace(tzinfo=None), NOON.replace(tzinfo=Clueless()), NOON.date(), NOON.isoformat(), 1714564800,
        datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=2))),
    ],
    "metadata": [
        {"k": 1}, {1: "v"}, {"k": None}, {"k": {"deep": "v"}}, ["k"], "k", 5, {"k": "a\0b"}, {"a\0b": "v"},
        {"k": "\ud800"}, {"\udfff": "v"}, {"k": "x" * METADATA_MAX},
    ],
    "text": [None, 5, b"bytes", "x" * (TEXT_MAX + 1), "a\0b", "\ud800"],
    "raw": [{"a": 1}, 5, "x" * (RAW_MAX + 1)],
}  # fmt: skip
KINDS = {
    "reference": "reference", "source": "reference", "destination": "reference", "report": "reference",
    "account": "reference", "type": "member", "status": "member", "scheme": "member", "amount": "amount",
    "initial_amount": "amount", "created_at": "time", "reported_at": "time", "at": "time",
    "metadata": "metadata", "name": "text", "default_asset": "text", "raw": "raw",
}  # fmt: skip
NEEDED = ("reference", "account", "type", "status", "scheme", "amount", "name", "default_asset")
REFUSED = [
    (msgspec.structs.replace(record, **{field: bad}), field)
    for record in (payment(), account(), balance())
    for field in type(record).__struct_fields__
    for bad in (*BAD[KINDS[field]], None)
    if bad is not None or field in NEEDED
]


@pytest.mark.parametrize(("record", "field"), REFUSED)
def test_what_cannot_be_stored_is_refused_by_the_name_of_its_field(record: Any, field: str) -> None:
    """Whoever reads the reason knows where to look."""
    with pytest.raises(Unusable, match=f"^{field}: "):
        row(record)


def test_an_asset_that_is_none_is_refused() -> None:
    """The rule is the domain's, and so is the message."""
    with pytest.raises(DomainError, match=r"EUR/2.* Got 'euro'"):
        row(account(default_asset="euro"))


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize(
    "record",
    [None, {}, "text", 5, object(), account(), balance(), payment()],
    ids=lambda record: type(record).__name__,
)
def test_a_record_of_another_class_is_refused(kind: type, record: Any) -> None:
    """A task that mixes up its lists is told so."""
    if isinstance(record, kind):
        assert ROWS[kind](HERE, record)
        return
    with pytest.raises(Unusable, match=f"of class {kind.__name__}, got {type(record).__name__}"):
        ROWS[kind](HERE, record)


def test_any_reference_that_is_taken_makes_an_identifier_that_is_read() -> None:
    """The limit is in bytes, because a URL's is."""
    connector = ConnectorID("PROVIDER-OF-A-LONG-NAME", HERE)
    for text in ("x", "\u00e9", "\u20ac", "\U0001f600"):
        longest = text * (REFERENCE_MAX // len(text.encode()))
        assert row(payment(reference=longest))
        assert parse_payment_id(payment_id(connector, longest, "TRANSFER")).reference == longest


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text(st.characters(exclude_categories=()))
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.builds(Amount, st.integers(-(10**77), 10**77), st.just(EUR)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted({*Payment.__struct_fields__, *Account.__struct_fields__, *Balance.__struct_fields__})


@given(
    st.sampled_from([account, balance, payment]),
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=3),
)
def test_a_record_of_anything_makes_a_row_or_is_refused(
    make: Callable[..., Any], fields: dict[str, Any]
) -> None:
    """And what makes a row is text that PostgreSQL takes, or no text at all."""
    record = make()
    known = {name: value for name, value in fields.items() if name in type(record).__struct_fields__}
    try:
        made = row(msgspec.structs.replace(record, **known))
    except (Unusable, DomainError):
        return
    if make is payment:
        made = tuple(value for column in whole(HERE, tuple(zip(made))) for value in column)
    for value in made:
        if isinstance(value, str):
            assert b"\0" not in value.encode()
        else:
            assert value is None or type(value) in (Key, datetime)
