"""Processes that die in the middle of an install, a change, a reset or an uninstall, by kill -9."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.services.conftest import Depot, Start, payments_of, until

from paymux.storage.database import Database

# It stops in the middle of a step, says so, and waits to be killed.
SCRIPT = """
import asyncio, sys
from datetime import timedelta
from paymux.bootstrap import Ground, service
from paymux.domain.mask import Mask
from paymux.runtime.registry import Registry
from paymux.sdk import *
from paymux.settings import Settings

AMID = sys.argv[2]

async def stop_here():
    print("now", flush=True)
    await asyncio.sleep(600)

class Config(ConnectorConfig):
    every: timedelta = timedelta(hours=1)
    mood: str = "good"
    key: Secret = Secret("")

class Depot(Connector[Config]):
    name = "depot"
    times = 0

    async def check(self, ctx):
        if AMID == "check":
            await stop_here()

    async def install(self, ctx):
        Depot.times += 1
        await ctx.schedule("early")
        await ctx.schedule(self.look(), Schedule.every(self.config.every))
        if AMID == "install" or (AMID == "reset-install" and Depot.times == 2):
            await ctx.schedule(self.look(), Schedule.now_sync())
            await stop_here()
        if AMID == "config" and Depot.times == 2:
            await stop_here()

    async def uninstall(self, ctx):
        if AMID == "uninstall-hook":
            await stop_here()

    @task
    async def look(self, ctx: TaskContext):
        await ctx.ingest(payments=[payment(f"{self.config.mood}-{n}") for n in range(2000)])

def payment(reference):
    return Payment(reference=reference, type=PaymentType.TRANSFER, status=PaymentStatus.SUCCEEDED,
                   amount=Amount.from_minor(100, Asset.parse("EUR/2")))

async def main():
    ground = Ground(sys.argv[1], [bytes(range(32))], Mask(), alone=True)
    async with service(Settings(heartbeat=1), ground, worker=True, registry=Registry.of([Depot])) as running:
        running.tending._batch = 50
        installed = await running.installing.install("depot", {"name": "north"})
        while await running.database.fetchval("SELECT count(*) FROM payment") < 2000:
            await asyncio.sleep(0.02)
        if AMID == "config":
            await running.configuring.update("depot", installed, {"mood": "new"})
        elif AMID.startswith("reset"):
            await running.installing.reset("depot", installed)
        else:
            await running.installing.uninstall("depot", installed)
        while AMID.endswith("deletion"):
            left = await running.database.fetchval("SELECT count(*) FROM payment")
            if 0 < left < 2000:
                await stop_here()
        await asyncio.sleep(600)

asyncio.run(main())
"""
UNDONE = ["check", "install"]
KEPT = ["config", "uninstall-hook"]
AGAIN = ["reset-deletion", "reset-install"]
GONE = ["uninstall-deletion"]


@pytest.mark.parametrize("amid", UNDONE + KEPT + AGAIN + GONE)
@pytest.mark.parametrize("beside", ["nobody", "others"])
async def test_what_a_kill_cuts_short_is_finished(
    amid: str, beside: str, depot: Any, start: Start, request: pytest.FixtureRequest
) -> None:
    """By the next start at once, or by whoever lives when the lease has run out: undone, or completed."""
    tmp_path: Path = request.getfixturevalue("tmp_path")
    database_url: str = request.getfixturevalue("database_url")
    (tmp_path / "script.py").write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, tmp_path / "script.py", database_url, amid, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        while (line := await asyncio.wait_for(process.stdout.readline(), 60)).strip() != b"now":
            assert line, "it ended by itself"
    finally:
        process.kill()
        await process.communicate()

    running = await start(_brings(depot), alone=beside == "nobody")
    database = running.database

    async def settled() -> bool:
        statuses = {row["status"] for row in await database.fetch("SELECT status FROM installation")}
        return statuses == ({"INSTALLED"} if amid in KEPT + AGAIN else set())

    await until(settled, 30)
    if amid in UNDONE + GONE:
        assert await _rows(database) == {}
        await running.installing.install("depot", {"name": "north"})
        return
    (row,) = await running.installing.listed()
    assert row["name"] == "north"
    assert running.installing.config_of(row)["mood"] == "good"
    wanted = {f"good-{number}" for number in range(2000)} if amid in KEPT else {"good-0", "good-1", "good-2"}

    async def whole() -> bool:
        return await payments_of(database, row["id"]) == wanted

    await until(whole)
    await running.installing.reset("depot", None)


def _brings(depot: Any) -> Any:
    depot.bring = 3
    assert issubclass(depot, Depot)
    return depot


async def _rows(database: Database) -> dict[str, int]:
    found = {}
    for table in ("installation", "task", "run", "payment", "adjustment", "account", "set_aside"):
        found[table] = await database.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - names from above
    return {table: count for table, count in found.items() if count}
