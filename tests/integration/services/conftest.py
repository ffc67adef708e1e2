"""A service in this process, and a connector whose every step does what a test tells it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from paymux.bootstrap import Ground, Service, service
from paymux.domain.ids import ConnectorID
from paymux.domain.mask import Mask
from paymux.runtime.registry import Registry
from paymux.sdk import (
    Amount,
    Asset,
    Connector,
    ConnectorConfig,
    ConnectorContext,
    Payment,
    PaymentStatus,
    PaymentType,
    Schedule,
    Secret,
    SetAside,
    SkipRecord,
    TaskContext,
    task,
)
from paymux.settings import Settings
from paymux.storage.database import Database, Row

KEY = bytes(range(32))
Start = Callable[..., Awaitable[Service]]
Hook = Callable[["Depot", ConnectorContext], Awaitable[None]]


class DepotConfig(ConnectorConfig):
    """A secret, a period, and something to tell configs apart."""

    every: timedelta = timedelta(hours=1)
    mood: str = "good"
    key: Secret = Secret("")


class Depot(Connector[DepotConfig]):
    """Looks every so often, and brings in what a test says."""

    name = "depot"
    max_tasks = 5
    installing: ClassVar[Hook | None] = None
    checking: ClassVar[Hook | None] = None
    # Config of each look, by the runs.
    looks: ClassVar[list[DepotConfig]]
    bring: ClassVar[int] = 3
    replaying: ClassVar[Callable[[str | bytes | None], Any]]

    async def check(self, ctx: ConnectorContext) -> None:
        checking = type(self).checking
        if checking is not None:
            await checking(self, ctx)

    async def install(self, ctx: ConnectorContext) -> None:
        installing = type(self).installing
        if installing is not None:
            await installing(self, ctx)
        await ctx.schedule(self.look(), Schedule.every(self.config.every))

    @task
    async def look(self, ctx: TaskContext) -> None:
        """Some payments, the same every time."""
        type(self).looks.append(self.config)
        for number in range(self.bring):
            await ctx.ingest(payments=[payment(f"{self.config.mood}-{number}")], state=number)

    @task
    async def once(self, ctx: TaskContext) -> None:
        """One payment."""
        await ctx.ingest(payments=[payment("once")])

    @task
    async def endless(self, ctx: TaskContext) -> None:
        """A payment every few milliseconds."""
        for number in range(100_000):
            await ctx.ingest(payments=[payment(f"endless-{number}")])
            await asyncio.sleep(0.005)

    @task
    async def wait(self, ctx: TaskContext) -> None:
        """Nothing, for long."""
        del ctx
        await asyncio.sleep(600)

    @task
    async def aside(self, ctx: TaskContext, raws: list[str]) -> None:
        """Records that make no sense."""
        await ctx.ingest(payments=[SetAside(reason="what is this", raw=raw) for raw in raws])


class Replayer(Depot):
    """A depot that can read again what it has set aside."""

    name = "replayer"
    seen: ClassVar[list[tuple[SetAside, Any]]]

    async def replay(self, ctx: ConnectorContext, record: SetAside, task: object) -> Iterable[Payment]:
        del ctx
        type(self).seen.append((record, task))
        found = type(self).replaying(record.raw)
        if found is None:
            raise SkipRecord("still unknown to us")
        return list(found)


def payment(reference: str, **fields: Any) -> Payment:
    """A payment of one euro."""
    known = {
        "type": PaymentType.TRANSFER,
        "status": PaymentStatus.SUCCEEDED,
        "amount": Amount.from_minor(100, Asset.parse("EUR/2")),
    }
    return Payment(reference=reference, **{**known, **fields})


@pytest.fixture
def depot() -> Any:
    """A class of the test's own."""
    return type("Depot", (Depot,), {"name": "depot", "looks": []})


@pytest.fixture
def replayer() -> Any:
    """A class of the test's own."""
    return type("Replayer", (Replayer,), {"name": "replayer", "looks": [], "seen": []})


@pytest.fixture
async def start(database_url: str) -> AsyncIterator[Start]:
    """Starts a service on the test's database."""
    async with AsyncExitStack() as stack:

        async def start(
            *classes: type[Connector[Any]],
            worker: bool = True,
            alone: bool = False,
            keys: Any = (KEY,),
            url: str = database_url,
        ) -> Service:
            ground = Ground(url, list(keys), Mask(), alone=alone)
            chosen = Settings(heartbeat=1, grace=2)
            return await stack.enter_async_context(
                service(chosen, ground, worker=worker, registry=Registry.of(classes))
            )

        yield start


async def until(true: Callable[[], Awaitable[Any]], within: float = 20) -> Any:
    """Wait until something is true, and return it; raises TimeoutError."""
    async with asyncio.timeout(within):
        while True:
            found = await true()
            if found:
                return found
            await asyncio.sleep(0.02)


async def row_of(running: Service, connector: ConnectorID) -> Row:
    """The row of an installation, whatever its status."""
    row = await running.database.fetchrow("SELECT * FROM installation WHERE uuid = $1", connector.reference)
    assert row is not None
    return row


async def open_again(running: Service, connector: ConnectorID) -> Row:
    """Wait for the end of a reset."""

    async def done() -> Row | None:
        row = await row_of(running, connector)
        return row if row["status"] == "INSTALLED" else None

    found: Row = await until(done)
    return found


async def payments_of(database: Database, key: int) -> set[str]:
    """References of an installation's payments."""
    rows = await database.fetch("SELECT reference FROM payment WHERE installation = $1", key)
    return {row["reference"] for row in rows}


async def events_of(database: Database, kind: str) -> list[Row]:
    """Events of a type, oldest first."""
    return await database.fetch("SELECT * FROM event WHERE type = $1 ORDER BY seq", kind)
