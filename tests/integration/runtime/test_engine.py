"""What the runtime relies on in its engine: a job is delivered until it is done, and no longer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from paymux.runtime.engine import PgQueuerEngine
from paymux.storage.database import Database
from paymux.storage.tasks import Job

LEASE = timedelta(seconds=1)

Handle = Callable[[int, UUID, int], Awaitable[None]]


class Desk:
    """An engine, and a handler that remembers what it was given."""

    def __init__(self, url: str, database: Database, *, concurrency: int = 10) -> None:
        self.engine = PgQueuerEngine(url, heartbeat=LEASE, concurrency=concurrency)
        self.database = database
        self.given: list[tuple[float, UUID, int]] = []

    async def add(self, *jobs: Job) -> None:
        async with self.database.transaction() as db:
            await self.engine.enqueue(db, jobs)

    async def left(self) -> int:
        return int(await self.database.fetchval("SELECT count(*) FROM engine_job"))

    @asynccontextmanager
    async def open(self, handle: Handle | None = None) -> AsyncIterator["Desk"]:
        async def remember(job: int, task: UUID, generation: int) -> None:
            self.given.append((time.monotonic(), task, generation))
            if handle is not None:
                await handle(job, task, generation)

        running = asyncio.create_task(self.engine.run(remember))
        yield self
        self.engine.stop()
        await asyncio.wait_for(running, 10)

    async def until(self, count: int, within: float = 10) -> None:
        async with asyncio.timeout(within):
            while len(self.given) < count:  # noqa: ASYNC110 - it is told nothing
                await asyncio.sleep(0.01)


@pytest.fixture
def desk(database_url: str, database: Database) -> Desk:
    """An engine on the test's database."""
    return Desk(database_url, database)


async def test_a_job_is_delivered_once_and_gone(desk: Desk) -> None:
    """With its task and generation; its end leaves nothing behind, not even in the engine's log."""
    job = Job(uuid4(), 7)
    async with desk.open():
        await desk.add(job)
        await desk.until(1)
        await asyncio.sleep(0.5)

    assert [(task, generation) for _, task, generation in desk.given] == [(job.task, 7)]
    assert await desk.left() == 0
    assert await desk.database.fetchval("SELECT count(*) FROM engine_log") == 0


async def test_a_job_is_added_with_the_transaction_or_not_at_all(desk: Desk) -> None:
    """Rolled back, it was never there; added twice, it is there once."""
    job = Job(uuid4(), 1)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the transaction is what it is raised through
        async with desk.database.transaction() as db:
            await desk.engine.enqueue(db, [Job(uuid4(), 1)])
            raise ZeroDivisionError
    await desk.add(job)
    await desk.add(job, Job(job.task, 2))

    assert await desk.left() == 2


async def test_a_delay_is_kept(desk: Desk) -> None:
    """To a fraction of a second, without anybody looking in between."""
    async with desk.open():
        added = time.monotonic()
        await desk.add(Job(uuid4(), 1, timedelta(seconds=1.5)))
        await desk.until(1)

    assert 1.4 < desk.given[0][0] - added < 2


@pytest.mark.parametrize(
    "raised", [ValueError(), asyncio.CancelledError(), BaseException()], ids=lambda e: type(e).__name__
)
async def test_a_job_whose_handler_raises_comes_again(raised: BaseException, desk: Desk) -> None:
    """It is not done, so it is neither deleted nor forgotten: after the lease somebody has it again."""

    async def fail_once(_job: int, _task: UUID, _generation: int) -> None:
        if len(desk.given) == 1:
            raise raised

    async with desk.open(fail_once):
        await desk.add(Job(uuid4(), 1))
        await desk.until(2)
        await asyncio.sleep(0.3)

    assert 0.9 < desk.given[1][0] - desk.given[0][0] < 3
    assert desk.given[1][1:] == desk.given[0][1:]
    assert await desk.left() == 0


async def test_a_job_that_takes_longer_than_the_lease_is_left_alone(desk: Desk, database_url: str) -> None:
    """Its worker shows that it lives, so no other one takes it over."""

    async def long(_job: int, _task: UUID, _generation: int) -> None:
        await asyncio.sleep(3)

    other = Desk(database_url, desk.database)
    async with desk.open(long), other.open(long):
        await desk.add(Job(uuid4(), 1))
        await asyncio.sleep(4)

    assert len(desk.given) + len(other.given) == 1


async def test_no_more_jobs_are_taken_than_there_is_room_for(database_url: str, database: Database) -> None:
    """A slot that is lent makes room for one more, and is taken back."""
    desk = Desk(database_url, database, concurrency=2)
    go = asyncio.Event()

    async def wait(_job: int, _task: UUID, _generation: int) -> None:
        await go.wait()

    async with desk.open(wait):
        await desk.add(*(Job(uuid4(), 1) for _ in range(4)))
        await asyncio.sleep(0.7)
        assert len(desk.given) == 2
        with desk.engine.lent():
            await desk.until(3)
            await asyncio.sleep(0.5)
        assert len(desk.given) == 3
        go.set()
        await desk.until(4)


async def test_notifications_come_again_after_every_lost_connection(desk: Desk) -> None:
    """Cut off ten times, it still wakes for a new job at once rather than at its next look."""
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'paymux engine'"
    )
    async with desk.open():
        for _ in range(10):
            await desk.database.execute(cut)
            await asyncio.sleep(0.15)
        await asyncio.sleep(1.5)
        taken = []
        for count in range(1, 6):
            added = time.monotonic()
            await desk.add(Job(uuid4(), 1))
            await desk.until(count)
            taken.append(desk.given[-1][0] - added)
            await asyncio.sleep(0.13)

    assert sorted(taken)[2] < 0.15, taken


async def test_only_tasks_without_a_job_are_missing(desk: Desk) -> None:
    """By the job that was taken, or by what was added."""
    here, gone = Job(uuid4(), 1), Job(uuid4(), 1)
    await desk.add(here)
    number = await desk.database.fetchval("SELECT id FROM engine_job")
    asked = [(here.task, 1, None), (uuid4(), 5, number), (here.task, 2, None), (gone.task, 1, number + 1)]

    assert await desk.engine.missing(asked) == [(here.task, 2), (gone.task, 1)]
