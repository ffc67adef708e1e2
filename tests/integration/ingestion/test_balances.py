"""Balances are kept as intervals: what an account held, from when until when."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.integration.ingestion.inlet import NOON, Inlet, balance

from paymux.ingestion.ingester import Superseded
from paymux.storage.database import Database

HOUR = timedelta(hours=1)


async def test_the_same_amount_extends_and_another_opens(inlet: Inlet) -> None:
    """Each interval ends where the next begins, and each is told once."""
    for hours, minor in enumerate([10, 10, 10, 20, 20, 10]):
        counts = await inlet.ingest(balances=[balance(minor, NOON + hours * HOUR)])
        assert counts.added == (hours in (0, 3, 5))

    assert await inlet.intervals() == [
        (NOON, NOON + 3 * HOUR, 10),
        (NOON + 3 * HOUR, NOON + 5 * HOUR, 20),
        (NOON + 5 * HOUR, NOON + 5 * HOUR, 10),
    ]
    events = await inlet.events("SAVED_BALANCE")
    assert [msgspec.json.decode(row["facts"])["balance"] for row in events] == [10, 20, 10]
    assert len({row["part"] for row in events}) == 3
    assert {row["object"] for row in events} == {(await inlet.account())["key"]}


async def test_one_from_before_the_last_poll_says_nothing_new(inlet: Inlet) -> None:
    """Neither the same amount nor another, neither within an interval nor before the first."""
    await inlet.ingest(balances=[balance(10, NOON), balance(10, NOON + 2 * HOUR)])
    before = await inlet.ink()
    for minor in (10, 20):
        for at in (NOON - HOUR, NOON, NOON + HOUR):
            counts = await inlet.ingest(balances=[balance(minor, at)])
            assert counts.as_list() == [1, 0, 0, 1, 0]

    assert await inlet.ink() == before


async def test_several_of_one_account_come_in_oldest_first(inlet: Inlet) -> None:
    """A page of history is the same as its polls one by one."""
    said = [(30, NOON + 3 * HOUR), (10, NOON), (20, NOON + 2 * HOUR), (10, NOON + HOUR)]
    counts = await inlet.ingest(balances=[balance(minor, at) for minor, at in said])

    assert (counts.added, counts.unchanged) == (3, 1)
    assert await inlet.intervals() == [
        (NOON, NOON + 2 * HOUR, 10),
        (NOON + 2 * HOUR, NOON + 3 * HOUR, 20),
        (NOON + 3 * HOUR, NOON + 3 * HOUR, 30),
    ]


async def test_each_asset_has_its_own(inlet: Inlet) -> None:
    """And ``JPY`` is ``JPY/0``."""
    await inlet.ingest(
        balances=[balance(1, NOON), balance(2, NOON, asset="USD/2"), balance(3, NOON, asset="JPY")]
    )
    await inlet.ingest(balances=[balance(3, NOON + HOUR, asset="JPY/0")])

    assert await inlet.intervals(asset="JPY") == [(NOON, NOON + HOUR, 3)]
    assert len(await inlet.rows("balance")) == 3
    assert len(await inlet.events("SAVED_BALANCE")) == 3


async def test_another_amount_for_the_same_instant_corrects_it(inlet: Inlet) -> None:
    """Some banks date a balance by the day, and it changes all day long; every change is told."""
    for minor in (10, 20, 10, 20, 20):
        await inlet.ingest(balances=[balance(minor, NOON)])
    assert await inlet.intervals() == [(NOON, NOON, 20)]
    events = await inlet.events("SAVED_BALANCE")
    assert [msgspec.json.decode(row["facts"])["balance"] for row in events] == [10, 20, 10, 20]
    assert len({row["part"] for row in events}) == 4

    await inlet.ingest(balances=[balance(20, NOON + HOUR)])
    await inlet.ingest(balances=[balance(30, NOON + HOUR)])
    await inlet.ingest(balances=[balance(40, NOON + HOUR)])
    assert await inlet.intervals() == [(NOON, NOON + HOUR, 20), (NOON + HOUR, NOON + HOUR, 40)]


async def test_one_without_a_time_is_what_the_provider_says_now(inlet: Inlet) -> None:
    """It is never too old, also when a clock that ran ahead has said something before."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await inlet.ingest(balances=[balance(10, NOON), balance(20)])
    (_, until, _), (since, _, minor) = await inlet.intervals()
    assert minor == 20
    assert until == since
    assert abs(since - datetime.now(UTC)) < timedelta(minutes=1)

    await inlet.ingest(balances=[balance(30, tomorrow)])
    await inlet.ingest(balances=[balance(40)])
    await inlet.ingest(balances=[balance(50)])
    assert [amount for *_, amount in await inlet.intervals()] == [10, 20, 30, 40, 50]


@pytest.mark.parametrize("minor", [0, -5, 10**78 - 1, 1 - 10**78])
async def test_amounts_are_exact(inlet: Inlet, minor: int) -> None:
    """In the row and in the event, at any size and below zero."""
    await inlet.ingest(balances=[balance(minor, NOON, asset="ETH/18")])

    assert await inlet.intervals(asset="ETH/18") == [(NOON, NOON, minor)]
    (event,) = await inlet.events("SAVED_BALANCE")
    assert msgspec.json.decode(event["facts"])["balance"] == minor


async def test_two_writers_keep_the_intervals_whole(inlet: Inlet, database_url: str) -> None:
    """Every instant belongs to one interval and no two in a row say the same, whoever came first."""
    second = await Database.open(database_url, size=1)
    writers = [inlet, inlet.through(second)]

    async def write(number: int) -> None:
        for step in range(30):
            at = NOON + (2 * step + number) * HOUR
            page = [balance(step // 3 % 3, at, reference) for reference in "abc"]
            await writers[number].ingest(balances=page[:: 1 - 2 * number])

    try:
        await asyncio.gather(write(0), write(1))
    finally:
        await second.close()
    for reference in "abc":
        intervals = await inlet.intervals(reference)
        assert all(since <= until for since, until, _ in intervals)
        for (_, until, minor), (since, _, following) in itertools.pairwise(intervals):
            assert until == since
            assert minor != following
        assert intervals[-1][1:] == (NOON + 59 * HOUR, 29 // 3 % 3)
    assert len(await inlet.events("SAVED_BALANCE")) == len(await inlet.rows("balance"))


async def test_a_page_of_balances_that_is_refused_leaves_none(inlet: Inlet) -> None:
    """Not even the accounts that it names."""
    holder = await inlet.run()
    await inlet.run()
    with pytest.raises(Superseded):
        await inlet.ingest(balances=[balance(1, reference="new")], holder=holder)

    assert not any((await inlet.ink()).values())
