"""Plain functions: each run in a thread of its own, beside the loop."""

import time
from typing import Any

import msgspec

from paymux.sdk import Restart, Schedule, TaskContext


def act(key: str) -> dict[str, dict[str, str]]:
    return {"act": {"key": key}}


def thread(key: str) -> dict[str, dict[str, str]]:
    return {"thread": {"key": key}}


class Count(msgspec.Struct):
    """How far a task has come."""

    n: int = 0


async def test_a_plain_function_stalls_nobody(probe: Any, start: Any) -> None:
    """While one blocks a thread, others run, and a hundred of them run side by side."""
    site = await (await start(probe)).install()

    def block(_: TaskContext) -> None:
        time.sleep(3)  # far longer than a slow machine takes to begin sixty

    probe.plain = {f"{number}": block for number in range(60)}
    for key in probe.plain:
        await site.schedule(thread(key))
    await site.until(lambda: len(probe.starts) == 60)
    asked = time.monotonic()
    await site.schedule(act("quick"), Schedule.now_sync())
    took = time.monotonic() - asked
    await site.reached(thread("59"), "TERMINATED")

    assert took < 2.5
    begun = [starts[0] for key, starts in probe.starts.items() if key != "quick"]
    assert max(begun) - min(begun) < 3


async def test_a_plain_function_commits_as_it_goes(probe: Any, start: Any) -> None:
    """In a thread, ``ctx.ingest`` and ``ctx.schedule`` have happened when they return."""
    site = await (await start(probe)).install()

    def work(ctx: Any) -> None:
        state = ctx.state(Count)
        ctx.schedule(act("child"))
        ctx.ingest(state=Count(state.n + 1))

    probe.plain["a"] = work
    for _ in range(2):
        await site.schedule(thread("a"), Schedule.now_sync())
    await site.reached(act("child"), "TERMINATED")

    assert (await site.task(thread("a")))["state"] == '{"n":2}'


async def test_a_plain_function_may_return_a_coroutine(probe: Any, start: Any) -> None:
    """What it returns is run on the loop, with the same context; it is not dropped."""
    site = await (await start(probe)).install()

    async def later(ctx: TaskContext) -> None:
        await ctx.ingest(state=Count(7))

    probe.plain["a"] = later
    await site.schedule(thread("a"), Schedule.now_sync())

    assert (await site.task(thread("a")))["state"] == '{"n":7}'


async def test_code_in_a_thread_learns_of_it_from_the_context_and_from_its_next_page(
    probe: Any, start: Any
) -> None:
    """A thread cannot be cancelled: ``ctx.cancelled`` is set, and what it commits is refused."""
    site = await (await start(probe)).install()
    said: list[object] = []

    def stay(ctx: Any) -> None:
        if said:
            return
        while not ctx.cancelled:
            time.sleep(0.02)
        said.append(ctx.cancelled)
        try:
            ctx.ingest(state={"n": 1})
        except Exception as error:
            said.append(type(error).__name__)
            raise

    probe.plain["a"] = stay
    descriptor = {"thread": {"key": "a"}}
    await site.schedule(descriptor)
    await site.until(lambda: probe.runs("a") == 1)
    await site.schedule(descriptor, Schedule.now(), Restart.STOP_AND_RESTART)
    row = await site.reached(descriptor, "TERMINATED")

    assert said == [True, "Superseded"]
    assert probe.runs("a") == 2
    assert row["state"] is None
