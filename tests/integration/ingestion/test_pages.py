"""A page is all or nothing, comes in once, and only from a run that holds its task."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.integration.ingestion.inlet import NOON, TABLES, Inlet, account, balance, payment

from paymux.domain.aside import SetAside
from paymux.ingestion.ingester import ASK_FIRST_FROM, Holder, Superseded
from paymux.storage import installations, tasks
from paymux.storage.database import LOST, Connection, Database, DatabaseError

HOUR = timedelta(hours=1)
ASIDE = SetAside(reason="makes no sense", raw="{}")
SIZES = [1, ASK_FIRST_FROM - 1, ASK_FIRST_FROM, ASK_FIRST_FROM + 10]
BLOCKED = """SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'"""


def everything(count: int = 3) -> dict[str, Any]:
    """A page with some of each kind."""
    numbers = range(count)
    return {
        "accounts": [account(f"a{number}") for number in numbers],
        "balances": [balance(number, NOON, f"b{number}") for number in numbers],
        "payments": [payment(f"p{number}", source=f"s{number}") for number in numbers],
        "aside": [ASIDE],
    }


async def blocked(database: Database, count: int = 1) -> None:
    """Until so many wait for a lock."""
    async with asyncio.timeout(10):
        while await database.fetchval(BLOCKED) < count:  # noqa: ASYNC110 - the server does not call back
            await asyncio.sleep(0.01)


async def failing(database: Database, table: str) -> None:
    """From now on nothing can be written there."""
    await database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'disk on fire'; END $$;"
        f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
    )


# All or nothing


async def test_everything_of_a_page_comes_in_together(inlet: Inlet) -> None:
    """Rows, stubs, reports, events, what was set aside, and the checkpoint."""
    holder = await inlet.run()
    counts = await inlet.ingest(**everything(), holder=holder, state='{"page":2}')

    assert counts.as_list() == [10, 9, 0, 0, 1]
    ink = await inlet.ink()
    assert {table: len(rows) for table, rows in ink.items()} == {
        "account": 9, "balance": 3, "payment": 3, "adjustment": 3, "event": 9, "set_aside": 1,
    }  # fmt: skip
    assert {row["run"] for table in ("account", "adjustment", "set_aside") for row in ink[table]} == {
        holder.token
    }
    assert [row["state"] for row in await inlet.rows("task")] == ['{"page":2}']
    assert inlet.told == 1


@pytest.mark.parametrize("table", [*TABLES, "task"])
async def test_a_statement_that_fails_leaves_nothing(inlet: Inlet, table: str) -> None:
    """Wherever it is: the next attempt finds the database as the last page left it."""
    holder = await inlet.run()
    await inlet.ingest(payments=[payment("p0")], holder=holder, state="1")
    before = await inlet.ink()
    await failing(inlet.database, table)

    with pytest.raises(DatabaseError, match="disk on fire"):
        await inlet.ingest(**everything(), holder=holder, state="2")

    assert await inlet.ink() == before
    assert [row["state"] for row in await inlet.rows("task")] == ["1"]


async def test_a_connection_that_dies_leaves_nothing(inlet: Inlet) -> None:
    """Also in the middle of a page, which then can be brought in again."""
    await inlet.ingest(payments=[payment("p2")])
    before = await inlet.ink()
    async with inlet.database.transaction() as other:
        await other.execute("SELECT FROM payment FOR UPDATE")
        page = asyncio.create_task(inlet.ingest(**everything() | {"payments": [payment("p2", "FAILED")]}))
        await blocked(inlet.database)
        await other.execute(BLOCKED.replace("count(*)", "pg_terminate_backend(pid)"))
        with pytest.raises(LOST):
            await page
    assert await inlet.ink() == before

    assert (await inlet.ingest(**everything())).added == 8
    assert len(await inlet.rows("payment")) == 3


async def test_what_a_run_scheduled_is_of_the_page(inlet: Inlet) -> None:
    """Written with it, and not written without it."""

    async def also(db: Connection) -> None:
        await db.execute("UPDATE installation SET name = 'changed'")

    await failing(inlet.database, "event")
    with pytest.raises(DatabaseError):
        await inlet.ingest(payments=[payment()], also=also)
    assert await inlet.database.fetchval("SELECT name FROM installation") != "changed"

    await inlet.database.execute("DROP TRIGGER refuse ON event")
    await inlet.ingest(payments=[payment()], also=also)
    assert await inlet.database.fetchval("SELECT name FROM installation") == "changed"


# The fence


async def take_over(db: Connection, holder: Holder) -> None:
    """The worker was thought dead: another begins a run under the same job."""
    generation = await db.fetchval("SELECT generation FROM task WHERE id = $1", holder.task)
    assert holder.task is not None
    assert await tasks.begin(db, 1, holder.task, generation) is not None


async def cancel(db: Connection, holder: Holder) -> None:
    """Somebody stopped the task."""
    await db.execute("UPDATE task SET cancelled = true WHERE id = $1", holder.task)


async def uninstall(db: Connection, holder: Holder) -> None:
    """The installation is on its way out."""
    assert await installations.leave(db, holder.installation)


KNOWN = [payment("p"), *(payment(f"known {number}") for number in range(ASK_FIRST_FROM))]
Loss = Callable[[Connection, Holder], Awaitable[None]]
LOSSES = [take_over, cancel, uninstall]
PAGES: dict[str, dict[str, Any]] = {
    "everything and a state": everything() | {"state": "2"},
    "everything": everything(),
    "accounts": {"accounts": [account("new")]},
    "balances": {"balances": [balance(5)]},
    "payments": {"payments": [payment("new")]},
    "nothing new": {"payments": [payment("p")]},
    "nothing new, many": {"payments": KNOWN},
    "aside": {"aside": [ASIDE]},
    "a state": {"state": "2"},
    "nothing": {},
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_run_that_lost_its_task_writes_nothing(
    inlet: Inlet, loss: Loss, page: dict[str, Any]
) -> None:
    """And learns of it, whatever it brings: a worker that was frozen and wakes up must end."""
    holder = await inlet.run()
    await inlet.ingest(payments=KNOWN, holder=holder, state="1")
    async with inlet.database.transaction() as db:
        await loss(db, holder)
    before = await inlet.ink(), await inlet.rows("task"), await inlet.rows("installation", "id")

    with pytest.raises(Superseded):
        await inlet.ingest(**page, holder=holder)

    assert (await inlet.ink(), await inlet.rows("task"), await inlet.rows("installation", "id")) == before


@pytest.mark.parametrize("state", [None, "2"], ids=["page", "page and state"])
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_run_that_loses_its_task_meanwhile_writes_nothing(
    inlet: Inlet, loss: Loss, state: str | None
) -> None:
    """The page comes upon a task that is just being taken away, and waits to see how that ends."""
    holder = await inlet.run()
    await inlet.ingest(payments=[payment("p")], holder=holder, state="1")
    before = await inlet.ink()
    async with inlet.database.transaction() as db:
        await loss(db, holder)
        page = asyncio.create_task(inlet.ingest(**everything(), holder=holder, state=state))
        await blocked(inlet.database)
        assert not page.done()

    with pytest.raises(Superseded):
        await page
    assert await inlet.ink() == before
    assert [row["state"] for row in await inlet.rows("task")] == ["1"]


@pytest.mark.parametrize("state", [None, "2"], ids=["page", "page and state"])
async def test_a_task_that_is_not_taken_away_after_all_goes_on(inlet: Inlet, state: str | None) -> None:
    """The other side gave up: the page that waited for it comes in."""
    holder = await inlet.run()

    async def gives_up() -> None:
        async with inlet.database.transaction() as db:
            await take_over(db, holder)
            pages.append(asyncio.create_task(inlet.ingest(**everything(), holder=holder, state=state)))
            await blocked(inlet.database)
            raise TimeoutError

    pages: list[asyncio.Task[Any]] = []
    with pytest.raises(TimeoutError):
        await gives_up()
    assert (await pages[0]).added == 9


async def test_whoever_takes_over_waits_for_the_page_that_is_coming_in(inlet: Inlet) -> None:
    """So the new run starts from its checkpoint, and not from the one before."""
    holder = await inlet.run()
    await inlet.ingest(payments=[payment("p2")], holder=holder, state="1")
    async with inlet.database.transaction() as other:
        await other.execute("SELECT FROM payment FOR UPDATE")
        page = asyncio.create_task(inlet.ingest(payments=[payment("p2", "FAILED")], holder=holder, state="2"))
        await blocked(inlet.database)
        assert holder.task is not None
        again = asyncio.create_task(tasks.begin(inlet.database, 1, holder.task, 1))
        await blocked(inlet.database, 2)

    await page
    begun = await again
    assert begun is not None
    assert begun.state == "2"


async def test_the_run_that_took_over_goes_on(inlet: Inlet) -> None:
    """The page is brought in by it instead, once."""
    old = await inlet.run()
    new = await inlet.run()
    await inlet.ingest(**everything(), holder=new)
    with pytest.raises(Superseded):
        await inlet.ingest(**everything(), holder=old)

    assert len(await inlet.events()) == 3


async def test_an_installation_on_its_way_out_takes_no_pages(inlet: Inlet) -> None:
    """Not from outside of a task either, nor when it leaves while the page waits."""
    async with inlet.database.transaction() as db:
        await uninstall(db, inlet.holder)
        page = asyncio.create_task(inlet.ingest(**everything()))
        await blocked(inlet.database)
    with pytest.raises(Superseded):
        await page
    with pytest.raises(Superseded):
        await inlet.ingest(**everything())

    assert not any((await inlet.ink()).values())


async def test_what_a_superseded_run_scheduled_is_gone(inlet: Inlet) -> None:
    """It was to be part of the page."""
    holder = await inlet.run()
    await inlet.run()

    async def also(db: Connection) -> None:
        await db.execute("UPDATE installation SET name = 'changed'")

    with pytest.raises(Superseded):
        await inlet.ingest(payments=[payment()], holder=holder, also=also)
    assert await inlet.database.fetchval("SELECT name FROM installation") != "changed"


# Once


@pytest.mark.parametrize("size", SIZES)
async def test_the_same_page_again_writes_nothing(inlet: Inlet, size: int) -> None:
    """Not a row, not an event: not even the same row once more."""
    first = await inlet.ingest(**everything(size))
    before = await inlet.ink()
    again = await inlet.ingest(**everything(size) | {"aside": []})

    assert (first.added, first.unchanged) == (3 * size, 0)
    assert (again.seen, again.unchanged) == (3 * size, 3 * size)
    assert await inlet.ink() == before
    assert inlet.told == 1


@pytest.mark.parametrize("size", SIZES)
async def test_only_what_changed_is_written(inlet: Inlet, size: int) -> None:
    """One payment of the page has moved on, one is new."""
    await inlet.ingest(**everything(size))
    before = await inlet.ink()
    payments = [
        *everything(size)["payments"][1:],
        payment("p0", "FAILED", source="s0"),
        payment("q", source="s0"),
    ]
    counts = await inlet.ingest(payments=payments)

    after = await inlet.ink()
    assert counts.as_list() == [size + 1, 1, 1, size - 1, 0]
    for table, more in {"payment": 2, "adjustment": 2, "event": 2, "account": 0, "balance": 0}.items():
        assert len({*after[table]} - {*before[table]}) == more
    assert await inlet.statuses("p0") == ["PENDING", "FAILED"]


async def test_a_set_aside_record_seen_again_counts_up(inlet: Inlet) -> None:
    """In the same page or in the next; another reason is another record."""
    other = SetAside(reason="makes no sense either", raw="{}")
    await inlet.ingest(payments=[ASIDE, ASIDE, other])
    counts = await inlet.ingest(payments=[ASIDE])

    rows = await inlet.rows("set_aside", "seen")
    assert [(row["reason"], row["seen"]) for row in rows] == [(other.reason, 1), (ASIDE.reason, 3)]
    assert rows[1]["last_seen_at"] > rows[1]["created_at"]
    assert counts.as_list() == [1, 0, 0, 0, 1]


async def test_every_record_is_counted_once(inlet: Inlet) -> None:
    """New, changed, unchanged and set aside make what was seen."""
    history = [payment(status="PENDING", reported_at=NOON), payment(status="FAILED", reported_at=NOON + HOUR)]
    counts = await inlet.ingest(
        payments=[*history, history[0], ASIDE, ASIDE], accounts=[account("a"), account("a")]
    )

    assert counts.as_list() == [7, 2, 1, 2, 2]
