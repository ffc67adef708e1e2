"""Pages that meet: other connections at the same rows at the same time."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

from tests.integration.ingestion.inlet import NOON, Inlet, account, balance, payment

from paymux.domain.payment import Payment
from paymux.storage.database import Database

HOUR = timedelta(hours=1)
STATUSES = ["PENDING", "SUCCEEDED", "DISPUTE", "REFUNDED"]
CONNECTIONS = 6


def history(number: int, length: int) -> list[Payment]:
    """The first reports of a payment; all together, the last says that it was refunded."""
    return [
        payment(
            f"p{number}", status, source=f"a{number % 15}", report=status, reported_at=NOON + hours * HOUR
        )
        for hours, status in enumerate(STATUSES[:length])
    ]


async def test_overlapping_pages_in_any_order_all_come_in(inlet: Inlet, database_url: str) -> None:
    """Many connections, the same payments and accounts in random order: nobody is turned away."""
    database = await Database.open(database_url, size=CONNECTIONS, deadlock_timeout="20ms")
    dice = random.Random(7)  # noqa: S311 - the same every time

    def page() -> dict[str, Any]:
        reports = [
            one for number in dice.sample(range(40), 25) for one in history(number, dice.randint(1, 4))
        ]
        names = [f"a{number}" for number in dice.sample(range(15), 8)]
        return {
            "payments": reports,
            "balances": [balance(1, NOON, name) for name in names[:5]],
            "accounts": [account(name) for name in names[3:]],
        }

    async def deliver(own: Inlet, pages: list[dict[str, Any]]) -> None:
        for one in pages:
            await own.ingest(**one)

    try:
        await asyncio.gather(
            *(deliver(inlet.through(database), [page() for _ in range(15)]) for _ in range(CONNECTIONS))
        )
    finally:
        await database.close()
    await inlet.ingest(payments=[one for number in range(40) for one in history(number, 4)])

    reports = Counter(row["payment"] for row in await inlet.rows("adjustment"))
    assert len(reports) == 40
    assert set(reports.values()) == {4}
    payments = await inlet.rows("payment")
    assert {row["status"] for row in payments} == {"REFUNDED"}
    events = Counter((row["object"], row["part"]) for row in await inlet.events())
    assert set(events.values()) == {1}
    assert {(row["key"], row["head"]) for row in payments} <= events.keys()
    assert {row["version"] for row in await inlet.rows("account")} <= {0, 1}


async def test_a_deadlock_is_nobodys_business(inlet: Inlet, database_url: str) -> None:
    """Each page holds the account that the other wants; one gives way, tries again, and both come in."""
    database = await Database.open(database_url, size=2, deadlock_timeout="20ms")
    await asyncio.gather(*(database.fetchval("SELECT pg_sleep(0.2)") for _ in range(2)))  # both are open
    await inlet.database.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;"
        "CREATE TRIGGER dawdle AFTER INSERT ON account FOR EACH ROW WHEN (NEW.version = 1)"
        " EXECUTE FUNCTION dawdle()"
    )
    one, other = inlet.through(database), inlet.through(database)
    try:
        await asyncio.gather(
            one.ingest(accounts=[account("a")], balances=[balance(1, NOON, "b")]),
            other.ingest(accounts=[account("b")], balances=[balance(2, NOON, "a")]),
        )
    finally:
        await database.close()

    assert (await inlet.account("a"))["version"] == (await inlet.account("b"))["version"] == 1
    assert [minor for *_, minor in [*await inlet.intervals("a"), *await inlet.intervals("b")]] == [2, 1]
    assert len(await inlet.events("SAVED_ACCOUNT")) == 2
    async with asyncio.timeout(10):
        while not await inlet.database.fetchval(  # noqa: ASYNC110 - the server counts when it finds the time
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ):
            await asyncio.sleep(0.05)


async def test_a_page_of_one_run_does_not_suffer_from_another_run(inlet: Inlet) -> None:
    """Pages that come at the same time may share a transaction; one that is refused takes none with it."""
    lost = await inlet.run("lost")
    await inlet.run("lost")
    held = await inlet.run("held", job=2)
    pages = [
        inlet.ingest(payments=[payment(f"p{number}")], holder=lost if number % 3 == 1 else held)
        for number in range(12)
    ]
    outcomes = await asyncio.gather(*pages, return_exceptions=True)

    assert [type(outcome).__name__ for outcome in outcomes] == ["Counts", "Superseded", "Counts"] * 4
    assert len(await inlet.rows("payment")) == len(await inlet.events()) == 8


async def test_snapshots_that_come_together_are_all_filed(inlet: Inlet) -> None:
    """One after the other, as they came, also when they share a transaction and so its time."""
    statuses = ["PENDING", "FAILED", "PENDING", "FAILED"]
    await asyncio.gather(*(inlet.ingest(payments=[payment(status=status)]) for status in statuses))
    await asyncio.gather(*(inlet.ingest(balances=[balance(minor, NOON)]) for minor in (1, 2, 1, 2)))

    assert await inlet.statuses() == statuses
    assert [row["part"] for row in await inlet.events()] == [
        row["report"] for row in await inlet.adjustments()
    ]
    events = await inlet.events("SAVED_BALANCE")
    assert len({row["part"] for row in events}) == len(events) == 4
