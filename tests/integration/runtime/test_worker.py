"""Workers at work: limits, outcomes, state, and what a run leaves behind."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from paymux.runtime.contexts import STATE_MAX
from paymux.runtime.execution import UNWIND
from paymux.runtime.outcomes import CRASHES_MAX
from paymux.sdk import (
    Restart,
    Schedule,
    SkipRecord,
    SlowDown,
    TaskContext,
    TryAgain,
)
from paymux.storage import tasks

PERIOD = timedelta(seconds=0.3)


def act(key: str) -> dict[str, dict[str, str]]:
    return {"act": {"key": key}}


def thread(key: str) -> dict[str, dict[str, str]]:
    return {"thread": {"key": key}}


def hasty(key: str) -> dict[str, dict[str, str]]:
    return {"hasty": {"key": key}}


class Count(msgspec.Struct):
    """How far a task has come."""

    n: int = 0


async def test_places_are_limited_over_all_workers(probe: Any, start: Any) -> None:
    """1,000 tasks, 10 places, 2 workers: never more than 10 at once, the rest PENDING in order, all done."""
    probe.max_tasks = 10
    site = await (await start(probe)).install()
    await start(probe)
    keys = [f"{number:04}" for number in range(1000)]
    go = asyncio.Event()
    orders = []

    async def work(_: TaskContext) -> None:
        await go.wait()
        await asyncio.sleep(0.005)

    async def feed(ctx: TaskContext) -> None:
        for key in keys:
            await ctx.schedule(act(key))

    probe.acts = dict.fromkeys(keys, work) | {"feed": feed}
    await site.schedule(act("feed"), Schedule.now_sync())
    await site.until(lambda: probe.running.total() == 10)
    rows = await site.database.fetch("SELECT descriptor, status FROM task WHERE waiting > 0 ORDER BY waiting")
    go.set()

    async def done() -> bool:
        count = await site.database.fetchval("SELECT count(*) FROM task WHERE status = 'TERMINATED'")
        return bool(count == len(keys) + 1)

    await site.until(done, 60)
    orders = sorted(keys, key=lambda key: probe.starts[key][0])

    assert probe.most == 10
    assert [row["descriptor"] for row in rows] == [f'{{"act":{{"key":"{key}"}}}}' for key in keys[10:]]
    assert {row["status"] for row in rows} == {"PENDING"}
    assert all(probe.runs(key) == 1 for key in keys)
    assert all(abs(orders.index(key) - number) <= 10 for number, key in enumerate(keys))


RAISED = [
    ValueError("no such thing"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(),
    GeneratorExit(), StopIteration(), StopAsyncIteration(), RecursionError("deep"), MemoryError(),
    BaseException("odd"), ExceptionGroup("several", [ValueError("one"), TryAgain("two")]),
]  # fmt: skip


@pytest.mark.parametrize("kind", [act, thread], ids=["async", "thread"])
async def test_whatever_is_raised_is_a_failed_run(kind: Any, probe: Any, start: Any) -> None:
    """It is never a success, the worker lives, and a periodic task goes on by its schedule."""
    site = await (await start(probe)).install()

    def fails(error: BaseException) -> tuple[Any, Any]:
        async def fail(_: TaskContext) -> None:
            raise error

        def fail_in_thread(_: TaskContext) -> None:
            raise error

        return fail, fail_in_thread

    for error in RAISED:
        for often in ("once", "often"):
            key = f"{type(error).__name__} {often}"
            probe.acts[key], probe.plain[key] = fails(error)
            await site.schedule(kind(key), Schedule.every(PERIOD) if often == "often" else None)
    for error in RAISED:
        key = f"{type(error).__name__} often"
        once, often = kind(f"{type(error).__name__} once"), kind(key)
        row = await site.reached(once, "FAILED")
        leaf = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        assert type(leaf).__name__ in row["error"]
        assert str(leaf) in row["error"]
        assert row["next_run_at"] is None
        assert await site.outcomes(once) == ["FAILED"]
        await site.until(lambda key=key: probe.runs(key) >= 3)
        row = await site.reached(often, "FAILED")
        assert row["next_run_at"] is not None
        assert row["attempts"] >= 2
    probe.acts.clear()
    probe.plain = dict.fromkeys(probe.plain, lambda _: None)
    for error in RAISED:
        row = await site.reached(kind(f"{type(error).__name__} often"), "ACTIVE")
        assert (row["error"], row["attempts"]) == (None, 0)


async def test_try_again_backs_off_and_a_success_forgets(probe: Any, start: Any) -> None:
    """Each failure in a row doubles the delay; the count and the next run are stored; a success resets."""
    site = await (await start(probe)).install()

    async def fail_twice(_: TaskContext) -> None:
        if probe.runs("a") <= 2:
            raise TryAgain("busy")

    probe.acts["a"] = fail_twice
    await site.schedule(act("a"))
    row = await site.reached(act("a"), "FAILED")
    assert row["error"] == "busy"
    assert row["attempts"] == 1
    assert row["next_run_at"] is not None
    row = await site.reached(act("a"), "TERMINATED")

    first, second, third = probe.starts["a"]
    assert 0.35 < second - first < 1.2
    assert 0.75 < third - second < 2
    assert row["attempts"] == 0
    assert row["error"] is None
    told = await site.database.fetch(
        "SELECT type FROM event WHERE object = $1 ORDER BY seq", site.id(act("a"))
    )
    assert [row["type"] for row in told] == ["TASK_FAILED", "TASK_RECOVERED"]


async def test_the_provider_says_when(probe: Any, start: Any) -> None:
    """SlowDown is obeyed, not multiplied."""
    site = await (await start(probe)).install()

    async def slow(_: TaskContext) -> None:
        raise SlowDown(timedelta(minutes=10))

    probe.acts["a"] = slow
    await site.schedule(act("a"))
    row = await site.reached(act("a"), "FAILED")

    assert timedelta(minutes=9) < row["next_run_at"] - row["last_run_at"] < timedelta(minutes=11)


async def test_a_task_that_hangs_is_cut_off(probe: Any, start: Any) -> None:
    """Its limit passes, it is cancelled, FAILED, and tried again."""
    site = await (await start(probe)).install()

    async def hang(_: TaskContext) -> None:
        await asyncio.sleep(60)

    probe.acts["a"] = hang
    await site.schedule(hasty("a"))
    row = await site.reached(hasty("a"), "FAILED")

    assert row["error"] == "The task ran longer than its limit of 0:00:00.300000."
    assert row["next_run_at"] is not None


async def test_a_child_outlives_whoever_scheduled_it(probe: Any, start: Any) -> None:
    """It has a limit of its own: neither its parent's end by time nor the stopping of that one reach it."""
    site = await (await start(probe)).install()

    async def parent(ctx: TaskContext) -> None:
        await ctx.schedule(act("child"), Schedule.every(timedelta(seconds=0.1)))
        await ctx.ingest()
        await asyncio.sleep(60)

    async def child(_: TaskContext) -> None:
        await asyncio.sleep(0.5)  # longer than its parent may take

    probe.acts |= {"parent": parent, "child": child}
    hasty = {"hasty": {"key": "parent"}}
    await site.schedule(hasty)
    await site.reached(hasty, "FAILED")
    await site.service.operating.task("pause", site.key, site.id(hasty))
    runs = probe.runs("child")
    await site.until(lambda: probe.runs("child") >= runs + 3)

    assert probe.cancelled["child"] == 0
    assert set(await site.outcomes(act("child"))) == {"SUCCEEDED"}


async def test_a_task_that_killed_one_worker_too_many_is_not_run_again(probe: Any, start: Any) -> None:
    """Whoever takes it over ends it, FAILED and with a rest; told to run now, it is tried at once."""
    site = await (await start(probe, worker=False)).install()
    await site.schedule(act("a"))
    job = await site.database.fetchval("SELECT id FROM engine_job")
    row = await site.task(act("a"))
    # As if the fifth in a row had begun it, and died.
    await site.database.execute("UPDATE task SET crashes = $1", CRASHES_MAX)
    assert await tasks.begin(site.database, job, row["id"], row["generation"]) is not None
    running = await start(probe)
    row = await site.reached(act("a"), "FAILED")

    assert probe.runs("a") == 0
    assert (row["attempts"], row["crashes"], row["fault"]) == (1, CRASHES_MAX + 1, "CRASH")
    assert "5 times in a row" in row["error"]
    assert row["next_run_at"] - row["updated_at"] > timedelta(seconds=45)
    assert await site.outcomes(act("a")) == ["CRASHED", "FAILED"]

    await running.service.operating.task("run", site.key, row["id"])
    row = await site.reached(act("a"), "TERMINATED")
    assert (probe.runs("a"), row["crashes"], row["error"]) == (1, 0, None)


async def test_code_that_ignores_its_end_loses_its_place(probe: Any, start: Any) -> None:
    """The only place goes to the next task, and what the deaf code commits later is refused."""
    probe.max_tasks = 1
    site = await (await start(probe)).install()
    said: list[str] = []
    go = asyncio.Event()

    async def deaf(ctx: TaskContext) -> None:
        probe.acts["deaf"] = lambda _: asyncio.sleep(0)
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                said.append("no")
        try:
            await ctx.ingest(state=Count(1))
        except Exception as error:  # noqa: BLE001 - it is the error that is looked at
            said.append(type(error).__name__)

    probe.acts["deaf"] = deaf
    await site.schedule(hasty("deaf"), Schedule.now())
    await site.schedule(act("next"))
    try:
        await site.until(lambda: probe.runs("next") == 1, UNWIND + 5)
    finally:
        go.set()
    row = await site.reached(hasty("deaf"), "TERMINATED")
    await site.until(lambda: len(said) == 2)

    assert said == ["no", "Superseded"]
    assert row["state"] is None


async def test_a_record_that_is_skipped_is_set_aside(probe: Any, start: Any) -> None:
    """SkipRecord out of a task: the record is kept with its reason, and the run went well."""
    site = await (await start(probe)).install()

    async def skip(_: TaskContext) -> None:
        raise SkipRecord("no amount", raw='{"amount": null}')

    probe.acts["a"] = skip
    await site.schedule(act("a"), Schedule.now_sync())
    row = await site.database.fetchrow("SELECT * FROM set_aside")

    assert row is not None
    assert (row["reason"], row["raw"], row["task"]) == ("no amount", '{"amount": null}', site.id(act("a")))
    assert (await site.task(act("a")))["status"] == "TERMINATED"


async def test_state_is_seen_by_the_next_run(probe: Any, start: Any) -> None:
    """Within the run that wrote it, and in those that follow."""
    site = await (await start(probe)).install()
    seen: list[int] = []

    async def count(ctx: TaskContext) -> None:
        n = ctx.state(Count).n
        await ctx.ingest(state=Count(n + 1))
        seen.append(ctx.state(Count).n)

    probe.acts["a"] = count
    for _ in range(3):
        await site.schedule(act("a"), Schedule.now_sync())

    assert seen == [1, 2, 3]


async def test_a_big_state_is_refused_with_advice(probe: Any, start: Any) -> None:
    """A checkpoint that grows without end is told so long before it hurts; what was stored stays."""
    site = await (await start(probe)).install()

    async def grow(ctx: TaskContext) -> None:
        await ctx.ingest(state="x" * (STATE_MAX - 2))
        await ctx.ingest(state="é" * (STATE_MAX // 2))

    probe.acts["a"] = grow
    await site.schedule(act("a"))
    row = await site.reached(act("a"), "FAILED")

    assert "Keep where you are, not what you have seen" in row["error"]
    assert row["state"] == f'"{"x" * (STATE_MAX - 2)}"'


async def test_what_a_run_schedules_is_committed_with_its_page_or_its_end(probe: Any, start: Any) -> None:
    """Not before; and a run that fails keeps what it had scheduled."""
    site = await (await start(probe)).install()
    seen: list[int] = []

    async def known() -> int:
        return int(await site.database.fetchval("SELECT count(*) FROM task WHERE descriptor LIKE '%child%'"))

    async def parent(ctx: TaskContext) -> None:
        await ctx.schedule(act("child-1"))
        seen.append(await known())
        await ctx.ingest(state=Count(1))
        seen.append(await known())
        await ctx.schedule(act("child-2"))
        seen.append(await known())
        raise ValueError("after all")

    probe.acts["parent"] = parent
    await site.schedule(act("parent"))
    await site.reached(act("parent"), "FAILED")
    await site.reached(act("child-1"), "TERMINATED")
    await site.reached(act("child-2"), "TERMINATED")

    assert seen == [0, 1, 1]


async def test_many_children_are_scheduled_by_one_run(probe: Any, start: Any) -> None:
    """More than one statement takes; each runs once."""
    site = await (await start(probe)).install()

    async def parent(ctx: TaskContext) -> None:
        for number in range(2500):
            await ctx.schedule(act(f"{number}"))

    probe.acts["parent"] = parent
    await site.schedule(act("parent"), Schedule.now_sync())
    await site.until(lambda: len(probe.starts) == 2501, 40)

    assert all(len(starts) == 1 for starts in probe.starts.values())


async def test_a_superseded_run_leaves_no_trace(probe: Any, start: Any) -> None:
    """Another run holds the task: state, children and end of the first are refused, even at its end."""
    site = await (await start(probe)).install()
    go = asyncio.Event()
    said: list[str] = []

    async def work(ctx: TaskContext) -> None:
        await go.wait()
        await ctx.schedule(act("child"))
        for page in (ctx.ingest(state=Count(1)), ctx.schedule(act("sync"), Schedule.now_sync())):
            try:
                await page
            except Exception as error:  # noqa: BLE001 - it is the error that is looked at
                said.append(type(error).__name__)

    probe.acts["a"] = work
    await site.schedule(act("a"))
    await site.until(lambda: probe.runs("a") == 1)
    # As if another worker had taken it over.
    await site.database.execute("UPDATE task SET token = nextval('run_number'), job = NULL")
    go.set()
    await site.until(lambda: not probe.running["a"])
    await asyncio.sleep(0.3)

    row = await site.task(act("a"))
    assert said == ["Superseded", "Superseded"]
    assert row["state"] is None
    assert row["token"] is not None
    assert await site.database.fetchval("SELECT count(*) FROM task") == 1
    assert await site.outcomes(act("a")) == []


async def test_a_task_in_nobodys_hands_is_found(probe: Any, start: Any) -> None:
    """Its job is gone from the engine, however that came: it is put back in line, once, and runs."""
    site = await (await start(probe, worker=False)).install()
    await site.schedule(act("lost"))
    await site.schedule(act("later"), Schedule.after(timedelta(hours=1)))
    await site.schedule(act("kept"), restart=Restart.NEVER)
    await site.database.execute("UPDATE task SET next_run_at = next_run_at - interval '2 minutes'")
    lost = str(site.id(act("lost")))
    await site.database.execute("DELETE FROM engine_job WHERE dedupe_key LIKE $1 || '%'", lost)
    found = [await site.service.worker.recover(), await site.service.worker.recover()]
    await start(probe)
    await site.reached(act("lost"), "TERMINATED")
    await site.reached(act("kept"), "TERMINATED")

    assert found == [1, 0]
    assert [probe.runs(key) for key in ("lost", "kept", "later")] == [1, 1, 0]
