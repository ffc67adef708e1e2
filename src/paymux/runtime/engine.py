"""The engine: it keeps jobs, wakes workers when they are due, and notices workers that died.

This is the one place that names it (PgQueuer, tables in our own schema). A job means "run this
generation of this task"; the task's row is the truth, and a job that comes twice finds that out.

PgQueuer deletes a job when its handler returns, raises or is cancelled. Ours must be deleted only when
the task's row says how it ended; so whatever else happens ends in ``_Undone``, which it lets pass.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job as EngineJob
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel
from pgqueuer.queries import Queries

from paymux.runtime.patience import is_lost, patiently
from paymux.storage.database import LOST, Connection, Database
from paymux.storage.tasks import Job

# Jobs of a lane are taken by its own workers: those of one are not held up by those of another.
TASKS, MONEY = "run", "pay"
_SCHEMA = "paymux"
# Jobs claimed at once.
_BATCH = 25
# A notification that jobs have come or gone, and how long a lane that is mostly idle lets them gather: at
# full load there are thousands a second of another lane's.
_CHANGED, _CALM = "table_changed_event", 0.01
# After losing the database.
_RECONNECT = 0.5

# Its log of three lines a job grows for ever and tells nothing that our own tables do not.
_NO_LOG = """
CREATE FUNCTION paymux.engine_log_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER engine_log_nothing BEFORE INSERT ON paymux.engine_log
    FOR EACH ROW EXECUTE FUNCTION paymux.engine_log_nothing();
"""

T = TypeVar("T")

Handle = Callable[[int, UUID, int], Awaitable[None]]
Deliver = Callable[[EngineJob], Awaitable[None]]


class Engine(Protocol):
    """What the runtime asks of an engine."""

    async def prepare(self, db: Connection) -> None:
        """Make the engine's own tables, within the migration's transaction."""

    async def enqueue(self, db: Connection, jobs: Sequence[Job]) -> None:
        """Add jobs in the caller's transaction."""

    async def run(self, handle: Handle) -> None:
        """Deliver jobs to ``handle(job, task, generation)`` until ``stop``, whatever the database does.

        A job whose handler raises is delivered again, to anybody, after the heartbeat's time.
        """

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when those that were claimed are done."""

    def lent(self) -> AbstractContextManager[None]:
        """While the handler of a job waits for another job, do one more: the other may have no room."""

    async def reclaim(self) -> int:
        """Make every claimed job due again; only for one who knows that all other workers are dead."""

    async def missing(self, tasks: Sequence[tuple[UUID, int, int | None]]) -> list[tuple[UUID, int]]:
        """Of tasks (id, generation, job), those that no job stands for."""

    async def due(self, db: Database) -> "Due":
        """What is due and was taken by nobody."""


class Due(NamedTuple):
    """A queue's depth, and how many seconds its oldest job has been due."""

    jobs: int
    oldest: float


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
    """The engine on the database that holds everything else, or one lane of it."""

    def __init__(self, url: str, *, heartbeat: timedelta, concurrency: int, lane: str = TASKS) -> None:
        self._url = url
        self._lane = lane
        self._heartbeat = heartbeat
        self._concurrency = concurrency
        self._lent = 0
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
            await db.execute(_NO_LOG)

    async def enqueue(self, db: Connection, jobs: Sequence[Job]) -> None:
        """Add jobs in the caller's transaction; one that is there already is not added again."""
        if not jobs:
            return
        await _queries(AsyncpgDriver(db)).enqueue(  # type: ignore[arg-type]  # a pool's connection is one
            [self._lane] * len(jobs),
            [msgspec.json.encode(_Order(job.task, job.generation)) for job in jobs],
            [0] * len(jobs),
            [job.delay for job in jobs],
            [_key(job.task, job.generation) for job in jobs],
            on_conflict="skip",
        )

    async def run(self, handle: Handle) -> None:
        """Deliver jobs until ``stop``."""

        async def deliver(job: EngineJob) -> None:
            if self._stopping.is_set():
                raise RetryRequested  # claimed, but not begun: somebody else's, now
            try:
                order = msgspec.json.decode(job.payload or b"", type=_Order)
                await handle(job.id, order.task, order.generation)
            except BaseException as error:
                raise _Undone from error

        while not self._stopping.is_set():
            try:
                async with asyncpg.create_pool(
                    self._url,
                    min_size=2,
                    max_size=4,
                    # A claim or a heartbeat lost with the server is made again; waiting for the disk buys
                    # nothing.
                    server_settings={"application_name": "paymux engine", "synchronous_commit": "off"},
                ) as pool:
                    await self._work(pool, deliver)
            except Exception as error:  # noqa: BLE001 - a worker that gives up does so in silence
                if not is_lost(error):
                    structlog.get_logger().error("The engine failed and is started anew", exc_info=error)
                await asyncio.sleep(_RECONNECT)

    async def _work(self, pool: "asyncpg.Pool[asyncpg.Record]", deliver: Deliver) -> None:
        driver = _Driver(pool, self._stopping, calm=self._lane == MONEY)
        batch = min(_BATCH, self._concurrency)
        manager = self._manager = _Manager(_queries(driver), _NAMES.channel)
        manager.room = lambda: self._concurrency + self._lent
        manager.entrypoint(self._lane)(deliver)
        if self._stopping.is_set():
            return
        await manager.run(
            # Notifications and due times wake it; of a worker that died nobody tells.
            dequeue_timeout=self._heartbeat / 2,
            batch_size=batch,
            max_concurrent_tasks=2 * batch,
            heartbeat_timeout=self._heartbeat,
            log_aggregation_interval=timedelta(0),
        )

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Do one more job meanwhile."""
        self._lent += 1
        try:
            yield
        finally:
            self._lent -= 1

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
            " FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[])"
            "   AS t (task, generation, job, key)"
            " WHERE NOT EXISTS (SELECT FROM paymux.engine_job q"
            "   WHERE q.id = t.job OR (q.dedupe_key = t.key AND q.status IN ('queued', 'picked')))",
            [task for task, _, _ in tasks],
            [generation for _, generation, _ in tasks],
            [job for _, _, job in tasks],
            [_key(task, generation) for task, generation, _ in tasks],
        )
        return [(row["task"], row["generation"]) for row in rows]

    async def due(self, db: Database) -> Due:
        """What is due and was taken by nobody."""
        row = await db.fetchrow(
            "SELECT count(*) AS jobs, extract(epoch FROM now() - min(execute_after))::float8 AS oldest"
            " FROM paymux.engine_job WHERE status = 'queued' AND execute_after <= now()"
        )
        return Due(row["jobs"], row["oldest"] or 0) if row else Due(0, 0)

    async def _fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        db = await asyncpg.connect(self._url)
        try:
            return list(await db.fetch(sql, *args))
        finally:
            await db.close()


class _Undone(BaseException):
    """The job was not done; no ``Exception``, so that it is neither acknowledged nor deleted."""


class _Manager(QueueManager):
    """Has room for a number of jobs that may change while it runs."""

    room: Callable[[], int]

    def fetch_jobs(
        self, batch_size: int, global_concurrency_limit: int | None, heartbeat_timeout: timedelta
    ) -> AsyncGenerator[EngineJob, None]:
        del global_concurrency_limit  # the fixed one
        return super().fetch_jobs(batch_size, self.room(), heartbeat_timeout)


class _Driver(AsyncpgPoolDriver):
    """Waits while the database is away, and listens again when it is back.

    Otherwise the manager would end with its first lost connection, and before that wait, claiming
    nothing, for the last of its jobs. Whether the listening connection is lost is looked at, with every
    statement: the driver does not always tell.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", stopping: asyncio.Event, *, calm: bool) -> None:
        super().__init__(pool)
        self._calm = calm
        self._stopping = stopping
        self._listeners: list[tuple[str, Callable[..., None]]] = []
        self._one_listens = asyncio.Lock()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return await self._patiently(lambda: AsyncpgPoolDriver.fetch(self, query, *args))

    async def execute(self, query: str, *args: object) -> str:
        return await self._patiently(lambda: AsyncpgPoolDriver.execute(self, query, *args))

    async def notify(self, channel: str, payload: str) -> None:
        await self._patiently(lambda: AsyncpgPoolDriver.notify(self, channel, payload))

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        self._listeners.append((channel, _calmed(callback) if self._calm else callback))
        await self._patiently(self._listen)

    async def __aexit__(self, *error: object) -> None:
        self._listeners.clear()
        await self._let_go()

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        async def listening() -> T:
            await self._listen()
            return await work()

        return await patiently(listening, self._stopping.is_set)

    async def _listen(self) -> None:
        async with self._one_listens:
            if not self._listeners or self._listening():
                return
            await self._let_go()
            try:
                for channel, callback in self._listeners:
                    await AsyncpgPoolDriver.add_listener(self, channel, callback)
            except BaseException:
                await self._let_go()
                raise

    def _listening(self) -> bool:
        with contextlib.suppress(*LOST):  # what the pool has taken back cannot even be asked
            return self._listener_connection is not None and not self._listener_connection.is_closed()
        return False

    async def _let_go(self) -> None:
        held, self._listener_connection = self._listener_connection, None
        if held is not None:
            with contextlib.suppress(*LOST):
                await held.reset()
            with contextlib.suppress(*LOST):
                await self._pool.release(held)


def _calmed(callback: Callable[..., None]) -> Callable[..., None]:
    """Pass on of many calls in a row one: every job of every lane rings, and a look finds all there is."""
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.TimerHandle] = []

    def ring(payload: object) -> None:
        waiting.clear()
        callback(payload)

    def call(payload: object) -> None:
        if _CHANGED not in str(payload):
            callback(payload)
        elif not waiting:
            waiting.append(loop.call_later(_CALM, ring, payload))

    return call


def _key(task: UUID, generation: int) -> str:
    return f"{task}:{generation}"
