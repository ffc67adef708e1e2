"""Every way to schedule, with every restart option, over a task in every status, on both engines."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import pytest
from tests.integration.runtime.memory_engine import Broker

from paymux.runtime.engine import Engine, PgQueuerEngine
from paymux.sdk import Restart, Schedule, TaskContext, TaskFailed

HOUR = timedelta(hours=1)
SOON = timedelta(seconds=0.6)
SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "NOW": Schedule.now,
    "NOW_SYNC": Schedule.now_sync,
    "AFTER": lambda: Schedule.after(SOON),
    "AT": lambda: Schedule.at(datetime(2001, 1, 1, tzinfo=UTC)),
    "EVERY": lambda: Schedule.every(HOUR),
}
CASES = list(product(SCHEDULES, Restart))
# By prior status, the restart options that leave the task alone.
LEAVES = {
    "absent": set[Restart](),
    "waiting": {Restart.NEVER, Restart.IF_NOT_ACTIVE},
    "running": {Restart.NEVER, Restart.IF_NOT_ACTIVE},
    "pending": {Restart.NEVER, Restart.IF_NOT_ACTIVE},
    "terminated": {Restart.NEVER},
    "failed": {Restart.NEVER},
    "stopped": {Restart.NEVER},
}


@pytest.fixture(params=["pgqueuer", "memory"])
def engine_of(request: pytest.FixtureRequest, database_url: str) -> Callable[..., Engine]:
    """The real engine and its double, which keep the same promises."""
    return PgQueuerEngine if request.param == "pgqueuer" else Broker(database_url).engine


def act(key: str) -> dict[str, dict[str, str]]:
    return {"act": {"key": key}}


def key_of(schedule: str, restart: Restart) -> str:
    return f"{schedule}-{restart}"


class Table:
    """One task for each schedule and restart option, all in the same status at first."""

    def __init__(self, probe: Any, site: Any) -> None:
        self.probe = probe
        self.site = site
        self.go = asyncio.Event()

    async def put_into(self, prior: str) -> None:
        """Bring every task into the status from which it is scheduled again."""
        keys = [key_of(*case) for case in CASES]
        prepare: dict[str, Callable[[str], Awaitable[None]]] = {
            "absent": self._leave_absent, "waiting": self._let_wait, "running": self._let_run,
            "pending": self._let_queue, "terminated": self._let_succeed, "failed": self._let_fail,
            "stopped": self._let_stop,
        }  # fmt: skip
        if prior == "pending":
            await self._take_the_only_place()
        await asyncio.gather(*(prepare[prior](key) for key in keys))

    async def _leave_absent(self, key: str) -> None:
        pass

    async def _let_wait(self, key: str) -> None:
        await self.site.schedule(act(key), Schedule.after(HOUR))

    async def _let_run(self, key: str) -> None:
        async def once(_: TaskContext) -> None:
            del self.probe.acts[key]
            await self.go.wait()

        self.probe.acts[key] = once
        await self.site.schedule(act(key))
        await self.site.until(lambda: self.probe.runs(key) == 1)

    async def _let_queue(self, key: str) -> None:
        await self.site.schedule(act(key))

    async def _take_the_only_place(self) -> None:
        async def hold(_: TaskContext) -> None:
            await self.go.wait()

        self.probe.acts["blocker"] = hold
        await self.site.schedule(act("blocker"))
        await self.site.until(lambda: self.probe.runs("blocker") == 1)

    async def _let_succeed(self, key: str) -> None:
        await self.site.schedule(act(key))
        await self.site.reached(act(key), "TERMINATED")

    async def _let_fail(self, key: str) -> None:
        async def fail(_: TaskContext) -> None:
            raise ValueError("not yet")

        self.probe.acts[key] = fail
        await self.site.schedule(act(key))
        await self.site.reached(act(key), "FAILED")
        del self.probe.acts[key]

    async def _let_stop(self, key: str) -> None:
        await self._let_succeed(key)
        await self.site.database.execute(
            "UPDATE task SET status = 'STOPPED' WHERE id = $1", self.site.id(act(key))
        )


@pytest.mark.parametrize("prior", LEAVES)
async def test_what_is_documented_happens(prior: str, probe: Any, start: Any) -> None:
    """5 schedules x 4 restart options over one prior status: left alone, run once more, or replaced."""
    probe.max_tasks = 1 if prior == "pending" else 100
    site = await (await start(probe)).install()
    table = Table(probe, site)
    await table.put_into(prior)
    before = {key_of(*case): probe.runs(key_of(*case)) for case in CASES}
    rows = {} if prior == "absent" else {key_of(*case): await site.task(act(key_of(*case))) for case in CASES}
    asked = time.monotonic()

    waiting = [
        asyncio.create_task(site.schedule(act(key_of(*case)), SCHEDULES[case[0]](), case[1]))
        for case in CASES
    ]
    await asyncio.sleep(0.3)
    if prior in {"running", "pending"}:
        stopped = {key for key in before if probe.cancelled[key]}
        await site.until(lambda: all(_was_stopped(probe, case) for case in CASES) or prior == "pending")
        assert stopped <= {key_of(*case) for case in CASES if case[1] is Restart.STOP_AND_RESTART}
    table.go.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 20)
    for case in CASES:
        await site.until(lambda case=case: _is_over(probe, before, prior, case))
    # Long enough for a run too many.
    await asyncio.sleep(1)

    for schedule, restart in CASES:
        key = key_of(schedule, restart)
        row = await site.task(act(key))
        assert probe.runs(key) == before[key] + _runs_more(prior, schedule, restart), (
            f"{prior} {key}: {dict(row)}"
        )
        assert bool(probe.cancelled[key]) == (prior == "running" and restart is Restart.STOP_AND_RESTART), key
        if restart in LEAVES[prior]:
            assert row["schedule"] == rows[key]["schedule"], key
            assert prior != "waiting" or row["next_run_at"] == rows[key]["next_run_at"], key
            continue
        assert row["schedule"] == schedule, key
        assert row["status"] == ("ACTIVE" if schedule == "EVERY" else "TERMINATED"), f"{prior} {key}"
        if schedule == "AFTER":
            assert probe.starts[key][-1] - asked >= SOON.total_seconds() - 0.05, key
        if schedule == "EVERY":
            assert row["next_run_at"] - row["last_run_at"] > HOUR - timedelta(seconds=15), key
    assert not probe.overlapped, "one task ran twice at once"


def _was_stopped(probe: Any, case: tuple[str, Restart]) -> bool:
    return case[1] is not Restart.STOP_AND_RESTART or bool(probe.cancelled[key_of(*case)])


def _runs_more(prior: str, _schedule: str, restart: Restart) -> int:
    if restart in LEAVES[prior]:
        return 1 if prior == "pending" else 0  # the run it was waiting for anyway
    return 1


def _is_over(probe: Any, before: dict[str, int], prior: str, case: tuple[str, Restart]) -> bool:
    key = key_of(*case)
    return bool(probe.runs(key) >= before[key] + _runs_more(prior, *case) and not probe.running[key])


async def test_however_often_a_running_task_is_scheduled_one_run_follows(probe: Any, start: Any) -> None:
    """ALWAYS over a running task, ten times, is exactly one more run, after the first."""
    site = await (await start(probe)).install()
    go = asyncio.Event()

    async def wait(_: TaskContext) -> None:
        await go.wait()

    probe.acts["a"] = wait
    await site.schedule(act("a"))
    await site.until(lambda: probe.runs("a") == 1)
    for _ in range(10):
        await site.schedule(act("a"))
    go.set()
    await site.reached(act("a"), "TERMINATED")
    await asyncio.sleep(0.5)

    assert probe.runs("a") == 2
    assert not probe.overlapped


async def test_stopping_reaches_a_run_on_another_worker(probe: Any, start: Any) -> None:
    """Within about a second the running code sees CancelledError, whoever runs it; then it starts anew."""
    site = await (await start(probe, worker=False)).install()
    await start(probe)

    async def stay(_: TaskContext) -> None:
        probe.acts.clear()
        await asyncio.sleep(60)

    probe.acts["a"] = stay
    await site.schedule(act("a"))
    await site.until(lambda: probe.runs("a") == 1)
    await asyncio.sleep(0.7)
    asked = time.monotonic()
    await site.schedule(act("a"), Schedule.every(HOUR), Restart.STOP_AND_RESTART)
    await site.until(lambda: probe.runs("a") == 2)

    assert probe.cancelled["a"] == 1
    assert probe.starts["a"][1] - asked < 2
    row = await site.reached(act("a"), "ACTIVE")
    assert row["period"] == HOUR
    assert await site.outcomes(act("a")) == ["STOPPED", "SUCCEEDED"]


async def test_a_task_that_was_started_anew_can_be_stopped_again(probe: Any, start: Any) -> None:
    """Three times over: the first run's end takes nothing away from the second."""
    site = await (await start(probe)).install()

    async def stay(_: TaskContext) -> None:
        await asyncio.sleep(60)

    probe.acts["a"] = stay
    await site.schedule(act("a"))
    for times in range(1, 4):
        await site.until(lambda times=times: probe.runs("a") == times)
        await site.schedule(act("a"), Schedule.now(), Restart.STOP_AND_RESTART)
        await site.until(lambda times=times: probe.cancelled["a"] == times)
    await site.until(lambda: probe.runs("a") == 4)

    assert not probe.overlapped
    assert await site.outcomes(act("a")) == ["STOPPED"] * 3


async def test_the_same_words_in_another_order_are_the_same_task(probe: Any, start: Any) -> None:
    """A descriptor is known by what it says and not by how it is written."""
    site = await (await start(probe)).install()
    await site.schedule({"act": {"key": "a", "n": 1.0}}, Schedule.after(HOUR))
    await site.schedule({"act": {"n": 1, "key": "a"}}, Schedule.after(HOUR), Restart.NEVER)

    assert await site.database.fetchval("SELECT count(*) FROM task") == 1


async def test_a_new_period_counts_at_once(probe: Any, start: Any) -> None:
    """A task that was to run in an hour runs now, and from now on by the new period."""
    site = await (await start(probe)).install()
    await site.schedule(act("a"), Schedule.every(HOUR))
    await site.reached(act("a"), "ACTIVE")
    await site.schedule(act("a"), Schedule.every(timedelta(seconds=0.2)))
    await site.until(lambda: probe.runs("a") >= 5, 4)
    await site.schedule(act("a"), Schedule.every(HOUR))
    await asyncio.sleep(0.4)
    runs = probe.runs("a")
    await asyncio.sleep(0.6)

    assert probe.runs("a") == runs
    assert (await site.task(act("a")))["period"] == HOUR


async def test_a_period_is_kept_from_start_to_start(probe: Any, start: Any) -> None:
    """Thirty runs of varying length later the beat is where it was; nothing is added up."""
    site = await (await start(probe)).install()

    async def some_work(_: TaskContext) -> None:
        await asyncio.sleep(0.05 * (probe.runs("a") % 3))

    probe.acts["a"] = some_work
    await site.schedule(act("a"), Schedule.every(timedelta(seconds=0.2)))
    await site.reached(act("a"), "ACTIVE")
    first = (await site.task(act("a")))["next_run_at"]
    await site.until(lambda: probe.runs("a") >= 20, 12)
    row = await site.reached(act("a"), "ACTIVE")

    beats = (row["next_run_at"] - first) / timedelta(seconds=0.2)
    assert abs(beats - round(beats)) < 0.001
    assert not probe.overlapped


async def test_a_run_longer_than_its_period_skips(probe: Any, start: Any) -> None:
    """Runs neither overlap nor pile up: after a long one the next waits for its beat."""
    site = await (await start(probe)).install()
    ends: list[float] = []

    async def long(_: TaskContext) -> None:
        await asyncio.sleep(0.75)
        ends.append(time.monotonic())

    probe.acts["a"] = long
    await site.schedule(act("a"), Schedule.every(timedelta(seconds=0.6)))
    await site.until(lambda: len(ends) == 3)

    assert not probe.overlapped
    spaces = [later - earlier for earlier, later in pairwise(probe.starts["a"])]
    assert all(1 < space < 1.7 for space in spaces[:2]), spaces


async def test_no_burst_follows_a_pause(probe: Any, start: Any) -> None:
    """A service that was away for many periods runs a periodic task once, then by its beat."""
    site = await (await start(probe)).install()
    await site.schedule(act("a"), Schedule.every(timedelta(seconds=2)))
    await site.reached(act("a"), "ACTIVE")
    # As if it had last been due an hour ago.
    await site.database.execute("UPDATE task SET next_run_at = next_run_at - interval '1 hour'")
    await site.until(lambda: probe.runs("a") == 2)
    await asyncio.sleep(0.5)

    assert probe.runs("a") == 2


async def test_a_beat_goes_on_across_a_restart(probe: Any, start: Any) -> None:
    """Three beats were missed: it runs once at once, and then on the beat it always had."""
    period = timedelta(seconds=0.5)
    first = await (await start(probe)).install()
    await first.schedule(act("a"), Schedule.every(period))
    beat = (await first.reached(act("a"), "ACTIVE"))["next_run_at"]
    await first.service.worker.stop(timedelta(0))
    await asyncio.sleep(4 * period.total_seconds())
    missed = await first.task(act("a"))
    runs = probe.runs("a")
    await start(probe)
    began = time.monotonic()
    await first.until(lambda: probe.runs("a") >= runs + 3)

    assert time.monotonic() - began > 0.9 * period.total_seconds(), "a burst"
    row = await first.reached(act("a"), "ACTIVE")
    for at in (missed["next_run_at"], row["next_run_at"]):
        beats = (at - beat) / period
        assert abs(beats - round(beats)) < 0.001
    assert not probe.overlapped


async def test_a_new_period_outlives_a_restart(probe: Any, start: Any) -> None:
    """Asked for while nobody was there to run it; whoever comes next goes by the new one."""
    first = await (await start(probe)).install()
    await first.schedule(act("a"), Schedule.every(HOUR))
    await first.reached(act("a"), "ACTIVE")
    await first.service.worker.stop(timedelta(0))
    await first.schedule(act("a"), Schedule.every(timedelta(seconds=0.2)))
    second = await start(probe)
    await first.until(lambda: probe.runs("a") >= 4, 4)
    await second.service.worker.stop(timedelta(1))
    await first.schedule(act("a"), Schedule.every(HOUR))
    runs = probe.runs("a")
    await start(probe)
    await first.until(lambda: probe.runs("a") == runs + 1)
    await asyncio.sleep(0.7)

    assert probe.runs("a") == runs + 1
    row = await first.reached(act("a"), "ACTIVE")
    assert (row["period"], row["next_run_at"] - row["last_run_at"] > HOUR / 2) == (HOUR, True)


async def test_a_delay_does_not_start_over_with_the_worker(probe: Any, start: Any) -> None:
    """The time a task waits for is stored: another worker, later, runs it when it is due."""
    first = await (await start(probe)).install()
    await first.schedule(act("a"), Schedule.after(timedelta(seconds=2)))
    asked = time.monotonic()
    await asyncio.sleep(0.5)
    await first.service.worker.stop(timedelta(0))
    await start(probe)
    await first.until(lambda: probe.runs("a") == 1, 5)

    assert 1.9 < probe.starts["a"][0] - asked < 3


async def test_now_sync_tells_the_error(probe: Any, start: Any) -> None:
    """Whoever scheduled the task gets its error, in its words; and nothing after a success."""
    site = await (await start(probe)).install()

    async def fail(_: TaskContext) -> None:
        raise ValueError("the provider said 42")

    probe.acts["bad"] = fail
    with pytest.raises(TaskFailed, match="ValueError: the provider said 42"):
        await site.schedule(act("bad"), Schedule.now_sync())
    await site.schedule(act("good"), Schedule.now_sync())

    assert (await site.task(act("good")))["status"] == "TERMINATED"


async def test_now_sync_from_within_a_task_takes_no_place(probe: Any, start: Any) -> None:
    """Three deep on the only place, in a worker with room for one run: it cannot wait for itself."""
    probe.max_tasks = 1
    site = await (await start(probe, run_concurrency=1)).install()

    async def parent(ctx: TaskContext) -> None:
        await ctx.schedule(act("child"), Schedule.now_sync())

    async def child(ctx: TaskContext) -> None:
        await ctx.schedule(act("grandchild"), Schedule.now_sync())

    probe.acts |= {"parent": parent, "child": child}
    await site.schedule(act("parent"), Schedule.now_sync())

    assert [probe.runs(key) for key in ("parent", "child", "grandchild")] == [1, 1, 1]


async def test_whoever_waits_waits_for_the_run_that_was_asked_for(probe: Any, start: Any) -> None:
    """NOW_SYNC over a running task returns after the run that follows, not after the one that runs."""
    site = await (await start(probe)).install()
    go = asyncio.Event()

    async def first(_: TaskContext) -> None:
        probe.acts["a"] = second
        await go.wait()

    async def second(_: TaskContext) -> None:
        raise ValueError("the second one")

    probe.acts["a"] = first
    await site.schedule(act("a"))
    await site.until(lambda: probe.runs("a") == 1)
    waiting = asyncio.create_task(site.schedule(act("a"), Schedule.now_sync()))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    go.set()

    with pytest.raises(TaskFailed, match="the second one"):
        await waiting
