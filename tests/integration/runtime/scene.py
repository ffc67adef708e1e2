"""Worker processes on one database, and a connector of somebody else's that keeps a log of what it does."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from paymux.bootstrap import Ground, service
from paymux.domain.mask import Mask
from paymux.settings import Settings

PAYMUX = Path(sys.executable).with_name("paymux")
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
# A package of somebody's: the workers find it by its entry point.
PACKAGE = {
    "tides-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: tides\nVersion: 1\n",
    "tides-1.dist-info/entry_points.txt": "[paymux.connectors]\ntides = tides:Tides\n",
    "tides.py": """
import asyncio, os, time
from datetime import timedelta
from pathlib import Path
import msgspec
from paymux.sdk import *

class Config(ConnectorConfig):
    log: Path
    basins: int = 8
    pages: int = 20
    size: int = 5
    pause: timedelta = timedelta(seconds=0.05)
    hangs: bool = False
    kills: bool = False

class Mark(msgspec.Struct):
    page: int = 0
    by: int = 0

class Tides(Connector[Config]):
    name = "tides"
    max_tasks = 5

    async def install(self, ctx):
        await ctx.schedule(self.tick(), Schedule.every(timedelta(seconds=0.5)))
        if self.config.kills:
            await ctx.schedule(self.drown())
        for basin in range(self.config.basins):
            await ctx.schedule(self.hang() if self.config.hangs else self.fill(basin))

    @task
    async def tick(self, ctx: TaskContext) -> None:
        await ctx.ingest(state=ctx.state(int) + 1)

    @task
    async def fill(self, ctx: TaskContext, basin: int) -> None:
        for page in range(ctx.state(Mark).page, self.config.pages):
            try:
                await ctx.ingest(payments=[payment(f"{basin}-{page}-{n}") for n in range(self.config.size)],
                                 state=Mark(page + 1, os.getpid()))
                self.note(f"page {basin} {page}")
                await asyncio.sleep(self.config.pause.total_seconds())
            except BaseException as error:
                self.note(f"{type(error).__name__} {basin} {page}")
                raise

    @task
    async def drown(self, ctx: TaskContext) -> None:
        self.note("drowns")
        await asyncio.sleep(1)  # until its worker has said that it is ready
        os._exit(9)

    @task
    def hang(self, ctx: TaskContext) -> None:
        self.note("hangs")
        time.sleep(600)

    def note(self, text: str) -> None:
        with self.config.log.open("a") as file:
            file.write(f"{os.getpid()} {text}\\n")

def payment(reference: str) -> Payment:
    return Payment(reference=reference, type=PaymentType.TRANSFER, status=PaymentStatus.SUCCEEDED,
                   amount=Amount.from_minor(100, Asset.parse("EUR/2")))
""",
}


class Scene:
    """A database, worker processes on it, and what they have done."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.log = folder / "log"
        self.workers: list[asyncio.subprocess.Process] = []
        self.db: asyncpg.Connection[asyncpg.Record]

    async def install(self, times: int = 1, **config: Any) -> None:
        """Install the connector, so many times, from a process that runs no tasks."""
        chosen = Settings(heartbeat=1)
        ground = Ground(self.url, [bytes(range(32))], Mask(), alone=False)
        async with service(chosen, ground, worker=False) as running:
            for _ in range(times):
                await running.installing.install("tides", {"log": str(self.log), **config})
        self.db = await asyncpg.connect(self.url)

    async def worker(self, **settings: str) -> asyncio.subprocess.Process:
        """Start a worker, and wait until it says that it is ready."""
        environment = os.environ | {
            "PAYMUX_DATABASE_URL": self.url, "PAYMUX_ENCRYPTION_KEYS": KEY, "PAYMUX_HEARTBEAT": "1",
            "PYTHONPATH": str(self.folder), "PAYMUX_LOG_LEVEL": "warning", **settings,
        }  # fmt: skip
        with (self.folder / "stderr").open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                PAYMUX, "worker", env=environment, stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        self.workers.append(process)
        assert process.stdout is not None
        assert b"ready" in await asyncio.wait_for(process.stdout.readline(), 30)
        return process

    def said(self, text: str) -> list[str]:
        """Lines of the connector's own log that hold a text."""
        return (
            [line for line in self.log.read_text().splitlines() if text in line] if self.log.exists() else []
        )

    async def until(self, true: Callable[[], Awaitable[bool] | bool], within: float) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(within):
            while not (answer if isinstance(answer := true(), bool) else await answer):  # noqa: ASYNC110 - in the database
                await asyncio.sleep(0.05)

    async def filled(self) -> bool:
        """Whether all one-time tasks are done."""
        return not await self.db.fetchval(
            "SELECT count(*) FROM paymux.task WHERE schedule = 'NOW' AND status <> 'TERMINATED'"
        )

    async def finish(self, records: int, within: float = 60) -> None:
        """Wait for the end, and check that every record came in once and was told once."""
        await self.until(self.filled, within)
        for question, answer in {
            "SELECT count(*) FROM paymux.payment": records,
            "SELECT count(*) FROM paymux.adjustment": records,
            "SELECT count(*) FROM paymux.event WHERE type = 'SAVED_PAYMENT'": records,
            "SELECT count(DISTINCT (object, part)) FROM paymux.event WHERE type = 'SAVED_PAYMENT'": records,
            "SELECT string_agg(DISTINCT error, '; ') FROM paymux.run WHERE outcome = 'FAILED'": None,
            # Two runs of one task at once.
            "SELECT count(*) FROM paymux.run a JOIN paymux.run b ON a.task = b.task AND a.id < b.id"
            " WHERE b.started_at < a.ended_at - interval '1 ms'": 0,
        }.items():
            found = await self.db.fetchval(question)
            assert found == answer, f"{question}: {found}"
        ticks = await self._ticks()

        async def ticked() -> bool:
            later = await self._ticks()
            return all(later[task] > count for task, count in ticks.items())

        # Those of a worker that died last are taken over first. One that is dead never ticks.
        await self.until(ticked, 15)

    async def _ticks(self) -> dict[Any, int]:
        rows = await self.db.fetch("SELECT id, state FROM paymux.task WHERE schedule = 'EVERY'")
        return {row["id"]: int(row["state"] or 0) for row in rows}

    async def clear(self) -> None:
        """Leave no process behind."""
        for process in self.workers:
            if process.returncode is None:
                process.kill()
            await process.communicate()
        await self.db.close()
