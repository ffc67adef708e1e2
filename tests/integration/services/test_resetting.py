"""Reset: the same installation with the same config, and nothing of what it had brought in."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.integration.services.conftest import (
    Depot,
    Start,
    events_of,
    open_again,
    payments_of,
    row_of,
    until,
)

from paymux.events.types import from_row
from paymux.runtime.registry import UnknownConnector
from paymux.sdk import ConnectorContext, Restart, Schedule
from paymux.services.calling import ConnectorFailed
from paymux.services.installing import BeingReset, NameTaken, NotInstalled
from paymux.storage import events

LEFT = ("payment", "adjustment", "account", "balance", "set_aside", "task", "run")


async def fill(database: Any, key: int, count: int) -> None:
    """As if it had brought in so many payments, with an account and balances, and set records aside."""
    await database.execute(
        "INSERT INTO payment (key, installation, reference, type, first_type, status, scheme, asset, amount,"
        " initial_amount, source, hash, head, head_at, first_at, created_at)"
        " SELECT gen_random_uuid(), $1, 'bulk-' || n, 'TRANSFER', 'TRANSFER', 'SUCCEEDED', 'visa', 'EUR/2',"
        " 1, 1, NULL, gen_random_uuid(), gen_random_uuid(), now(), now(), now()"
        " FROM generate_series(1, $2) n",
        key,
        count,
    )
    await database.execute(
        "INSERT INTO adjustment (payment, report, type, status, scheme, asset, amount, reported_at)"
        " SELECT key, head, type, status, scheme, asset, amount, head_at FROM payment"
        " WHERE installation = $1 AND reference LIKE 'bulk%'",
        key,
    )
    await database.execute(
        "WITH a AS (INSERT INTO account (key, installation, reference, type, created_at)"
        " SELECT gen_random_uuid(), $1, 'account-' || n, 'INTERNAL', now() FROM generate_series(1, 3) n"
        " RETURNING key)"
        " INSERT INTO balance (account, asset, created_at, last_updated_at, amount)"
        " SELECT key, 'EUR/2', now() + n * interval '1 second', now(), n FROM a, generate_series(1, $2) n",
        key,
        count // 10,
    )
    await database.execute(
        "INSERT INTO set_aside (id, installation, kind, reason)"
        " SELECT gen_random_uuid(), $1, 'payment', 'why' FROM generate_series(1, $2) n",
        key,
        count // 10,
    )


async def left(database: Any, key: int) -> dict[str, int]:
    """Rows of an installation, by table, where there are any."""
    found = {}
    for table in LEFT:
        where = {
            "adjustment": "payment NOT IN (SELECT key FROM payment WHERE installation <> $1)",
            "balance": "account NOT IN (SELECT key FROM account WHERE installation <> $1)",
        }.get(table, "installation = $1")
        found[table] = await database.fetchval(f"SELECT count(*) FROM {table} WHERE {where}", key)  # noqa: S608
    return {table: count for table, count in found.items() if count}


async def test_a_reset_begins_anew_under_the_same_id(depot: Any, start: Start) -> None:
    """Id, name, config stay; what it brought in goes; install runs again, and with it all comes back."""
    running = await start(depot)
    connector = await running.installing.install("depot", {"name": "north", "key": "sesame-1"})
    key = (await row_of(running, connector))["id"]
    await until(lambda: payments_of(running.database, key))
    await fill(running.database, key, 500)

    await running.installing.reset("depot", connector)

    (shown,) = await running.installing.listed()
    assert (shown["uuid"], shown["name"]) == (connector.reference, "north")
    after = await open_again(running, connector)
    assert after["id"] == key
    assert running.installing.config_of(after)["mood"] == "good"

    async def back() -> bool:
        return await payments_of(running.database, key) == {"good-0", "good-1", "good-2"}

    await until(back)
    assert {row["installation"] for row in await events_of(running.database, "CONNECTOR_RESET")} == {key}
    assert "account" not in await left(running.database, key)
    assert "set_aside" not in await left(running.database, key)


async def test_what_is_told_after_a_reset_is_told_anew(depot: Any, start: Start) -> None:
    """First of the reset, then of the payments, under other keys: whoever dropped them takes them again."""
    running = await start(depot)
    connector = await running.installing.install("depot", {})
    key = (await row_of(running, connector))["id"]

    async def all_in() -> bool:
        told = "SELECT count(*) FROM event WHERE type = 'SAVED_PAYMENT' AND position <= told_everywhere()"
        return bool(await running.database.fetchval(told) == depot.bring)

    async def keys() -> set[UUID]:
        rows, _ = await events.after(running.database, 0, 100)
        return {from_row(row).idempotency_key for row in rows if row["type"] == "SAVED_PAYMENT"}

    await until(all_in)
    before = {row["object"] for row in await events_of(running.database, "SAVED_PAYMENT")}
    first = await keys()
    await running.installing.reset("depot", connector)
    await open_again(running, connector)
    await until(all_in)

    (reset,) = await events_of(running.database, "CONNECTOR_RESET")
    after = await events_of(running.database, "SAVED_PAYMENT")
    assert all(row["seq"] > reset["seq"] for row in after)
    assert {row["object"] for row in after} == before
    assert len(await payments_of(running.database, key)) == len(first) == depot.bring
    assert not await keys() & first


async def test_a_second_reset_meanwhile_is_a_conflict(depot: Any, start: Start) -> None:
    """In this process or another; and an uninstall meanwhile wins, whatever the connector is doing."""
    first, second = await start(depot), await start(depot)
    connector = await first.installing.install("depot", {})
    entered = asyncio.Event()

    async def hang(_: Depot, __: ConnectorContext) -> None:
        entered.set()
        await asyncio.sleep(600)

    depot.installing = hang
    await first.installing.reset("depot", connector)
    for running in (first, second):
        with pytest.raises(BeingReset):
            await running.installing.reset("depot", connector)
    await asyncio.wait_for(entered.wait(), 20)
    assert [row["status"] for row in await second.installing.listed()] == ["RESETTING"]

    await second.installing.uninstall("depot", connector)

    assert await first.installing.listed() == []

    async def gone() -> bool:
        return not await first.database.fetchval("SELECT count(*) FROM installation")

    await until(gone)
    with pytest.raises(NotInstalled):
        await first.installing.reset("depot", connector)
    assert len(await events_of(first.database, "CONNECTOR_UNINSTALLED")) == 1


async def test_nothing_of_before_gets_through(depot: Any, start: Start) -> None:
    """A run that was at work when the reset came commits nothing more; its task may be scheduled anew."""
    running = await start(depot)
    await start(depot)

    async def busy(self: Depot, ctx: ConnectorContext) -> None:
        if self.config.mood == "busy":
            await ctx.schedule(self.endless(), Schedule.now(), Restart.ALWAYS)
        await ctx.schedule(self.once(), Schedule.after(timedelta(hours=1)))

    depot.installing = busy
    connector = await running.installing.install("depot", {"mood": "busy"})
    key = (await row_of(running, connector))["id"]

    async def at_it() -> bool:
        return "endless-20" in await payments_of(running.database, key)

    await until(at_it)
    await running.configuring.update("depot", connector, {"mood": "calm"})
    await running.installing.reset("depot", connector)
    await open_again(running, connector)

    async def back() -> bool:
        return await payments_of(running.database, key) == {"calm-0", "calm-1", "calm-2"}

    await until(back)
    await asyncio.sleep(2)  # longer than the heartbeat, after which old jobs are delivered again
    assert await payments_of(running.database, key) == {"calm-0", "calm-1", "calm-2"}
    waiting = await running.database.fetch("SELECT * FROM task WHERE descriptor = '\"once\"'")
    assert [(row["status"], row["last_run_at"]) for row in waiting] == [("ACTIVE", None)]


async def test_an_install_that_fails_amid_a_reset_is_tried_again(depot: Any, start: Start) -> None:
    """Why is shown, without secrets; a config that mends it may be given meanwhile."""
    running = await start(depot)
    connector = await running.installing.install("depot", {"mood": "good", "key": "sesame-77"})

    async def picky(self: Depot, _: ConnectorContext) -> None:
        if self.config.mood != "better":
            raise OSError(f"not with {self.config.key.get_secret_value()}")

    depot.installing = picky
    await running.installing.reset("depot", connector)

    async def said() -> Any:
        return (await row_of(running, connector))["problem"]

    assert await until(said) == "The connector's install failed: OSError: not with ********"
    await running.configuring.update("depot", connector, {"mood": "better", "key": "********"})
    after = await open_again(running, connector)
    assert after["problem"] is None
    key = after["id"]

    async def back() -> bool:
        return await payments_of(running.database, key) == {"better-0", "better-1", "better-2"}

    await until(back)


async def test_what_cannot_be_set_up_again_is_not_reset(depot: Any, start: Start) -> None:
    """Without its connector, or with one that cannot be made, nothing is deleted."""
    connector = await (await start(depot, worker=False)).installing.install("depot", {})
    without = await start(worker=False)
    with pytest.raises(UnknownConnector):
        await without.installing.reset("depot", connector)

    def refuse(self: Any, config: Any) -> None:
        del self, config
        raise RuntimeError("no hands")

    broken = await start(type("Depot", (Depot,), {"name": "depot", "__init__": refuse}), worker=False)
    with pytest.raises(ConnectorFailed, match="no hands"):
        await broken.installing.reset("depot", connector)
    assert [row["status"] for row in await without.installing.listed()] == ["INSTALLED"]


@pytest.mark.parametrize("verb", ["reset", "uninstall"])
async def test_twenty_thousand_payments_go_in_batches(verb: str, depot: Any, start: Start) -> None:
    """It answers at once, and another installation's payments come in meanwhile as before."""
    running = await start(depot)
    running.tending._batch = 200
    large = await running.installing.install("depot", {"name": "large"})
    key = (await row_of(running, large))["id"]
    await until(lambda: payments_of(running.database, key))

    async def busy(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.endless(), Schedule.now(), Restart.ALWAYS)

    depot.installing = busy
    other = await running.installing.install("depot", {"name": "other"})
    depot.installing = None
    others = (await row_of(running, other))["id"]
    await until(lambda: payments_of(running.database, others))
    await fill(running.database, key, 20_000)

    loop = asyncio.get_running_loop()
    asked = loop.time()
    await getattr(running.installing, verb)("depot", large)
    assert loop.time() - asked < 1.5

    meanwhile = []

    async def over() -> bool:
        row = await running.database.fetchrow("SELECT status FROM installation WHERE id = $1", key)
        if row is not None and row["status"] != "INSTALLED":
            meanwhile.append(len(await payments_of(running.database, others)))
            return False
        return True

    await until(over, 60)
    assert len(meanwhile) > 3
    assert meanwhile[-1] > meanwhile[0]
    kept = await left(running.database, key)
    assert kept.get("payment", 0) <= 3
    assert kept.keys() <= {"payment", "adjustment", "task", "run"}
    if verb == "uninstall":
        assert kept == {}


async def test_a_dead_process_is_succeeded_without_a_restart(depot: Any, start: Start) -> None:
    """A worker that lives finds what one that died has left, once its lease has run out."""
    running = await start(depot)
    resetting = await running.installing.install("depot", {"name": "resetting"})
    leaving = await running.installing.install("depot", {"name": "leaving"})
    entering = await running.installing.install("depot", {"name": "entering"})
    set_status = (
        "UPDATE installation SET status = $2, tender = gen_random_uuid(), tended_until = $3 WHERE uuid = $1"
    )
    for connector, status in (resetting, "RESETTING"), (leaving, "UNINSTALLING"), (entering, "INSTALLING"):
        due = await running.database.fetchval("SELECT now() + interval '2 seconds'")
        await running.database.execute(set_status, connector.reference, status, due)
    await running.tending.tidy()
    statuses = "SELECT name, status FROM installation ORDER BY name"
    assert len(await running.database.fetch(statuses)) == 3

    async def done() -> bool:
        rows = await running.database.fetch(statuses)
        return [tuple(row) for row in rows] == [("resetting", "INSTALLED")]

    with contextlib.suppress(TimeoutError):
        await until(done)
    assert await done(), await running.database.fetch(statuses)


async def test_each_change_is_told_once_and_only_when_it_happened(depot: Any, start: Start) -> None:
    """In the transaction of the change: what failed, or was refused, is told to nobody."""
    running = await start(depot, worker=False)

    async def fail(_: Depot, __: ConnectorContext) -> None:
        raise ValueError("no")

    depot.installing = fail
    with pytest.raises(ConnectorFailed):
        await running.installing.install("depot", {"name": "north"})
    depot.installing = None
    connector = await running.installing.install("depot", {"name": "north"})
    with pytest.raises(NameTaken):
        await running.installing.install("depot", {"name": "north"})
    await running.installing.reset("depot", connector)
    with pytest.raises(BeingReset):
        await running.installing.reset("depot", connector)
    await running.installing.uninstall("depot", connector)
    with pytest.raises(NotInstalled):
        await running.installing.uninstall("depot", connector)

    rows = await running.database.fetch("SELECT type, object FROM event ORDER BY seq")
    assert [tuple(row) for row in rows] == [
        (kind, connector.reference)
        for kind in ("CONNECTOR_INSTALLED", "CONNECTOR_RESET", "CONNECTOR_UNINSTALLED")
    ]
