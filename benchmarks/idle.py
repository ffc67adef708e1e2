"""Idle at scale: many installations whose periodic tasks are not due, and a start over many known tasks."""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx

from benchmarks import ground
from benchmarks.figures import Figure, say
from benchmarks.processes import cpu, serving
from paymux.bootstrap import service
from paymux.domain.mask import Mask
from paymux.domain.task import Schedule
from paymux.logs import configure
from paymux.runtime.registry import Registry
from paymux.sdk import Connector, ConnectorConfig, ConnectorContext, TaskContext, task
from paymux.settings import Settings
from paymux.storage.embedded import EmbeddedPostgres

INSTALLATIONS = (0, 100, 1_000)
TASKS = 5
SETTLED, IDLE = 10.0, 30.0
# Of a core, for each of paymux and PostgreSQL.
CPU_TARGET = 2.0
KNOWN = 100_000
START_TARGET = 3.0


class Sleeper(Connector[ConnectorConfig]):
    """Has periodic tasks that are due once and then in an hour."""

    name = "sleeper"

    async def install(self, ctx: ConnectorContext) -> None:
        """Schedule them."""
        for number in range(TASKS):
            await ctx.schedule(self.look(number), Schedule.every(timedelta(hours=1)))

    @task
    async def look(self, ctx: TaskContext, number: int) -> None:
        """Nothing is new."""
        del ctx, number


def measure(*, quick: bool) -> list[Figure]:
    """CPU by installations, then the start."""
    figures = []
    with ground.server() as url, Path(os.devnull).open("wb") as nothing:
        configure("logfmt", "info", Mask(), nothing)
        for count in INSTALLATIONS[: 2 if quick else 3]:
            figures += ground.on_loop(lambda count=count: _idle(url, count, IDLE / (5 if quick else 1)))  # type: ignore[misc]
            say(f"  idle: {count} installations")
    return [*figures, _start(KNOWN // (10 if quick else 1))]


async def _idle(url: str, count: int, seconds: float) -> list[Figure]:
    async with ground.fresh_database(url) as there:
        registry = Registry.of([Sleeper])
        async with service(Settings(), ground.ground(there), worker=True, registry=registry) as running:
            for _ in range(count):
                await running.installing.install("sleeper", {})
            watch = await asyncpg.connect(there)
            while await watch.fetchval("SELECT count(*) FROM paymux.run") < count * TASKS:  # noqa: ASYNC110 - looks at others' work
                await asyncio.sleep(0.5)
            await asyncio.sleep(SETTLED)
            servers = await _backends(watch)
            before = time.process_time(), cpu(servers)
            await asyncio.sleep(seconds)
            after = time.process_time(), cpu(servers)
            await watch.close()
    return [
        Figure(
            what=f"idle: {who}, {count:,} installations of {TASKS} tasks",
            value=100 * (after[index] - before[index]) / seconds, unit="% of a core", floor=1.0,
            target=CPU_TARGET, sense="<=",
        )
        for index, who in enumerate(("paymux", "PostgreSQL"))
    ]  # fmt: skip


async def _backends(watch: "asyncpg.Connection[asyncpg.Record]") -> list[int]:
    rows = await watch.fetch("SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL")
    return [row["pid"] for row in rows]


def _start(known: int) -> Figure:
    """To the first answer of a service that has many tasks, all but a few of them done."""
    with ground.folder() as home:
        data = home / "data"
        files = home / "files"
        files.mkdir()
        log = home / "serve.log"
        with serving(log, "--data-dir", str(data)) as served:
            httpx.post(
                f"{served.url}/connectors/example", json={"directory": str(files)}, trust_env=False
            ).raise_for_status()
        with EmbeddedPostgres(data) as url:
            asyncio.run(_fill(url, known))
        begun = time.perf_counter()
        with serving(log, "--data-dir", str(data)) as served:
            httpx.get(f"{served.url}/_health", trust_env=False).raise_for_status()
            took = time.perf_counter() - begun
    return Figure(
        what=f"start: with {known:,} known tasks",
        value=took,
        unit="s",
        floor=1.0,
        target=START_TARGET,
        sense="<=",
    )


async def _fill(url: str, known: int) -> None:
    db = await asyncpg.connect(url)
    await db.execute(
        "INSERT INTO paymux.task (id, installation, descriptor, schedule, restart, status)"
        " SELECT gen_random_uuid(), i.id, json_build_object('file', n)::text, 'NOW', 'NEVER', 'TERMINATED'"
        " FROM generate_series(1, $1) AS n, paymux.installation i",
        known,
    )
    await db.close()
