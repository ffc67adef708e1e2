"""An engine that keeps its jobs in memory: the double of the real one, held to the same tests.

It promises what the real one does and nothing more: a job exists when the transaction that added it is
committed, comes when it is due, comes again when its handler raised, and is there once for each key.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg

from paymux.runtime.engine import TASKS, Due, Handle
from paymux.storage.database import Connection, Database
from paymux.storage.tasks import Job


@dataclass
class _Held:
    task: UUID
    generation: int
    due: float
    picked: bool = False


@dataclass
class Broker:
    """What several engines share, as several workers share a database."""

    url: str
    jobs: dict[int, _Held] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    # Each with jobs of its own.
    lanes: dict[str, "Broker"] = field(default_factory=dict)
    # Transactions whose end is waited for.
    pending: set[asyncio.Task[None]] = field(default_factory=set)

    def engine(
        self, _url: str, *, heartbeat: timedelta, concurrency: int, lane: str = TASKS
    ) -> "MemoryEngine":
        """Make an engine, as ``bootstrap.service`` asks for one."""
        broker = self if lane == TASKS else self.lanes.setdefault(lane, Broker(self.url))
        return MemoryEngine(broker, heartbeat, concurrency)

    def add(self, jobs: Sequence[Job]) -> None:
        """Add jobs, each once."""
        known = {(held.task, held.generation) for held in self.jobs.values()}
        for job in jobs:
            if (job.task, job.generation) not in known:
                due = time.monotonic() + job.delay.total_seconds()
                self.jobs[next(self.numbers)] = _Held(job.task, job.generation, due)

    async def add_after(self, xid: str, jobs: Sequence[Job]) -> None:
        """Add jobs when their transaction is committed, and not when it is rolled back."""
        db = await asyncpg.connect(self.url)
        try:
            status = "in progress"
            while status == "in progress":
                await asyncio.sleep(0.002)
                status = await db.fetchval("SELECT pg_xact_status($1::text::xid8)", xid)
        finally:
            await db.close()
        if status == "committed":
            self.add(jobs)


class MemoryEngine:
    """One worker's engine."""

    def __init__(self, broker: Broker, heartbeat: timedelta, concurrency: int) -> None:
        self._broker = broker
        self._heartbeat = heartbeat.total_seconds()
        self._room = concurrency
        self._stopping = False

    async def prepare(self, db: Connection) -> None:
        """There is nothing to make."""

    async def enqueue(self, db: Connection, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        xid = await db.fetchval("SELECT pg_current_xact_id()::text")
        waiting = asyncio.create_task(self._broker.add_after(xid, list(jobs)))
        self._broker.pending.add(waiting)
        waiting.add_done_callback(self._broker.pending.discard)

    async def run(self, handle: Handle) -> None:
        running: set[asyncio.Task[None]] = set()
        while not self._stopping:
            now = time.monotonic()
            for number, held in list(self._broker.jobs.items()):
                if len(running) < self._room and not held.picked and held.due <= now:
                    held.picked = True
                    running.add(asyncio.create_task(self._deliver(number, held, handle)))
            await asyncio.sleep(0.005)
            running = {task for task in running if not task.done()}
        if running:
            await asyncio.wait(running)

    async def _deliver(self, number: int, held: _Held, handle: Handle) -> None:
        try:
            await handle(number, held.task, held.generation)
        except BaseException as error:
            held.due, held.picked = time.monotonic() + self._heartbeat, False
            if not isinstance(error, Exception):
                raise
        else:
            del self._broker.jobs[number]

    def stop(self) -> None:
        self._stopping = True

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        self._room += 1
        try:
            yield
        finally:
            self._room -= 1

    async def reclaim(self) -> int:
        picked = [held for held in self._broker.jobs.values() if held.picked]
        for held in picked:
            held.picked = False
        return len(picked)

    async def missing(self, tasks: Sequence[tuple[UUID, int, int | None]]) -> list[tuple[UUID, int]]:
        there = {(held.task, held.generation) for held in self._broker.jobs.values()}
        return [
            (task, generation)
            for task, generation, job in tasks
            if job not in self._broker.jobs and (task, generation) not in there
        ]

    async def due(self, db: Database) -> Due:
        del db
        now = time.monotonic()
        waits = [now - held.due for held in self._broker.jobs.values() if not held.picked and held.due <= now]
        return Due(len(waits), max(waits, default=0))
