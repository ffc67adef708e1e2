"""Files: ten thousand tasks of one small payment each in the real service, beside the bare queue.

The floor is the engine alone, with the service's settings, draining as many jobs that do nothing.
"""

import asyncio
import os
import time
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from benchmarks import ground
from benchmarks.figures import Figure, say
from paymux.bootstrap import service
from paymux.domain.mask import Mask
from paymux.logs import configure
from paymux.runtime.engine import PgQueuerEngine
from paymux.settings import Settings
from paymux.storage.database import Database
from paymux.storage.tasks import Job

FILES = 10_000
# A task does two transactions of its own and a file besides what the queue does for a job.
TARGET = 0.4
# Each takes its turn this many times.
ROUNDS = 2
_BATCH = 1000
_LOOK = 0.25
_LONGEST = 600.0


def measure(*, quick: bool) -> list[Figure]:
    """Time from install to the last payment."""
    count = FILES // (10 if quick else 1)
    with ground.server() as url, ground.folder() as home:
        directory = home / "files"
        directory.mkdir()
        for number in range(count):
            (directory / f"{number:06d}.json").write_bytes(_file(number))
        with Path(os.devnull).open("wb") as nothing:
            configure("logfmt", "info", Mask(), nothing)
            return ground.on_loop(lambda: _measure(url, directory, count))


async def _measure(url: str, directory: Path, count: int) -> list[Figure]:
    bare = files = 0.0
    for number in range(ROUNDS):
        async with ground.fresh_database(url) as there:
            bare += await _drain(there, count)
        async with ground.fresh_database(url) as there:
            files += await _read(there, directory, count)
        say(f"  files: {number + 1} of {ROUNDS} rounds")
    done = ROUNDS * count
    return [
        Figure(
            what="files: tasks, install to last payment", value=done / files, unit="/s", floor=done / bare,
            beside="empty jobs", target=TARGET,
        )
    ]  # fmt: skip


async def _drain(url: str, count: int) -> float:
    """Seconds in which the bare engine delivers ``count`` empty jobs."""
    settings = Settings()
    engine = PgQueuerEngine(url, heartbeat=ground.HEARTBEAT, concurrency=settings.run_concurrency)
    database = await Database.open(url, size=2)
    for _ in range(count // _BATCH):
        async with database.transaction() as db:
            await engine.enqueue(db, [Job(uuid4(), 1) for _ in range(_BATCH)])
    await database.close()
    left = count
    done = asyncio.Event()

    async def handle(_job: int, _task: UUID, _generation: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    start = time.perf_counter()
    running = asyncio.create_task(engine.run(handle))
    async with asyncio.timeout(_LONGEST):
        await done.wait()
    elapsed = time.perf_counter() - start
    engine.stop()
    await running
    return elapsed


async def _read(url: str, directory: Path, count: int) -> float:
    """Seconds from the install of the example connector to the payment of the last file."""
    watch = await asyncpg.connect(url)
    async with service(Settings(), ground.ground(url), worker=True) as running:
        # By the server's clock: each payment carries the time of its commit, so we need not look often.
        start = await watch.fetchval("SELECT clock_timestamp()")
        await running.installing.install("example", {"directory": str(directory)})
        async with asyncio.timeout(_LONGEST):
            while await watch.fetchval("SELECT count(*) FROM paymux.payment") < count:  # noqa: ASYNC110 - looks at another's work
                await asyncio.sleep(_LOOK)
        last = await watch.fetchval("SELECT max(updated_at) FROM paymux.payment")
    await watch.close()
    return float((last - start).total_seconds())


def _file(number: int) -> bytes:
    return (
        b'{"created_at": "2019-05-15T14:00:00.000Z", "reference": "file-%d", "amount": %d, "asset": "EUR/2",'
        b' "type": "TRANSFER", "status": "SUCCEEDED", "scheme": "visa"}' % (number, 100 + number)
    )
