"""Several processes on one database: what is done through one of them, all others know within a second."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.integration.services.conftest import Depot, Start, payments_of, row_of, until

from paymux.bootstrap import Service
from paymux.domain.ids import ConnectorID
from paymux.sdk import ConnectorContext


async def soon(true: Callable[[], Awaitable[Any]], since: float) -> None:
    """Wait until something is true, which is to be within a second."""
    await until(true, 10)
    assert time.monotonic() - since < 1


async def names(running: Service) -> set[str]:
    return {row["name"] for row in await running.installing.listed()}


async def test_what_one_process_does_all_others_know_within_a_second(depot: Any, start: Start) -> None:
    """Installed, changed, paused, resumed and uninstalled through two that run no tasks; one worker."""
    worker = await start(depot)
    here, there = await start(depot, worker=False), await start(depot, worker=False)

    async def endless_too(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.endless())

    depot.installing = endless_too

    asked = time.monotonic()
    connector = await here.installing.install("depot", {"name": "ours", "mood": "old"})
    await soon(lambda: _looked(depot, "old"), asked)
    assert [await names(one) for one in (worker, here, there)] == [{"ours"}] * 3

    asked = time.monotonic()
    await there.configuring.update("depot", connector, {"name": "mine", "mood": "new", "every": "2h"})
    await soon(lambda: _looked(depot, "new"), asked)
    assert [await names(one) for one in (worker, here)] == [{"mine"}] * 2
    row = await here.installing.find("depot", connector)
    assert here.installing.config_of(row)["mood"] == "new"

    asked = time.monotonic()
    await here.operating.pause(row["id"])
    await soon(lambda: _rests(worker), asked)
    assert (await there.checkup.of(row["id"])).status == "paused"

    asked = time.monotonic()
    await there.operating.resume(row["id"])
    await soon(lambda: _works(worker), asked)

    asked = time.monotonic()
    await there.installing.uninstall("depot", connector)
    count = await _payments(worker, connector)
    await soon(lambda: _rests(worker), asked)
    assert [await names(one) for one in (worker, here)] == [set()] * 2
    assert await _payments(worker, connector) <= count


async def test_what_runs_is_stopped_long_before_all_is_deleted(depot: Any, start: Start) -> None:
    """Also code that commits nothing, and would notice nothing: it may be calling the provider."""
    running = await start(depot)

    async def wait_too(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.wait())

    depot.installing = wait_too
    connector = await running.installing.install("depot", {})
    key = (await row_of(running, connector))["id"]

    async def brought_in() -> bool:
        return len(await payments_of(running.database, key)) == 3 and running.worker.running == 1

    await until(brought_in)
    async with running.database.transaction() as db:
        await db.execute("SELECT FROM payment FOR UPDATE")  # so that nothing can be deleted
        await running.installing.uninstall("depot", connector)

        await until(lambda: _rests(running), 3)
        assert await db.fetchval("SELECT count(*) FROM task WHERE installation = $1", key) == 2


async def _looked(depot: Any, mood: str) -> bool:
    return any(config.mood == mood for config in depot.looks)


async def _rests(running: Service) -> bool:
    return running.worker.running == 0


async def _works(running: Service) -> bool:
    return running.worker.running == 1


async def _payments(running: Service, connector: ConnectorID) -> int:
    found: int = await running.database.fetchval(
        "SELECT count(*) FROM payment p JOIN installation i ON i.id = p.installation WHERE i.uuid = $1",
        connector.reference,
    )
    return found
