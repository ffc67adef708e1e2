"""Tasks: how many end in a second, how soon one starts that is scheduled, and how punctual the clock is.

The floor is the bare engine with the service's settings: the same jobs, which do nothing.
"""

import asyncio
import base64
import os
import random
import statistics
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid4

from benchmarks import ground
from benchmarks.figures import Figure, say
from benchmarks.processes import working
from paymux.bootstrap import Service, service
from paymux.domain.mask import Mask
from paymux.domain.task import Restart, Schedule
from paymux.ingestion.ingester import Holder
from paymux.logs import configure
from paymux.runtime.engine import PgQueuerEngine
from paymux.runtime.registry import Registry
from paymux.runtime.scheduling import Planner
from paymux.sdk import Connector, ConnectorConfig, TaskContext, task
from paymux.settings import Settings
from paymux.storage import installations
from paymux.storage.database import Database
from paymux.storage.tasks import Job

# One-time tasks to drain, by numbers of worker processes.
DRAINED, WORKERS = 4_000, (1, 2, 4)
# Tasks scheduled one after the other, this far apart.
SCHEDULED, APART = 300, 0.02
# Tasks that are due at a time of their own within so many seconds.
PUNCTUAL, WITHIN = 1_000, 10.0
LATE_TARGET = 250.0
_LONGEST = 300.0


class Stopwatch(Connector[ConnectorConfig]):
    """Its task says when it began."""

    name = "stopwatch"
    max_tasks = 100
    began: ClassVar[dict[int, float]] = {}

    @task
    async def note(self, ctx: TaskContext, number: int) -> None:
        """Note the time."""
        del ctx
        self.began[number] = time.time()


def measure(*, quick: bool) -> list[Figure]:
    """Throughput by workers, latency, punctuality."""
    share = 10 if quick else 1
    with ground.server() as url, Path(os.devnull).open("wb") as nothing:
        configure("logfmt", "info", Mask(), nothing)
        return ground.on_loop(lambda: _throughput(url, DRAINED // share)) + ground.on_loop(
            lambda: _starts(url, SCHEDULED // share, PUNCTUAL // share)
        )


def _package(home: Path) -> str:
    """A folder from which worker processes can import the stopwatch; returns their PYTHONPATH."""
    info = home / "stopwatch-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stopwatch\nVersion: 1\n", "utf-8")
    (info / "entry_points.txt").write_text(
        "[paymux.connectors]\nstopwatch = benchmarks.tasks:Stopwatch\n", "utf-8"
    )
    return f"{home}{os.pathsep}{Path.cwd()}"


class Desk:
    """An installation of the stopwatch, and a hand that schedules its tasks."""

    def __init__(self, running: Service, url: str) -> None:
        self._service = running
        self._engine = PgQueuerEngine(url, heartbeat=ground.HEARTBEAT, concurrency=1)
        self._holder: Holder

    async def install(self) -> "Desk":
        """Install it once."""
        found = await self._service.installing.install("stopwatch", {})
        row = await installations.get(self._service.database, found.reference)
        assert row is not None
        self._holder = Holder(row["id"], found.reference)
        return self

    async def schedule(self, numbers: range, *whens: Schedule) -> None:
        """Schedule tasks in one transaction, all alike or each by a schedule of its own."""
        planner = Planner(self._service.database, self._engine, self._holder)
        for place, number in enumerate(numbers):
            when = whens[place % len(whens)]
            await planner.schedule({"note": {"number": number}}, when, Restart.ALWAYS)
        async with self._service.database.transaction() as db:
            await planner.write(db, plans=planner.waiting)


async def _throughput(url: str, count: int) -> list[Figure]:
    figures = []
    async with ground.fresh_database(url) as there:
        bare = await _bare(there, count)
    with ground.folder() as home:
        path = _package(home)
        for workers in WORKERS:
            async with ground.fresh_database(url) as there:
                took = await _drained(there, path, workers, count)
            figures.append(
                Figure(
                    what=f"tasks: one-time, drained by {workers}", value=count / took, unit="/s",
                    floor=count / bare, beside="empty jobs, 1 engine",
                )
            )  # fmt: skip
            say(f"  tasks: drained by {workers}")
    return figures


async def _drained(url: str, path: str, workers: int, count: int) -> float:
    """Seconds that worker processes take for tasks that were scheduled before they began."""
    database = await Database.open(url, size=2)
    chosen = ground.ground(url)
    async with service(Settings(), chosen, worker=False, registry=Registry.of([Stopwatch])) as running:
        desk = await Desk(running, url).install()
        for first in range(0, count, 1000):
            await desk.schedule(range(first, min(first + 1000, count)), Schedule.now())
    keys = base64.b64encode(chosen.keys[0]).decode()
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(working(database_url=url, encryption_keys=keys, path=path, log_level="error"))
        async with asyncio.timeout(_LONGEST):
            while await database.fetchval("SELECT count(*) FROM run") < count:  # noqa: ASYNC110 - looks at others' work
                await asyncio.sleep(0.25)
    took = await database.fetchval("SELECT max(ended_at) - min(started_at) FROM run")
    await database.close()
    return float(took.total_seconds())


async def _bare(url: str, count: int) -> float:
    """Seconds in which the bare engine delivers as many empty jobs."""
    engine = PgQueuerEngine(url, heartbeat=ground.HEARTBEAT, concurrency=Settings().run_concurrency)
    database = await Database.open(url, size=2)
    async with database.transaction() as db:
        await engine.enqueue(db, [Job(uuid4(), 1) for _ in range(count)])
    left, done = count, asyncio.Event()

    async def handle(_job: int, _task: UUID, _generation: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    before = time.perf_counter()
    running = asyncio.create_task(engine.run(handle))
    async with asyncio.timeout(_LONGEST):
        await done.wait()
    took = time.perf_counter() - before
    engine.stop()
    await running
    await database.close()
    return took


async def _starts(url: str, scheduled: int, punctual: int) -> list[Figure]:
    async with ground.fresh_database(url) as there:
        bare = await _bare_latency(there, scheduled)
        stopwatch = Registry.of([Stopwatch])
        async with service(Settings(), ground.ground(there), worker=True, registry=stopwatch) as running:
            desk = await Desk(running, there).install()
            soon = []
            for number in range(scheduled):
                before = time.time()
                await desk.schedule(range(number, number + 1), Schedule.now())
                await _until_began(number)
                soon.append(Stopwatch.began[number] - before)
                await asyncio.sleep(APART)
            say("  tasks: latency")
            late = await _lateness(desk, range(scheduled, scheduled + punctual))
            say("  tasks: punctuality")
    return [
        *(
            Figure(
                what=f"tasks: scheduled now, to its start, {name}", value=1000 * of(soon), unit="ms",
                floor=1000 * of(bare), beside="bare engine", sense="<=",
            )
            for name, of in (("p50", p50), ("p99", p99))
        ),
        Figure(
            what=f"tasks: {punctual} due within {WITHIN:g} s, late by, p99", value=1000 * p99(late),
            unit="ms", floor=1.0, target=LATE_TARGET, sense="<=",
        ),
    ]  # fmt: skip


async def _lateness(desk: Desk, numbers: range) -> list[float]:
    """Seconds by which runs begin after the instants they were scheduled at."""
    chance = random.Random(1)  # noqa: S311 - spreads, hides nothing
    first = time.time() + 2
    due = {number: first + chance.uniform(0, WITHIN) for number in numbers}
    await desk.schedule(numbers, *(Schedule.at(datetime.fromtimestamp(at, UTC)) for at in due.values()))
    for number in numbers:
        await _until_began(number)
    return [Stopwatch.began[number] - at for number, at in due.items()]


async def _bare_latency(url: str, count: int) -> list[float]:
    engine = PgQueuerEngine(url, heartbeat=ground.HEARTBEAT, concurrency=Settings().run_concurrency)
    database = await Database.open(url, size=2)
    began: asyncio.Queue[float] = asyncio.Queue()

    async def handle(_job: int, _task: UUID, _generation: int) -> None:
        began.put_nowait(time.time())

    running = asyncio.create_task(engine.run(handle))
    await asyncio.sleep(1)
    took = []
    for _ in range(count):
        before = time.time()
        async with database.transaction() as db:
            await engine.enqueue(db, [Job(uuid4(), 1)])
        took.append(await began.get() - before)
        await asyncio.sleep(APART)
    engine.stop()
    await running
    await database.close()
    return took


async def _until_began(number: int) -> None:
    async with asyncio.timeout(_LONGEST):
        while number not in Stopwatch.began:  # noqa: ASYNC110 - noted by a task
            await asyncio.sleep(0.001)


def p50(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def p99(values: list[float]) -> float:
    """One of a hundred is above it."""
    return sorted(values)[int(0.99 * (len(values) - 1))]
