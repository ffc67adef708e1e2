"""The engine: it keeps jobs, wakes workers when they are due, and notices workers that died.

This is the one place that names it (PgQueuer, tables in our own schema). A job means "run this
generation of this task"; the task's row is the truth, and a job that comes twice finds that out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.models import Job as EngineJob
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel
from pgqueuer.queries import Queries

from paymux.storage.database import LOST, Connection
from paymux.storage.tasks import Job

_ENTRYPOINT = "run"
_SCHEMA = "paymux"
# Jobs claimed at once.
_BATCH = 25
# How long a worker sleeps at most when nobody wakes it. Notifications and due times do.
_IDLE = timedelta(seconds=10)
# After losing the database.
_RECONNECT = 1.0

Handle = Callable[[int, UUID, int], Awaitable[None]]


class Engine(Protocol):
    """What the runtime asks of an engine."""

    async def prepare(self, db: Connection) -> None:
        """Make the engine's own tables, within the migration's transaction."""

    async def enqueue(self, db: Connection, jobs: Sequence[Job]) -> None:
        """Add jobs in the caller's transaction."""

    async def run(self, handle: Handle) -> None:
        """Deliver jobs to ``handle(job, task, generation)`` until ``stop``; survives the database's absence."""

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when those that were claimed are done."""

    async def reclaim(self) -> int:
        """Make every claimed job due again; only for one who knows that all other workers are dead."""

    async def missing(self, tasks: Sequence[tuple[UUID, int, int | None]]) -> list[tuple[UUID, int]]:
        """Of tasks (id, generation, job), those that no job stands for."""


class _Order(msgspec.Struct, array_like=True):
    task: UUID
    generation: int


def _names() -> DBSettings:
    # All named here: left to itself the library takes them from the environment.
    return DBSettings(
        prefix="",
        db_schema=_SCHEMA,
        channel=Channel("paymux_engine"),
        function="engine_changed",
        statistics_table="engine_statistics",
        queue_status_type="engine_status",
        queue_table="engine_job",
        queue_table_log="engine_log",
        trigger="engine_job_changed",
        schedules_table="engine_schedule",
        # The log and the statistics tell of jobs; the runs themselves are in our own tables.
        durability=Durability.balanced,
    )


_NAMES = _names()


def _queries(driver: AsyncpgDriver | AsyncpgPoolDriver) -> Queries:
    return Queries(
        driver, QueryBuilderEnvironment(_NAMES), QueryQueueBuilder(_NAMES), QuerySchedulerBuilder(_NAMES)
    )


class PgQueuerEngine:
    """The engine on the database that holds everything else."""

    def __init__(self, url: str, *, heartbeat: timedelta, concurrency: int) -> None:
        self._url = url
        self._heartbeat = heartbeat
        self._concurrency = max(concurrency, 2 * _BATCH)
        self._manager: QueueManager | None = None
        self._stopping = asyncio.Event()
        # Its own log speaks of jobs and entrypoints; ours speaks of tasks.
        logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)

    async def prepare(self, db: Connection) -> None:
        """Make the engine's own tables, or bring them up to date."""
        queries = _queries(AsyncpgDriver(db))  # type: ignore[arg-type]  # a pool's connection is one
        if await queries.schema_is_installed():
            await queries.upgrade()
        else:
            await queries.install(create_schema=False)

    async def enqueue(self, db: Connection, jobs: Sequence[Job]) -> None:
        """Add jobs in the caller's transaction; one that is there already is not added again."""
        if not jobs:
            return
        await _queries(AsyncpgDriver(db)).enqueue(  # type: ignore[arg-type]  # a pool's connection is one
            [_ENTRYPOINT] * len(jobs),
            [msgspec.json.encode(_Order(job.task, job.generation)) for job in jobs],
            [0] * len(jobs),
            [job.delay for job in jobs],
            [_key(job.task, job.generation) for job in jobs],
            on_conflict="skip",
        )

    async def run(self, handle: Handle) -> None:
        """Deliver jobs until ``stop``."""

        async def deliver(job: EngineJob) -> None:
            order = msgspec.json.decode(job.payload or b"", type=_Order)
            await handle(job.id, order.task, order.generation)

        while not self._stopping.is_set():
            try:
                async with asyncpg.create_pool(
                    self._url,
                    min_size=2,
                    max_size=4,
                    # A claim or a heartbeat lost with the server is made again; waiting for the disk buys nothing.
                    server_settings={"application_name": "paymux engine", "synchronous_commit": "off"},
                ) as pool:
                    self._manager = QueueManager(_queries(AsyncpgPoolDriver(pool)), _NAMES.channel)
                    self._manager.entrypoint(_ENTRYPOINT)(deliver)
                    if self._stopping.is_set():
                        return
                    await self._manager.run(
                        dequeue_timeout=_IDLE,
                        batch_size=_BATCH,
                        max_concurrent_tasks=self._concurrency,
                        heartbeat_timeout=self._heartbeat,
                        log_aggregation_interval=timedelta(0),
                        shutdown_on_listener_failure=True,
                    )
            except (*LOST, asyncpg.PostgresError):
                await asyncio.sleep(_RECONNECT)

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    async def reclaim(self) -> int:
        """Make every claimed job due again."""
        rows = await self._fetch(
            "UPDATE paymux.engine_job SET status = 'queued', queue_manager_id = NULL, slot = NULL"
            " WHERE status = 'picked' RETURNING id"
        )
        return len(rows)

    async def missing(self, tasks: Sequence[tuple[UUID, int, int | None]]) -> list[tuple[UUID, int]]:
        """Of tasks (id, generation, job), those that no job stands for."""
        rows = await self._fetch(
            "SELECT t.task, t.generation"
            " FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) AS t (task, generation, job, key)"
            " WHERE NOT EXISTS (SELECT FROM paymux.engine_job q"
            "   WHERE q.id = t.job OR (q.dedupe_key = t.key AND q.status IN ('queued', 'picked')))",
            [task for task, _, _ in tasks],
            [generation for _, generation, _ in tasks],
            [job for _, _, job in tasks],
            [_key(task, generation) for task, generation, _ in tasks],
        )
        return [(row["task"], row["generation"]) for row in rows]

    async def prune(self) -> None:
        """Empty the engine's own log, which grows by three lines a job."""
        await self._fetch("TRUNCATE paymux.engine_log")

    async def _fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        db = await asyncpg.connect(self._url)
        try:
            return list(await db.fetch(sql, *args))
        finally:
            await db.close()


def _key(task: UUID, generation: int) -> str:
    return f"{task}:{generation}"
