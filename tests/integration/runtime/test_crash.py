"""Worker processes that are killed, frozen, stopped or cut off from the database in the middle of it all."""

import asyncio
import random
import signal
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest
from tests.integration.runtime.scene import Scene

from paymux import bootstrap
from paymux.bootstrap import Ground, service
from paymux.domain.mask import Mask
from paymux.settings import Settings
from paymux.storage.embedded import EmbeddedPostgres

_RESTS = "SELECT status = 'FAILED' FROM paymux.task WHERE name = 'drown'"
_OTHERS_DONE = "SELECT bool_and(status = 'TERMINATED') FROM paymux.task WHERE name = 'fill'"


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


@pytest.mark.crash
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
async def test_workers_are_killed_until_all_is_done(scene: Scene, seed: int) -> None:
    """Four installations, 20 tasks of 25 pages and a periodic one each; any of three workers, any time."""
    chance = random.Random(seed)  # noqa: S311 - says which and when, and the same again
    await scene.install(times=4, basins=20, pages=25, pause="0.5s")
    alive: list[asyncio.subprocess.Process] = []

    async def hire() -> None:
        alive.append(await scene.worker())

    hired = [asyncio.create_task(hire()) for _ in range(3)]
    kills = 0
    while not await scene.filled() and kills < 40:
        await asyncio.sleep(chance.uniform(0.1, 1.5))
        if alive:
            alive.pop(chance.randrange(len(alive))).kill()
            kills += 1
            hired.append(asyncio.create_task(hire()))
    await asyncio.gather(*hired)

    await scene.finish(4 * 20 * 25 * 5, within=300)
    assert kills > 5
    assert await scene.db.fetchval("SELECT count(*) FROM paymux.run WHERE outcome = 'CRASHED'") > 5


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


async def test_a_worker_that_leaves_waits_for_pages_and_not_for_runs(scene: Scene) -> None:
    """SIGTERM: each goes on elsewhere from its next page, long before the grace is over; none is redone."""
    await scene.install(basins=4, pages=30, pause="0.2s")
    first = await scene.worker(PAYMUX_GRACE="30")
    await scene.until(lambda: len(scene.said("page")) >= 8, 20)
    told = time.monotonic()
    first.terminate()
    assert await asyncio.wait_for(first.wait(), 30) == 0
    assert time.monotonic() - told < 5
    await scene.worker()
    await scene.finish(4 * 30 * 5)

    pages = [line.partition(" ")[2] for line in scene.said("page")]
    assert len(pages) == len(set(pages)) == 4 * 30
    returned = "SELECT count(*) FROM paymux.run WHERE outcome = 'RETURNED'"
    assert await scene.db.fetchval(returned) >= 4


@pytest.mark.crash
async def test_a_task_that_kills_its_workers_is_given_a_rest(scene: Scene) -> None:
    """Five die under it, the sixth lives: the task is FAILED, says why and waits; others are done."""
    await scene.install(basins=2, pages=3, kills=True)
    for _ in range(5):
        worker = await scene.worker()
        assert await asyncio.wait_for(worker.wait(), 20) == 9
    survivor = await scene.worker()
    await scene.until(lambda: scene.db.fetchval(_RESTS), 20)
    row = await scene.db.fetchrow("SELECT * FROM paymux.task WHERE name = 'drown'")

    assert row is not None
    assert (row["status"], row["attempts"], row["place"]) == ("FAILED", 1, False)
    assert "5 times in a row" in row["error"]
    assert row["next_run_at"] - row["updated_at"] > timedelta(seconds=45)
    await scene.until(lambda: scene.db.fetchval(_OTHERS_DONE), 20)
    assert survivor.returncode is None
    assert len(scene.said("drowns")) == 5


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
        await scene.clear()
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
    await scene.clear()

    assert took < timedelta(seconds=5).total_seconds()
