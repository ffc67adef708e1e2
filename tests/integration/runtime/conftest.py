"""A service in this process, and a connector whose tasks do what a test tells them."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
import structlog
from tests.integration.runtime.scene import PACKAGE, Scene

from paymux.bootstrap import Ground, Service, service
from paymux.domain.ids import ConnectorID, task_id
from paymux.domain.mask import Mask
from paymux.domain.task import Descriptor
from paymux.ingestion.ingester import Holder
from paymux.observe.instruments import Instruments
from paymux.runtime.engine import Engine, PgQueuerEngine
from paymux.runtime.registry import Registry
from paymux.runtime.scheduling import Planner
from paymux.sdk import (
    Connector,
    ConnectorConfig,
    ConnectorContext,
    Restart,
    Schedule,
    TaskContext,
    task,
)
from paymux.settings import Settings
from paymux.storage import installations
from paymux.storage.database import Database, Row

KEY = bytes(range(32))

Act = Callable[[TaskContext], Awaitable[None]]


class Probe(Connector[ConnectorConfig]):
    """Its tasks do what ``acts`` says, by key, and are counted."""

    name = "probe"
    max_tasks = 100
    acts: ClassVar[dict[str, Act]]
    plain: ClassVar[dict[str, Callable[[TaskContext], Any]]]
    installing: ClassVar[Callable[[ConnectorContext], Awaitable[None]] | None]
    # When runs of a key began, on the clock of time.monotonic.
    starts: ClassVar[dict[str, list[float]]]
    cancelled: ClassVar[Counter[str]]
    running: ClassVar[Counter[str]]
    overlapped: ClassVar[set[str]]
    # The most runs at once.
    most: ClassVar[int]

    async def install(self, ctx: ConnectorContext) -> None:
        installing = type(self).installing
        if installing is not None:
            await installing(ctx)

    @task
    async def act(self, ctx: TaskContext, key: str) -> None:
        """Do what the test says, asynchronously."""
        found = type(self)
        found.starts.setdefault(key, []).append(time.monotonic())
        if found.running[key]:
            found.overlapped.add(key)
        found.running[key] += 1
        found.most = max(found.most, found.running.total())
        try:
            if key in found.acts:
                await found.acts[key](ctx)
        except asyncio.CancelledError:
            found.cancelled[key] += 1
            raise
        finally:
            found.running[key] -= 1

    @task
    def thread(self, ctx: TaskContext, key: str) -> Any:
        """Do what the test says, in a thread."""
        type(self).starts.setdefault(key, []).append(time.monotonic())
        return type(self).plain[key](ctx)

    @task(timeout=timedelta(seconds=0.3))
    async def hasty(self, ctx: TaskContext, key: str) -> None:
        """Do what the test says within a moment."""
        type(self).starts.setdefault(key, []).append(time.monotonic())
        await type(self).acts[key](ctx)

    @classmethod
    def runs(cls, key: str) -> int:
        """How often a key was run."""
        return len(cls.starts.get(key, ()))


def act(key: str) -> dict[str, dict[str, str]]:
    """The descriptor of ``Probe.act``."""
    return {"act": {"key": key}}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Drawing tracebacks takes longer than most tests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def probe() -> type[Probe]:
    """A class of the test's own."""
    fresh: dict[str, Any] = {
        "acts": {},
        "plain": {},
        "installing": None,
        "starts": {},
        "cancelled": Counter(),
        "running": Counter(),
        "overlapped": set(),
        "most": 0,
    }
    return type("Probe", (Probe,), fresh)


class Site:
    """A running service with an installation, and what tests ask of it."""

    def __init__(self, running: Service, engine: Engine, mask: Mask) -> None:
        self.service = running
        self.mask = mask
        self.database: Database = running.database
        self.engine = engine
        self.connector: ConnectorID
        self.key: int

    async def install(self, provider: str = "probe", **config: Any) -> "Site":
        """Install; the tasks that tests schedule from now on are this installation's."""
        self.connector = await self.service.installing.install(provider, config)
        row = await installations.get(self.database, self.connector.reference)
        assert row is not None
        self.key = row["id"]
        return self

    async def schedule(
        self, descriptor: object, when: Schedule | None = None, restart: Restart = Restart.ALWAYS
    ) -> None:
        """Schedule as the connector's ``install`` does, now unless told otherwise; NOW_SYNC waits."""
        planner = Planner(self.database, self.engine, Holder(self.key, self.connector.reference))
        await planner.schedule(descriptor, when or Schedule.now(), restart)
        async with self.database.transaction() as db:
            await planner.write(db, plans=planner.waiting)

    def id(self, descriptor: object) -> UUID:
        """The id of a task."""
        return task_id(self.connector.reference, Descriptor.of(descriptor).text)

    async def task(self, descriptor: object) -> Row:
        """The row of a task."""
        row = await self.database.fetchrow("SELECT * FROM task WHERE id = $1", self.id(descriptor))
        assert row is not None
        return row

    async def outcomes(self, descriptor: object) -> list[str]:
        """Outcomes of a task's runs, oldest first."""
        rows = await self.database.fetch(
            "SELECT outcome FROM run WHERE task = $1 ORDER BY id", self.id(descriptor)
        )
        return [row["outcome"] for row in rows]

    async def reached(self, descriptor: object, *statuses: str, within: float = 15) -> Row:
        """Wait until a task that is not running has one of these statuses."""
        found: list[Row] = []

        async def arrived() -> bool:
            rows = await self.database.fetch("SELECT * FROM task WHERE id = $1", self.id(descriptor))
            found[:] = rows
            return bool(rows) and rows[0]["token"] is None and rows[0]["status"] in statuses

        try:
            await until(arrived, within)
        except TimeoutError:
            pytest.fail(f"{descriptor} did not reach {statuses}: {[dict(row) for row in found]}")
        return found[0]

    async def until(self, true: Callable[[], Awaitable[bool] | bool], within: float = 15) -> None:
        """Wait until something is true."""
        await until(true, within)


async def until(true: Callable[[], Awaitable[bool] | bool], within: float = 15) -> None:
    """Wait until something is true; raises TimeoutError."""
    async with asyncio.timeout(within):
        while True:
            answer = true()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


Start = Callable[..., Awaitable[Site]]


@pytest.fixture
def engine_of() -> Callable[..., Engine]:
    """Makes the engine of each service; the real one unless a module says otherwise."""
    return PgQueuerEngine


@pytest.fixture
async def start(database_url: str, engine_of: Callable[..., Engine]) -> AsyncIterator[Start]:
    """Starts a service, as often as asked, on the test's database; stops those that were not stopped."""
    async with AsyncExitStack() as stack:

        async def start(
            *classes: type[Connector[Any]],
            worker: bool = True,
            alone: bool = False,
            instruments: Instruments | None = None,
            **settings: Any,
        ) -> Site:
            chosen = Settings(**{"heartbeat": 1, "grace": 2, **settings})
            ground = Ground(database_url, [KEY], Mask(), alone=alone)
            running = await stack.enter_async_context(
                service(
                    chosen,
                    ground,
                    worker=worker,
                    registry=Registry.of(classes),
                    engine_of=engine_of,
                    instruments=instruments,
                )
            )
            engine = engine_of(database_url, heartbeat=timedelta(seconds=1), concurrency=1)
            return Site(running, engine, ground.mask)

        yield start


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds an installed package with a connector."""
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
async def scene(database_url: str, package: Path) -> AsyncIterator[Scene]:
    """A scene on the test's database; its workers are gone afterwards."""
    scene = Scene(database_url, package)
    yield scene
    await scene.clear()
