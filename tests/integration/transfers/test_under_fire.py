"""Many orders, a provider that goes wrong in every way, and workers that are killed and frozen meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from tests.integration.transfers.conftest import KEY, Site
from tests.integration.transfers.fleet import PACKAGE, Fleet

from paymux.bootstrap import Ground, migrated, service
from paymux.domain.mask import Mask
from paymux.sandbox.server import Sandbox
from paymux.settings import Settings
from paymux.storage.embedded import EmbeddedPostgres

# Of the provider's answers, so many are wrong.
FAULTS = 0.2


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds an installed package with the connector."""
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@asynccontextmanager
async def fleet_on(url: str, package: Path, workers: int, seed: int) -> AsyncIterator[Fleet]:
    """A fleet at work on a database, with clerks in this process, which does none of it."""
    chosen = Settings(heartbeat=1, grace=1)
    ground = Ground(url, [KEY], Mask(), alone=False)
    with Sandbox(seed=seed, payments=10, lateness=2) as sandbox:
        async with service(chosen, ground, worker=False) as running:
            fleet = Fleet(url, package, Site(running, sandbox), seed)
            fleet.db = await asyncpg.connect(url)
            try:
                connector = await running.installing.install(
                    "hastypay",
                    {"url": sandbox.url, "apiKey": "sandbox", "timeout": "500ms", "pollingPeriod": "1s"},
                )
                await asyncio.gather(fleet.site.install(connector), *(fleet.launch() for _ in range(workers)))
                yield fleet
            finally:
                await fleet.clear()


async def test_workers_are_killed_and_frozen_while_money_moves(database_url: str, package: Path) -> None:
    """In the end the provider has paid each order once, or not at all, as its status says; the short form."""
    async with fleet_on(database_url, package, workers=2, seed=1) as fleet:
        async with fleet.trouble(FAULTS), asyncio.TaskGroup() as together:
            together.create_task(fleet.order(count := 120, pause=0.2))
            together.create_task(fleet.freeze())
            together.create_task(fleet.sink())
        async with fleet.trouble(FAULTS), asyncio.TaskGroup() as together:
            together.create_task(fleet.sink())
            together.create_task(fleet.retry())
            together.create_task(fleet.take_back(0.5))
        await fleet.settled(60)
        statuses = await fleet.check(count)

    assert statuses.keys() >= {"PROCESSED", "PARTIALLY_REVERSED", "FAILED", "REJECTED"}
    assert fleet.conflicts["approve"] > 0


@pytest.mark.crash
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2))
async def test_a_thousand_orders_are_paid_once_each(tmp_path: Path, package: Path, seed: int) -> None:
    """The long form: three workers, any of them killed or frozen all the time, and the database goes away."""
    server = EmbeddedPostgres(tmp_path / "data")
    url = await asyncio.to_thread(server.start)
    await migrated(Ground(url, [KEY], Mask(), alone=False))
    try:
        async with fleet_on(url, package, workers=3, seed=seed) as fleet:
            async with fleet.trouble(FAULTS):
                ordering = asyncio.create_task(fleet.order(count := 1000, pause=0.5))
                for turn in itertools.count():
                    await (fleet.sink() if fleet.chance.random() < 0.7 else fleet.freeze())
                    if turn == 5:
                        server = await fleet.without_database(server, tmp_path / "data")
                    elif turn > 5 and ordering.done():
                        break
                await ordering
                await fleet.retry()
                await asyncio.gather(fleet.take_back(0.3), fleet.sink(), fleet.freeze())
            await fleet.settled(120)
            statuses = await fleet.check(count)
            dead = await fleet.db.fetchval(
                "SELECT count(*) FROM paymux.transfer_adjustment WHERE event = 'LOSE' AND error LIKE '%died%'"
            )
    finally:
        await asyncio.to_thread(server.stop)

    assert statuses.keys() >= {"PROCESSED", "PARTIALLY_REVERSED", "FAILED", "REJECTED"}
    assert min(fleet.kills - 5, fleet.freezes, dead, *fleet.conflicts.values()) > 0, (fleet.kills, dead)
