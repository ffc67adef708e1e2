"""Whatever text, amount or time a provider sends comes back as it was, or is set aside by itself."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.ingestion.inlet import NOON, Inlet, account, balance, payment

from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment
from paymux.events.types import from_row

NAUGHTY = [
    "emoji \U0001f600 and a family \U0001f469\u200d\U0001f469\u200d\U0001f466",
    "right to left: \u05e9\u05dc\u05d5\u05dd \u202eevil\u202c",
    "combining: e\u0301 is not \u00e9",
    'quotes \' " ` $$ and \\ backslashes \\\\ {1,2} {NULL,"x"} NULL \\N',
    "lines \u2028 \u2029 \r\n \t \x01 \x1f \x7f \x85",
    "\ufeff mark, \uffff, \U0010ffff",
    "'; DROP TABLE payment; --",
    r"\u0000 spelled out, \ud800, \x00, \000",
    " ",
    "%s %(x)s $1 :x",
]
storable = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
whole = settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


async def round_trip(inlet: Inlet, text: str) -> None:
    raw = msgspec.json.encode({text: [text, {"k": text}]})
    page = Payment(
        reference=text, type=payment().type, status=payment().status, amount=payment().amount, source=text,
        destination=f"{text}+", metadata={text: text, "k": text}, raw=raw, report=text, reported_at=NOON,
    )  # fmt: skip
    counts = await inlet.ingest(
        payments=[page, payment("other", raw=text)],
        accounts=[account(text, name=text, metadata={"k": text}, raw=text)],
        balances=[balance(1, NOON, text)],
    )
    assert counts.aside == 0

    row = await inlet.payment(text)
    assert row["reference"] == text
    assert msgspec.json.decode(row["metadata"]) == {text: text, "k": text}
    (report,) = await inlet.adjustments(text)
    assert (report["reference"], report["raw"]) == (text, raw.decode())
    described = await inlet.account(text)
    assert (described["reference"], described["name"]) == (text, text)
    assert described["key"] == row["source"]
    assert (await inlet.account(f"{text}+"))["type"] == "UNKNOWN"
    assert (await inlet.intervals(text))[0][2] == 1
    assert (await inlet.ingest(payments=[page])).unchanged == 1


@pytest.mark.parametrize("text", NAUGHTY)
async def test_naughty_text_comes_back_as_it_was(inlet: Inlet, text: str) -> None:
    """Through references, names, metadata and raw forms, byte for byte."""
    await round_trip(inlet, text)
    (plain,) = await inlet.adjustments("other")
    assert plain["raw"] == text


@whole
@given(text=st.text(storable, min_size=1, max_size=50))
async def test_any_text_comes_back_as_it_was(inlet: Inlet, text: str) -> None:
    """Each in an installation of its own."""
    await round_trip(await Inlet.open(inlet.database), text)


@pytest.mark.parametrize("minor", [0, -1, 2**63, 10**77 + 1, 10**78 - 1, 1 - 10**78])
async def test_amounts_come_back_as_they_were(inlet: Inlet, minor: int) -> None:
    """Of 78 digits, with 18 decimals, below zero: in the payment, its report and its event."""
    ether = Asset.parse("ETH/18")
    await inlet.ingest(payments=[payment(amount=Amount(minor, ether), initial_amount=Amount(-minor, ether))])

    row, (report,) = await inlet.payment(), await inlet.adjustments()
    assert (row["asset"], row["amount"], row["initial_amount"]) == ("ETH/18", minor, -minor)
    assert report["amount"] == minor
    (waiting,) = await inlet.line()
    told = msgspec.json.decode(msgspec.json.encode(from_row(waiting)))["payload"]
    assert (told["amount"], told["initialAmount"]) == (minor, -minor)


TIMES = [
    datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(1, 1, 2, tzinfo=timezone(timedelta(hours=9))),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=timezone(-timedelta(hours=5, minutes=30))),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]
ENDS = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]


@pytest.mark.parametrize("time", TIMES, ids=str)
async def test_times_come_back_as_they_were(inlet: Inlet, time: datetime) -> None:
    """The same instant, and aware, from the first year to the last."""
    await inlet.ingest(
        payments=[payment(created_at=time, reported_at=time)], accounts=[account(created_at=time)],
        balances=[balance(1, time)],
    )  # fmt: skip
    found = [
        (await inlet.payment())["created_at"], (await inlet.adjustments())[0]["reported_at"],
        (await inlet.account())["created_at"], (await inlet.intervals())[0][0],
    ]  # fmt: skip
    assert found == [time] * 4


@pytest.mark.parametrize("time", ENDS, ids=str)
async def test_the_ends_of_time_poison_nothing(inlet: Inlet, time: datetime) -> None:
    """They could be written, and never be read: what is stored has a zone and fits into a datetime."""
    page: dict[str, Any] = {
        "payments": [payment(created_at=time, reported_at=time)], "accounts": [account(created_at=time)],
        "balances": [balance(1, time)],
    }  # fmt: skip
    await inlet.ingest(**page)
    await inlet.ingest(payments=[payment(status="FAILED")], balances=[balance(2)])
    assert (await inlet.payment())["status"] == "FAILED"
    await inlet.ingest(**page)

    assert [minor for *_, minor in await inlet.intervals()][:2] == [1, 2]
    for table, column in [("payment", "created_at"), ("payment", "head_at"), ("account", "created_at")]:
        assert all(row[column].tzinfo is not None for row in await inlet.rows(table))
    told = [from_row(row) for row in await inlet.line()]
    assert all(event.payload.created_at.tzinfo is not None for event in told)


@pytest.mark.parametrize("bad", ["nul \0", "half \ud800", "", "long" * 1000], ids=lambda bad: ascii(bad)[:20])
async def test_what_cannot_be_stored_is_set_aside_alone(inlet: Inlet, bad: str) -> None:
    """Everything else of the page comes in, and the reason names the field."""
    counts = await inlet.ingest(
        payments=[
            payment("a"), payment(bad), payment("b", source=bad), payment("c", report=bad), payment("d"),
        ],
        accounts=[account(bad), account("a")], balances=[balance(1, NOON, bad), balance(1, NOON, "a")],
    )  # fmt: skip

    assert [row["reference"] for row in await inlet.rows("payment", "reference")] == ["a", "d"]
    assert counts.as_list() == [9, 4, 0, 0, 5]
    rows = await inlet.rows("set_aside", "kind, reason")
    assert [(row["kind"], row["reason"].partition(":")[0]) for row in rows] == [
        ("account", "reference"), ("balance", "account"), ("payment", "reference"), ("payment", "report"),
        ("payment", "source"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [b"\xff\xfe not UTF-8 \x00", b"\x80" * 9, "half \ud800 nul \0", '{"a": "\\u0000", "b": "\\ud800"}'],
    ids=ascii,
)
async def test_a_raw_form_that_is_no_text_comes_in(inlet: Inlet, raw: str | bytes) -> None:
    """It is kept as well as text can, and the payment is not the worse for it; so is one set aside."""
    counts = await inlet.ingest(payments=[payment(raw=raw), payment("", raw=raw)])

    assert counts.as_list() == [2, 1, 0, 0, 1]
    (report,) = await inlet.adjustments()
    assert report["raw"]
    (waiting,) = await inlet.line()
    assert msgspec.json.decode(msgspec.json.encode(from_row(waiting)))["payload"]["rawData"]
