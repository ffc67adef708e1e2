"""What a measurement stands on: a PostgreSQL server, fresh databases on it, and the loop of the service."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

from benchmarks.figures import Figure
from paymux.bootstrap import Ground, migrated
from paymux.cli.running import run
from paymux.domain.ids import canonical_json, task_id
from paymux.domain.mask import Mask
from paymux.domain.task import Restart, Schedule
from paymux.ingestion.ingester import Holder
from paymux.storage import installations, tasks
from paymux.storage.database import Database
from paymux.storage.embedded import EmbeddedPostgres

KEY = bytes(range(32))
# The heartbeat is longer than any single task here.
HEARTBEAT = timedelta(seconds=5)

T = TypeVar("T")


@contextmanager
def server() -> Iterator[str]:
    """A server's URL: PAYMUX_TEST_DATABASE_URL, or an embedded one in a directory that goes away."""
    given = os.environ.get("PAYMUX_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with folder() as home, EmbeddedPostgres(home / "data") as url:
        yield url


@contextmanager
def folder() -> Iterator[Path]:
    """A directory that goes away; with a short name, for the path of a socket in it is limited."""
    with tempfile.TemporaryDirectory(prefix="paymux-bench-") as name:
        yield Path(name)


def on_loop(measure: Callable[[], Coroutine[Any, Any, list[Figure]]]) -> list[Figure]:
    """Run a measurement on the loop and with the threads that the service has."""
    figures: list[Figure] = []

    async def main() -> None:
        figures.extend(await measure())

    run(main())
    return figures


def ground(url: str) -> Ground:
    """The ground of a service that has the database for itself."""
    return Ground(url, [KEY], Mask(), alone=True)


@asynccontextmanager
async def fresh_database(url: str) -> AsyncIterator[str]:
    """A migrated database of its own on the server."""
    name = f"bench_{uuid4().hex}"
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        there = named(url, name)
        await migrated(ground(there))
        yield there
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@asynccontextmanager
async def fresh_pool(url: str) -> AsyncIterator[Database]:
    """A pool as the service opens it, on a fresh database."""
    async with fresh_database(url) as there:
        database = await Database.open(there)
        try:
            yield database
        finally:
            await database.close()


async def holder(database: Database, name: str) -> Holder:
    """Install a connector by its rows alone and begin a run of one task, so that every fence is real."""
    uuid = uuid4()
    async with database.transaction() as db:
        key = await installations.insert(db, uuid=uuid, provider="BENCH", name=name, config=b"", max_tasks=10)
        await installations.installed(db, key)
        descriptor = canonical_json(name)
        plan = tasks.Plan(task_id(uuid, descriptor), descriptor, Schedule.now(), Restart.ALWAYS)
        (job,) = await tasks.schedule(db, key, [plan])
    begun = await tasks.begin(database, 1, job.task, job.generation)
    assert begun is not None
    return Holder(key, uuid, begun.task, begun.token)


def named(url: str, database: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")


async def stopped(work: "asyncio.Task[Any]") -> None:
    """Cancel a background task and wait for its end."""
    work.cancel()
    await asyncio.wait({work})
