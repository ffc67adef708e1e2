"""Worker processes that are killed, frozen, stopped or cut off from the database in the middle of it all."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from paymux import bootstrap
from paymux.bootstrap import Ground, service
from paymux.domain.mask import Mask
from paymux.settings import Settings
from paymux.storage.embedded import EmbeddedPostgres

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

class Mark(msgspec.Struct):
    page: int = 0
    by: int = 0

class Tides(Connector[Config]):
    name = "tides"
    max_tasks = 5

    async def install(self, ctx):
        await ctx.schedule(self.tick(), Schedule.every(timedelta(seconds=0.5)))
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

    async def install(self, **config: Any) -> None:
        """Install the connector, from a process that runs no tasks."""
        chosen = Settings(heartbeat=1)
        ground = Ground(self.url, [bytes(range(32))], Mask(), alone=False)
        async with service(chosen, ground, worker=False) as running:
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
            "SELECT count(*) FROM paymux.run WHERE outcome = 'FAILED'": 0,
            # Two runs of one task at once.
            "SELECT count(*) FROM paymux.run a JOIN paymux.run b ON a.task = b.task AND a.id < b.id"
            " WHERE b.started_at < a.ended_at - interval '1 ms'": 0,
        }.items():
            assert await self.db.fetchval(question) == answer, question
        ticks = await self._ticks()
        await asyncio.sleep(2)
        assert await self._ticks() > ticks, "the periodic task is dead"

    async def _ticks(self) -> int:
        found = await self.db.fetchval("SELECT state FROM paymux.task WHERE schedule = 'EVERY'")
        return int(found or 0)


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
    await _clear(scene)


async def _clear(scene: Scene) -> None:
    for process in scene.workers:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    await scene.db.close()


async def test_workers_are_killed_again_and_again(scene: Scene) -> None:
    """By kill -9, amid pages: every record once, no event twice, every task ended, the periodic one alive."""
    await scene.install(basins=15, pages=60)
    for _ in range(2):
        await scene.worker()
    for _ in range(4):
        await asyncio.sleep(0.7)
        scene.workers[-2].kill()
        await scene.worker()

    await scene.finish(15 * 60 * 5)
    assert await scene.db.fetchval("SELECT count(*) FROM paymux.run WHERE outcome = 'CRASHED'") > 0


async def test_a_dead_workers_runs_are_taken_over_within_the_lease(scene: Scene) -> None:
    """With a heartbeat of a second, another worker goes on about two seconds later, where the state was."""
    await scene.install(basins=1, pages=100)
    first = await scene.worker()
    await scene.worker()
    await scene.until(lambda: len(scene.said("page")) >= 5, 20)
    holder = int(scene.said("page")[0].split()[0])
    victim = next(process for process in scene.workers if process.pid == holder)
    victim.kill()
    died = time.monotonic()
    before = len(scene.said(f"{holder} page"))
    await scene.until(lambda: len(scene.said("page")) > before + 1, 10)

    assert time.monotonic() - died < 3
    pages = [int(line.split()[-1]) for line in scene.said("page")]
    assert pages[:before] == list(range(before))
    # At most the page that was being committed when it died was taken up again.
    assert pages[before] - before in (0, 1)
    assert first.pid in (holder, *(process.pid for process in scene.workers))


async def test_a_frozen_worker_that_wakes_up_can_commit_nothing(scene: Scene) -> None:
    """SIGSTOP past the lease, SIGCONT after the take-over: its page is refused, the other's stand."""
    await scene.install(basins=1, pages=60)
    first = await scene.worker()
    await scene.until(lambda: len(scene.said("page")) >= 5, 20)
    first.send_signal(signal.SIGSTOP)
    second = await scene.worker()
    await scene.until(lambda: len(scene.said(f"{second.pid} page")) >= 5, 20)
    first.send_signal(signal.SIGCONT)
    await scene.until(lambda: bool(scene.said(f"{first.pid} ")[-1:]) and _refused(scene, first.pid), 10)

    await scene.finish(60 * 5)
    by = await scene.db.fetchval("SELECT state FROM paymux.task WHERE schedule = 'NOW'")
    assert msgspec.json.decode(by) == {"page": 60, "by": second.pid}
    outcomes = await scene.db.fetch(
        "SELECT r.outcome FROM paymux.run r JOIN paymux.task t ON t.id = r.task WHERE t.schedule = 'NOW'"
        " ORDER BY r.id"
    )
    assert [row["outcome"] for row in outcomes] == ["CRASHED", "SUCCEEDED"]


def _refused(scene: Scene, pid: int) -> bool:
    last = scene.said(f"{pid} ")[-1]
    return "Superseded" in last or "CancelledError" in last


async def test_a_worker_that_is_told_to_leave_hands_its_runs_back(scene: Scene) -> None:
    """SIGTERM: exit status 0 within the grace, and another worker has the run at once, not after a lease."""
    await scene.install(basins=1, pages=2, pause="2m")
    first = await scene.worker(PAYMUX_GRACE="1", PAYMUX_HEARTBEAT="60")
    await scene.until(lambda: len(scene.said("page")) == 1, 20)
    second = await scene.worker(PAYMUX_GRACE="1", PAYMUX_HEARTBEAT="60")
    told = time.monotonic()
    first.terminate()
    status = await asyncio.wait_for(first.wait(), 10)
    took = time.monotonic() - told
    await scene.until(lambda: len(scene.said(f"{second.pid} page")) == 1, 3)

    assert status == 0
    assert took < 1 + 1.5
    returned = "SELECT count(*) FROM paymux.run WHERE outcome = 'RETURNED'"
    assert await scene.db.fetchval(returned) == 1
    second.terminate()
    assert await asyncio.wait_for(second.wait(), 10) == 0


async def test_a_thread_that_hangs_keeps_no_worker_from_leaving(scene: Scene) -> None:
    """SIGTERM while a plain function blocks for ever: the run is handed back, the process ends in time."""
    await scene.install(basins=1, hangs=True)
    worker = await scene.worker(PAYMUX_GRACE="1")
    await scene.until(lambda: len(scene.said("hangs")) == 1, 20)
    told = time.monotonic()
    worker.terminate()

    assert await asyncio.wait_for(worker.wait(), 10) == 0
    assert time.monotonic() - told < 1 + 2.5
    rows = await scene.db.fetch("SELECT status, token FROM paymux.task WHERE schedule = 'NOW'")
    assert [tuple(row) for row in rows] == [("PENDING", None)]
    assert await scene.db.fetchval("SELECT count(*) FROM paymux.run WHERE outcome = 'RETURNED'") == 1


async def test_connections_that_are_cut_fail_no_task(scene: Scene) -> None:
    """Every connection ended by the server, over and over, under load: workers reconnect, nothing is lost."""
    await scene.install(basins=12, pages=30)
    for _ in range(2):
        await scene.worker(PAYMUX_HEARTBEAT="2")
    for _ in range(12):
        await asyncio.sleep(0.4)
        await scene.db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'paymux%'"
        )

    await scene.finish(12 * 30 * 5)
    assert all(process.returncode is None for process in scene.workers)


async def test_a_restart_of_the_database_fails_no_task(tmp_path: Path, package: Path) -> None:
    """The server goes away for seconds and comes back: the same workers go on, and nothing is lost."""
    # In threads: starting and stopping it has a loop of its own.
    server = EmbeddedPostgres(tmp_path / "data")
    url = await asyncio.to_thread(server.start)
    await bootstrap.migrated(Ground(url, [bytes(range(32))], Mask(), alone=False))
    scene = Scene(url, package)
    await scene.install(basins=6, pages=60)
    worker = await scene.worker(PAYMUX_HEARTBEAT="2")
    await scene.until(lambda: len(scene.said("page")) >= 10, 20)
    await scene.db.close()
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(2)
    server = EmbeddedPostgres(tmp_path / "data")
    assert await asyncio.to_thread(server.start) == url
    scene.db = await asyncpg.connect(url)
    try:
        await scene.finish(6 * 60 * 5)
        assert worker.returncode is None
    finally:
        await _clear(scene)
        await asyncio.to_thread(server.stop)


async def test_a_predecessors_runs_are_reclaimed_at_once_by_one_who_is_alone(
    database_url: str, package: Path
) -> None:
    """The embedded service knows that the last one on its data is dead: it does not wait for the lease."""
    scene = Scene(database_url, package)
    await scene.install(basins=1, pages=100)
    first = await scene.worker(PAYMUX_HEARTBEAT="300")
    await scene.until(lambda: len(scene.said("page")) >= 3, 20)
    first.kill()
    await first.wait()
    ground = Ground(database_url, [bytes(range(32))], Mask(), alone=True)
    started = time.monotonic()
    async with service(Settings(heartbeat=300, grace=0), ground, worker=True):
        before = len(scene.said("page"))
        await scene.until(lambda: len(scene.said("page")) > before, 10)
        took = time.monotonic() - started
    await _clear(scene)

    assert took < timedelta(seconds=5).total_seconds()
