"""Install and uninstall: at once or not at all, whatever fails or dies in between."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from paymux.bootstrap import Ground, Service, service
from paymux.domain.mask import Mask
from paymux.runtime.registry import Registry, UnknownConnector
from paymux.sdk import (
    Amount,
    Asset,
    BadConfig,
    Connector,
    ConnectorConfig,
    ConnectorContext,
    Payment,
    PaymentStatus,
    PaymentType,
    Restart,
    Schedule,
    TaskContext,
    TaskFailed,
    task,
)
from paymux.services.installing import Ambiguous, NameTaken, NotInstalled
from paymux.settings import Settings
from paymux.storage.database import Database

KEY = bytes(range(32))
Start = Callable[..., Awaitable[Service]]


class Config(ConnectorConfig):
    """Nothing to fill in but a secret."""

    mood: str = "good"


class Quay(Connector[Config]):
    """Commits payments without end; each installation its own."""

    name = "quay"
    installing: ClassVar[Callable[["Quay", ConnectorContext], Awaitable[None]] | None] = None
    uninstalling: ClassVar[Callable[[ConnectorContext], Awaitable[None]] | None] = None

    async def install(self, ctx: ConnectorContext) -> None:
        installing = type(self).installing
        if installing is not None:
            await installing(self, ctx)

    async def uninstall(self, ctx: ConnectorContext) -> None:
        uninstalling = type(self).uninstalling
        if uninstalling is not None:
            await uninstalling(ctx)

    @task
    async def land(self, ctx: TaskContext) -> None:
        """A payment every few milliseconds."""
        for number in range(100_000):
            await ctx.ingest(payments=[payment(f"{ctx.task_id}-{number}")])
            await asyncio.sleep(0.005)

    @task
    async def one(self, ctx: TaskContext) -> None:
        """One payment."""
        await ctx.ingest(payments=[payment("one")])


def payment(reference: str) -> Payment:
    return Payment(
        reference=reference,
        type=PaymentType.TRANSFER,
        status=PaymentStatus.SUCCEEDED,
        amount=Amount.from_minor(100, Asset.parse("EUR/2")),
    )


@pytest.fixture
def quay() -> type[Quay]:
    """A class of the test's own."""
    return type("Quay", (Quay,), {})


@pytest.fixture
async def start(database_url: str) -> AsyncIterator[Start]:
    """Starts a service on the test's database."""
    async with AsyncExitStack() as stack:

        async def start(*classes: type[Connector[Any]], worker: bool = True, alone: bool = False) -> Service:
            ground = Ground(database_url, [KEY], Mask(), alone=alone)
            chosen = Settings(heartbeat=1, grace=2)
            return await stack.enter_async_context(
                service(chosen, ground, worker=worker, registry=Registry.of(classes))
            )

        yield start


async def until(true: Callable[[], Awaitable[bool]], within: float = 15) -> None:
    async with asyncio.timeout(within):
        while not await true():  # noqa: ASYNC110 - it happens in the database
            await asyncio.sleep(0.02)


async def rows_left(database: Database) -> dict[str, int]:
    """Rows of each table an installation writes to, empty ones left out; what happened to it may stay."""
    found = {}
    for table in ("installation", "task", "run", "payment", "adjustment", "account", "set_aside"):
        found[table] = await database.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - names from above
    return {table: count for table, count in found.items() if count}


@pytest.mark.parametrize("raised", [
    ValueError("the provider said no"), BadConfig("wrong key"), SystemExit(1), KeyboardInterrupt(),
    asyncio.CancelledError(),
], ids=lambda raised: type(raised).__name__)  # fmt: skip
async def test_an_install_that_fails_leaves_nothing(raised: Any, quay: Any, start: Start) -> None:
    """Whatever the connector raises: nothing is visible, nothing runs, and the name is free at once."""
    running = await start(quay)

    async def fail(self: Quay, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.land(), Schedule.every(timedelta(seconds=1)))
        await ctx.schedule(self.one(), Schedule.now_sync())
        raise raised

    quay.installing = fail
    with pytest.raises(Exception, match=str(raised) or type(raised).__name__) as caught:
        await running.installing.install("quay", {"name": "north"})
    assert isinstance(caught.value, Exception)
    assert await running.installing.listed() == []

    quay.installing = None
    installed = await running.installing.install("quay", {"name": "north"})
    assert [row["uuid"] for row in await running.installing.listed()] == [installed.reference]

    async def tidy() -> bool:
        return await rows_left(running.database) == {"installation": 1}

    await until(tidy)


async def test_a_connector_that_cannot_be_made_is_not_installed(start: Start) -> None:
    """Its ``__init__`` raises: as if its ``install`` had."""

    class Broken(Connector[ConnectorConfig]):
        name = "broken"

        def __init__(self, config: ConnectorConfig) -> None:
            super().__init__(config)
            raise RuntimeError("no hands")

    running = await start(Broken)
    with pytest.raises(RuntimeError, match="no hands"):
        await running.installing.install("broken", {"name": "north"})

    async def tidy() -> bool:
        return await rows_left(running.database) == {}

    await until(tidy)


async def test_what_install_schedules_runs_only_once_it_is_installed(quay: Any, start: Start) -> None:
    """However many tasks that are: a connector that fails after the thousandth has run none of them."""
    running = await start(quay)

    async def many(_: Quay, ctx: ConnectorContext) -> None:
        for number in range(2500):
            await ctx.schedule({"one": {}} if number == 0 else f"task-{number}")
        await asyncio.sleep(0.5)
        assert await running.database.fetchval("SELECT count(*) FROM task") == 0

    quay.installing = many
    await running.installing.install("quay", {})

    assert await running.database.fetchval("SELECT count(*) FROM task") == 2500


async def test_install_may_wait_for_a_task(quay: Any, start: Start) -> None:
    """NOW_SYNC within install returns the task's error, which may be the install's."""
    running = await start(quay)

    async def check(_: Quay, ctx: ConnectorContext) -> None:
        await ctx.schedule("nonsense", Schedule.now_sync())

    quay.installing = check
    with pytest.raises(TaskFailed, match="Quay has no task 'nonsense'"):
        await running.installing.install("quay", {})


async def test_of_two_installs_of_one_name_one_wins(quay: Any, start: Start) -> None:
    """At the same moment, in two processes, in any case of letters."""
    first, second = await start(quay), await start(quay)
    names = ["North", "north", "NORTH", "north ", "north", "North"]
    answers = await asyncio.gather(
        *(
            (first, second)[number % 2].installing.install("quay", {"name": name})
            for number, name in enumerate(names)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, NameTaken) for answer in answers) == len(names) - 1, answers
    assert len(await first.installing.listed()) == 1


async def test_names_that_nobody_chose_are_numbered(quay: Any, start: Start) -> None:
    """The first is called as the connector; those that follow, at once or not, are all different."""
    running = await start(quay)
    await running.installing.install("QUAY", {})
    await asyncio.gather(*(running.installing.install("quay", {}) for _ in range(4)))
    names = [row["name"] for row in await running.installing.listed()]

    assert sorted(names) == ["quay", "quay-2", "quay-3", "quay-4", "quay-5"]
    first = next(row for row in await running.installing.listed() if row["name"] == "quay-2")
    assert running.installing.config_of(first)["name"] == "quay-2"


async def test_uninstalling_under_load_lets_nothing_through(quay: Any, start: Start) -> None:
    """From the answer on nothing of it is committed, by any worker; another installation goes on."""
    running = await start(quay)
    await start(quay)

    async def busy(self: Quay, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.land(), Schedule.now(), Restart.ALWAYS)

    quay.installing = busy
    going = await running.installing.install("quay", {"name": "going"})
    await running.installing.install("quay", {"name": "staying"})
    key = await running.database.fetchval("SELECT id FROM installation WHERE name = 'going'")
    other = await running.database.fetchval("SELECT id FROM installation WHERE name = 'staying'")

    async def landed(installation: int) -> int:
        count = "SELECT count(*) FROM payment WHERE installation = $1"
        return int(await running.database.fetchval(count, installation))

    async def both() -> bool:
        return await landed(key) > 20 and await landed(other) > 20

    await until(both)
    await running.installing.uninstall("quay", going)
    highest = await running.database.fetchval(
        "SELECT max(seq) FROM event WHERE type = 'CONNECTOR_UNINSTALLED'"
    )
    stays = await landed(other)

    async def gone() -> bool:
        return await landed(key) == 0

    await until(gone)
    await asyncio.sleep(1)
    later = "SELECT count(*) FROM event WHERE installation = $1 AND seq > $2 AND type LIKE 'SAVED%'"
    assert await running.database.fetchval(later, key, highest) == 0
    assert await landed(key) == 0
    assert await landed(other) > stays
    assert [row["name"] for row in await running.installing.listed()] == ["staying"]
    assert await running.database.fetchval("SELECT count(*) FROM task WHERE installation = $1", key) == 0


async def test_a_connector_that_cannot_clean_up_is_uninstalled_all_the_same(quay: Any, start: Start) -> None:
    """Whoever wants it gone gets it gone, whatever its ``uninstall`` raises."""
    running = await start(quay)

    async def refuse(_: ConnectorContext) -> None:
        raise SystemExit("never")

    quay.uninstalling = refuse
    installed = await running.installing.install("quay", {})
    await running.installing.uninstall("quay", installed)

    assert await running.installing.listed() == []
    with pytest.raises(NotInstalled):
        await running.installing.uninstall("quay", installed)


async def test_the_class_need_not_be_there_to_uninstall(quay: Any, start: Start) -> None:
    """An installation of a connector that nobody has any more is removed as any other."""
    installed = await (await start(quay, worker=False)).installing.install("quay", {})
    running = await start()
    await running.installing.uninstall("quay", installed)

    assert await running.installing.listed() == []
    with pytest.raises(UnknownConnector):
        await running.installing.uninstall("quay", None)


async def test_the_only_one_need_not_be_named(quay: Any, start: Start) -> None:
    """Without an id there must be exactly one installation of the connector."""
    running = await start(quay)
    with pytest.raises(Ambiguous, match="There are 0 of QUAY"):
        await running.installing.uninstall("quay", None)
    for _ in range(2):
        await running.installing.install("quay", {})
    with pytest.raises(Ambiguous, match="There are 2 of QUAY"):
        await running.installing.uninstall("quay", None)


async def test_more_uninstalls_at_once_than_connections(quay: Any, start: Start) -> None:
    """They do not wait for each other's connections."""
    running = await start(quay)
    installed = [await running.installing.install("quay", {}) for _ in range(30)]
    async with asyncio.timeout(20):
        await asyncio.gather(*(running.installing.uninstall("quay", one) for one in installed))

    assert await running.installing.listed() == []


SCRIPT = """
import asyncio, sys
from paymux.bootstrap import Ground, service
from paymux.domain.mask import Mask
from paymux.runtime.registry import Registry
from paymux.sdk import Connector, ConnectorConfig, task
from paymux.settings import Settings

class Quay(Connector[ConnectorConfig]):
    name = "quay"
    async def install(self, ctx):
        await ctx.schedule("early")
        if "install" in sys.argv:
            print("installing", flush=True)
            await asyncio.sleep(60)

async def main():
    ground = Ground(sys.argv[1], [bytes(range(32))], Mask(), alone=True)
    async with service(Settings(), ground, worker=False, registry=Registry.of([Quay])) as running:
        installed = await running.installing.install("quay", {"name": "north"})
        await running.installing.uninstall("quay", installed)
        # No relay runs here, so the deletion waits for one to tell of it.
        print("uninstalled", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("amid", ["install", "uninstall"])
async def test_what_a_crash_cuts_short_is_finished_by_the_next_start(
    amid: str, quay: Any, start: Start, database_url: str, tmp_path: Path
) -> None:
    """Killed amid an install, it is undone. Amid an uninstall: it is completed. The name is free."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, tmp_path / "script.py", database_url, amid, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), 30):
        if line.strip() in (b"installing", b"uninstalled"):
            break
    process.kill()
    await process.communicate()
    running = await start(quay, alone=True)
    assert await running.installing.listed() == []

    async def tidy() -> bool:
        return await rows_left(running.database) == {}

    await until(tidy)
    asked = time.monotonic()
    await running.installing.install("quay", {"name": "north"})
    assert time.monotonic() - asked < 5


async def test_a_config_is_refused_before_anything_is_written(quay: Any, start: Start) -> None:
    """The error names the field; no name was taken."""
    running = await start(quay)
    with pytest.raises(BadConfig, match="moood"):
        await running.installing.install("quay", {"moood": "bad"})

    assert await rows_left(running.database) == {}
