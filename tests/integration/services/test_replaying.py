"""Replay: what was set aside goes through the connector again, and comes in whole or stays where it is."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.integration.services.conftest import (
    Depot,
    Start,
    events_of,
    open_again,
    payment,
    payments_of,
    row_of,
    until,
)

from paymux.domain.ids import ConnectorID
from paymux.sdk import ConnectorContext, Restart, Schedule
from paymux.services.calling import ConnectorFailed
from paymux.services.installing import BeingReset
from paymux.services.replaying import CannotReplay, NoSuchRecord, StillRefused
from paymux.storage.database import Row


async def with_aside(
    start: Start, connector: Any, raws: list[str]
) -> tuple[Any, ConnectorID, Row, list[Row]]:
    """A service, an installation that has set these aside, its row, and their rows, oldest first."""
    running = await start(connector)

    async def aside(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.aside(raws), Schedule.now(), Restart.NEVER)

    connector.installing, connector.bring = aside, 0
    installed = await running.installing.install(connector.name, {"key": "sesame-1"})

    async def there() -> list[Row] | None:
        rows = await running.database.fetch("SELECT * FROM set_aside ORDER BY created_at, id")
        return rows if len(rows) == len(raws) else None

    rows = await until(there)
    return running, installed, await row_of(running, installed), rows


async def aside_of(running: Any, record: UUID) -> Row:
    """A record."""
    (row,) = await running.database.fetch("SELECT * FROM set_aside WHERE id = $1", record)
    found: Row = row
    return found


async def test_what_is_understood_now_comes_in(replayer: Any, start: Start) -> None:
    """With its event, and marked, in one transaction; the connector is told which task had it."""
    running, _, row, (aside,) = await with_aside(start, replayer, ["raw one"])
    assert aside["replayed_at"] is None
    replayer.replaying = staticmethod(lambda raw: [payment(str(raw))])

    after = await running.replaying.one(row, aside["id"])

    assert after["replayed_at"] is not None
    assert await payments_of(running.database, row["id"]) == {"raw one"}
    assert len(await events_of(running.database, "SAVED_PAYMENT")) == 1
    ((record, task),) = replayer.seen
    assert (record.raw, record.reason, record.kind) == ("raw one", "what is this", "payment")
    assert task == {"aside": {"raws": ["raw one"]}}
    # Once more changes nothing.
    await running.replaying.one(row, aside["id"])
    assert len(await events_of(running.database, "SAVED_PAYMENT")) == 1


async def test_what_still_makes_no_sense_stays_with_the_reason_of_now(replayer: Any, start: Start) -> None:
    """Refused by the connector or by what it makes of it; nothing comes in."""
    running, _, row, (aside,) = await with_aside(start, replayer, ["raw"])
    huge = payment("r" * 20_000)
    for made, why in (None, "still unknown to us"), ([payment("good"), huge], "reference"):
        replayer.replaying = staticmethod(lambda _, made=made: made)
        with pytest.raises(StillRefused, match=why):
            await running.replaying.one(row, aside["id"])
        after = await aside_of(running, aside["id"])
        assert (after["replayed_at"], why in after["reason"]) == (None, True)
    assert await payments_of(running.database, row["id"]) == set()


@pytest.mark.parametrize("made", ["fail", "nonsense"])
async def test_a_connector_that_fails_is_not_the_records_fault(
    made: str, replayer: Any, start: Start
) -> None:
    """Its error is shown without secrets, and the record is as it was."""
    running, _, row, (aside,) = await with_aside(start, replayer, ["raw"])

    def fail(_: Any) -> Any:
        if made == "nonsense":
            return ["a text"]
        raise OSError("sesame-1 is not accepted")

    replayer.replaying = staticmethod(fail)
    with pytest.raises(ConnectorFailed) as raised:
        await running.replaying.one(row, aside["id"])
    assert "sesame" not in str(raised.value)
    assert await aside_of(running, aside["id"]) == aside


async def test_all_that_were_not_replayed(replayer: Any, start: Start) -> None:
    """In the background: those that are understood come in, the others stay, whatever stands between them."""
    raws = [f"raw {number}" for number in range(250)]
    running, _, row, _ = await with_aside(start, replayer, raws)
    replayer.replaying = staticmethod(lambda raw: None if raw.endswith("7") else [payment(raw)])

    assert await running.replaying.all(row) == 250

    async def done() -> bool:
        return len(await payments_of(running.database, row["id"])) == 225

    await until(done)
    left = await running.database.fetch("SELECT raw, reason FROM set_aside WHERE replayed_at IS NULL")
    assert {one["raw"] for one in left} == {raw for raw in raws if raw.endswith("7")}

    async def reasons() -> bool:
        rows = await running.database.fetch("SELECT reason FROM set_aside WHERE replayed_at IS NULL")
        return {one["reason"] for one in rows} == {"still unknown to us"}

    await until(reasons)

    async def idle() -> bool:
        return not running.replaying._behind

    await until(idle)
    replayer.replaying = staticmethod(lambda raw: [payment(raw)])
    assert await running.replaying.all(row) == 25

    async def none_left() -> bool:
        return not await running.database.fetchval("SELECT count(*) FROM set_aside WHERE replayed_at IS NULL")

    await until(none_left)
    assert len(replayer.seen) == 275


async def test_one_that_comes_again_waits_again(replayer: Any, start: Start) -> None:
    """It was replayed, and the next poll could make nothing of it: it is shown as before."""
    running, _, row, (aside,) = await with_aside(start, replayer, ["raw"])
    replayer.replaying = staticmethod(lambda raw: [payment(raw)])
    await running.replaying.one(row, aside["id"])

    async def again(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.aside(["raw"]), Schedule.now(), Restart.ALWAYS)

    replayer.installing = again
    await running.configuring.update("replayer", None, {"mood": "new"})

    async def waits() -> bool:
        after = await aside_of(running, aside["id"])
        return after["seen"] == 2 and after["replayed_at"] is None

    await until(waits)


async def test_who_cannot_replay_says_so(depot: Any, start: Start) -> None:
    """Before anything is done, for one as for all."""
    running, _, row, (aside,) = await with_aside(start, depot, ["raw"])
    with pytest.raises(CannotReplay):
        await running.replaying.one(row, aside["id"])
    with pytest.raises(CannotReplay):
        await running.replaying.all(row)


async def test_a_record_of_another_installation_is_not_there(replayer: Any, start: Start) -> None:
    """Nor is one that never was."""
    running, _, _, (aside,) = await with_aside(start, replayer, ["raw"])
    replayer.installing = None
    other = await row_of(running, await running.installing.install("replayer", {}))
    for record in aside["id"], uuid4():
        with pytest.raises(NoSuchRecord):
            await running.replaying.one(other, record)


async def test_nothing_is_replayed_into_a_reset(replayer: Any, start: Start) -> None:
    """One that is under way when the reset comes brings nothing in."""
    running, installed, row, (aside,) = await with_aside(start, replayer, ["raw"])
    replayer.installing = None
    entered, go = asyncio.Event(), asyncio.Event()

    async def slow(self: Any, ctx: Any, record: Any, task: Any) -> Any:
        del self, ctx, task
        entered.set()
        await go.wait()
        return [payment(record.raw)]

    replayer.replay = slow
    replaying = asyncio.create_task(running.replaying.one(row, aside["id"]))
    await entered.wait()
    await running.installing.reset("replayer", installed)
    resetting = await row_of(running, installed)
    if resetting["status"] == "RESETTING":
        with pytest.raises(BeingReset):
            await running.replaying.all(resetting)
    go.set()
    with pytest.raises((BeingReset, NoSuchRecord)):
        await replaying
    after = await open_again(running, installed)
    assert "raw" not in await payments_of(running.database, after["id"])
