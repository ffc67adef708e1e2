"""Whatever the order, the pages, the repetitions and the connections, the record comes out the same."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.ingestion.inlet import EUR, NOON, Inlet, balance, payment

from paymux.domain.balance import Balance
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentScheme, PaymentStatus, PaymentType
from paymux.ingestion.ingester import ASK_FIRST_FROM, Counts

HOUR = timedelta(hours=1)
STATUSES = [PaymentStatus.PENDING, PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.REFUNDED]
REFERENCES = ["p", "q", "r"]
# What must be the same of a payment and of a report, however they came in; keys and runs are each one's own.
PAYMENT = (
    "reference", "type", "status", "scheme", "asset", "amount", "initial_amount", "metadata", "hash", "head",
    "head_at", "first_at", "created_at",
)  # fmt: skip
REPORT = ("report", "reference", "type", "status", "scheme", "asset", "amount", "metadata", "reported_at")
properly = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

minors = st.integers(0, 3)
assets = st.sampled_from([EUR, Asset.parse("JPY")])


@st.composite
def reports(draw: st.DrawFn, *, snapshots: bool = False) -> list[Payment]:
    """Reports of up to three payments: by name or by time, with times that collide."""
    # A payment was made at one time, before it was reported; not every report says so.
    made = {reference: NOON - draw(st.integers(0, 3)) * HOUR for reference in REFERENCES}
    found = []
    for number in range(draw(st.integers(1, 7))):
        reference = draw(st.sampled_from(REFERENCES))
        timed = not snapshots or draw(st.booleans())
        asset, initial = draw(assets), draw(st.none() | minors)
        found.append(
            Payment(
                reference=reference,
                type=draw(st.sampled_from(PaymentType)),
                status=draw(st.sampled_from(STATUSES)),
                scheme=draw(st.sampled_from([PaymentScheme.VISA, PaymentScheme.SEPA])),
                amount=Amount(draw(minors), asset),
                initial_amount=None if initial is None else Amount(initial, asset),
                source=draw(st.sampled_from([None, "a", "b"])),
                destination=draw(st.sampled_from([None, "a", "c"])),
                metadata=draw(st.sampled_from([{}, {"k": "v"}])),
                created_at=made[reference] if draw(st.booleans()) else None,
                report=f"report {number}" if timed and draw(st.booleans()) else None,
                reported_at=NOON + draw(st.integers(0, 3)) * HOUR if timed else None,
            )
        )
    return found


@st.composite
def paged(draw: st.DrawFn, records: list[Any]) -> list[list[Any]]:
    """Every record once or more, in any order, in pages of any size."""
    again = draw(st.lists(st.sampled_from(records), max_size=6))
    order = draw(st.permutations([*records, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=5)))
    return [order[since:until] for since, until in pairwise([0, *cuts, len(order)])]


async def record(inlet: Inlet) -> dict[str, Any]:
    """All that an installation knows of its payments."""
    return {
        reference: (
            {field: (await inlet.payment(reference))[field] for field in PAYMENT},
            [tuple(row[field] for field in REPORT) for row in await inlet.adjustments(reference)],
        )
        for reference in [row["reference"] for row in await inlet.rows("payment", "reference")]
    }


async def hold(inlet: Inlet) -> None:
    """What is true of every record at any time."""
    accounts = {row["key"] for row in await inlet.rows("account")}
    told: dict[Any, list[Any]] = {}
    for event in await inlet.events():
        told.setdefault(event["object"], []).append(event["part"])
    for row in await inlet.rows("payment"):
        filed = await inlet.adjustments(row["reference"])
        latest = filed[-1]
        assert (row["head"], row["head_at"]) == (latest["report"], latest["reported_at"])
        for field in ("type", "status", "scheme", "asset", "amount", "source", "destination", "metadata"):
            assert row[field] == latest[field], field
        assert row["first_at"] == filed[0]["reported_at"]
        assert {one[end] for one in filed for end in ("source", "destination")} - {None} <= accounts
        # Told when it became the latest, in that order, each once; the latest is told.
        parts = told.pop(row["key"])
        assert parts == [one["report"] for one in filed if one["report"] in parts]
        assert parts[-1] == row["head"]
    assert not told


@properly
@given(data=st.data(), records=reports())
async def test_reports_commute(inlet: Inlet, data: st.DataObject, records: list[Payment]) -> None:
    """Any order, any pages, any repetition: the same payments, the same reports."""
    one, other = await Inlet.open(inlet.database), await Inlet.open(inlet.database)
    await one.ingest(payments=records)
    for page in data.draw(paged(records)):
        await other.ingest(payments=page)

    assert await record(one) == await record(other)
    await hold(one)
    await hold(other)


@properly
@given(data=st.data(), records=reports())
async def test_the_latest_report_is_what_the_payment_says(
    inlet: Inlet, data: st.DataObject, records: list[Payment]
) -> None:
    """Worked out by hand: the latest time decides, the earliest in its asset has the initial amount."""
    own = await Inlet.open(inlet.database)
    for page in data.draw(paged(records)):
        await own.ingest(payments=page)

    for reference in {one.reference for one in records}:
        mine = [one for one in records if one.reference == reference]
        times = [one.reported_at for one in mine if one.reported_at is not None]
        latest = [one for one in mine if one.reported_at == max(times)]
        row = await own.payment(reference)
        inside = [one for one in mine if str(one.amount.asset) == row["asset"]]
        began = min(one.reported_at for one in inside if one.reported_at is not None)
        earliest = [one for one in inside if one.reported_at == began]
        said = [(one.status, one.amount.minor, one.type) for one in latest]
        assert (row["status"], row["amount"], row["type"]) in said
        assert row["initial_amount"] == min((one.initial_amount or one.amount).minor for one in earliest)
        assert row["created_at"] in {*(one.created_at for one in mine), min(times)}
        known = {one.created_at for one in mine} - {None}
        assert not known or row["created_at"] in known
        filed = await own.adjustments(reference)
        named = {one.report for one in mine if one.report}
        assert {one["reference"] for one in filed} - {None} == named
        assert len(filed) == len(named) + len({repr(one) for one in mine if not one.report})


@properly
@given(data=st.data(), records=reports())
async def test_two_connections_at_once_change_nothing(
    inlet: Inlet, data: st.DataObject, records: list[Payment]
) -> None:
    """A poll and a webhook may bring the same reports at the same time."""
    one, other = await Inlet.open(inlet.database), await Inlet.open(inlet.database)
    await one.ingest(payments=records)
    loads = [data.draw(paged(records)), data.draw(paged(records))]

    async def deliver(own: Inlet, pages: list[list[Payment]]) -> None:
        for page in pages:
            await own.ingest(payments=page)

    await asyncio.gather(deliver(other, loads[0]), deliver(other.through(inlet.database), loads[1]))

    assert await record(one) == await record(other)
    await hold(other)


@properly
@given(data=st.data(), records=reports(snapshots=True))
async def test_a_change_of_the_latest_is_told_and_nothing_else_is(
    inlet: Inlet, data: st.DataObject, records: list[Payment]
) -> None:
    """Page by page, snapshots among them; what is filed is never touched again."""
    own = await Inlet.open(inlet.database)
    for page in data.draw(paged(records)):
        heads = {(row["key"], row["head"]) for row in await own.rows("payment")}
        filed, events = await own.rows("adjustment"), await own.events()
        counts = await own.ingest(payments=page)
        moved = {(row["key"], row["head"]) for row in await own.rows("payment")} - heads
        news = [(event["object"], event["part"]) for event in await own.events() if event not in events]

        assert sorted(news) == sorted(moved)
        assert {*filed} <= {*await own.rows("adjustment")}
        assert counts.added == len(await own.rows("payment")) - len(heads)
        assert counts.added + counts.changed == len(await own.rows("adjustment")) - len(filed)
        await hold(own)


@properly
@given(data=st.data(), records=reports(snapshots=True))
async def test_large_pages_do_what_small_ones_do(
    inlet: Inlet, data: st.DataObject, records: list[Payment]
) -> None:
    """They ask first what is fresh, and send only that, unless all was fresh so far."""
    small, asks, knows = [await Inlet.open(inlet.database) for _ in range(3)]
    known = [payment(f"known {number}") for number in range(ASK_FIRST_FROM)]
    for own in (asks, knows):
        await own.ingest(payments=known)
    for page in data.draw(paged(records)):
        one = await small.ingest(payments=page)
        other = await asks.ingest(payments=[*known, *page])
        fresh = await knows.ingest(payments=[*known, *page], counts=Counts(seen=9, added=9))

        assert other.as_list() == [
            one.seen + len(known),
            one.added,
            one.changed,
            one.unchanged + len(known),
            0,
        ]
        assert fresh.as_list() == [other.seen + 9, other.added + 9, other.changed, other.unchanged, 0]
        for own in (asks, knows):
            for reference in {one.reference for one in page}:
                assert await small.statuses(reference) == await own.statuses(reference)
                for field in ("type", "status", "amount", "initial_amount", "metadata", "hash"):
                    assert (await small.payment(reference))[field] == (await own.payment(reference))[field]
    for own in (asks, knows):
        assert len(await small.events()) + len(known) == len(await own.events())
        await hold(own)


@properly
@given(
    data=st.data(),
    said=st.dictionaries(st.integers(0, 12), st.integers(0, 3), min_size=1, max_size=8),
)
async def test_balances_in_order_make_the_same_intervals_in_any_pages(
    inlet: Inlet, data: st.DataObject, said: dict[int, int]
) -> None:
    """Old ones repeated in between change nothing; only a change of amount opens an interval and is told."""
    one, other = await Inlet.open(inlet.database), await Inlet.open(inlet.database)
    polls = [balance(minor, NOON + hour * HOUR) for hour, minor in sorted(said.items())]
    await one.ingest(balances=polls)
    seen: list[Balance] = []
    while polls:
        page = polls[: data.draw(st.integers(1, len(polls)))]
        polls = polls[len(page) :]
        old = data.draw(st.lists(st.sampled_from(seen), max_size=3)) if seen else []
        await other.ingest(balances=data.draw(st.permutations([*page, *old])))
        seen += page

    intervals = await one.intervals()
    assert await other.intervals() == intervals
    for own in (one, other):
        assert len(await own.events("SAVED_BALANCE")) == len(intervals)
    assert all(before[2] != after[2] and before[1] == after[0] for before, after in pairwise(intervals))
    hours = sorted(said)
    assert (intervals[0][0], intervals[-1][1]) == (NOON + hours[0] * HOUR, NOON + hours[-1] * HOUR)
