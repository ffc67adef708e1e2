"""What operators do to real runs: told to stop within about a second, on whichever worker they are."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from paymux.sdk import (
    AskForLogin,
    BadConfig,
    Connector,
    ConnectorConfig,
    Refused,
    Restart,
    Schedule,
    TaskContext,
    TaskFailed,
)
from paymux.services.operating import NotNow
from paymux.storage import operators

HOUR = timedelta(hours=1)
PERIOD = timedelta(seconds=0.3)


def act(key: str) -> dict[str, dict[str, str]]:
    return {"act": {"key": key}}


class Count(msgspec.Struct):
    """How far a task has come."""

    n: int = 0


async def stay(_: TaskContext) -> None:
    """Work until told to stop."""
    await asyncio.sleep(60)


async def tell(site: Any, verb: Any, key: str) -> Any:
    return await site.service.operating.task(verb, site.key, site.id(act(key)))


async def test_pausing_reaches_a_run_on_another_worker(probe: Any, start: Any) -> None:
    """The code sees CancelledError; the task stays STOPPED until it is resumed, and runs then."""
    site = await (await start(probe, worker=False)).install()
    await start(probe)
    probe.acts["a"] = stay
    await site.schedule(act("a"), Schedule.every(HOUR))
    await site.until(lambda: probe.runs("a") == 1)
    told = await tell(site, "pause", "a")
    await site.until(lambda: probe.cancelled["a"] == 1, 3)
    row = await site.reached(act("a"), "STOPPED")
    probe.acts.clear()
    await site.schedule(act("a"))
    await asyncio.sleep(0.5)
    assert probe.runs("a") == 1
    resumed = await tell(site, "resume", "a")
    await site.reached(act("a"), "TERMINATED")

    assert (told["status"], told["paused"], row["paused"]) == ("STOPPED", True, True)
    assert resumed["paused"] is False
    assert await site.outcomes(act("a")) == ["STOPPED", "SUCCEEDED"]


async def test_cancelling_stops_the_run_and_its_pages(probe: Any, start: Any) -> None:
    """Nothing that it commits after it was told is kept; a periodic task goes on by its schedule."""
    site = await (await start(probe)).install()
    said: list[str] = []
    go = asyncio.Event()

    async def deaf(ctx: TaskContext) -> None:
        try:
            await go.wait()
        except asyncio.CancelledError:
            try:
                await ctx.ingest(state=Count(1))
            except Exception as error:  # noqa: BLE001 - it is the error that is looked at
                said.append(type(error).__name__)
            raise

    probe.acts["once"] = probe.acts["often"] = deaf
    await site.schedule(act("once"))
    await site.schedule(act("often"), Schedule.every(HOUR))
    await site.until(lambda: probe.running.total() == 2)
    for key in ("once", "often"):
        await tell(site, "cancel", key)
    once = await site.reached(act("once"), "STOPPED")
    often = await site.reached(act("often"), "ACTIVE")

    assert (once["error"], once["next_run_at"], once["state"]) == ("Told to stop.", None, None)
    assert often["next_run_at"] is not None
    assert said == ["Superseded"] * 2
    assert await site.outcomes(act("once")) == await site.outcomes(act("often")) == ["STOPPED"]


async def test_run_now(probe: Any, start: Any) -> None:
    """Of a finished one and of one that waits an hour; of a running one, one more run follows."""
    site = await (await start(probe)).install()
    go = asyncio.Event()

    async def wait(_: TaskContext) -> None:
        await go.wait()

    probe.acts["running"] = wait
    await site.schedule(act("done"))
    await site.schedule(act("later"), Schedule.after(HOUR))
    await site.schedule(act("running"))
    await site.reached(act("done"), "TERMINATED")
    await site.until(lambda: probe.running["running"] == 1)
    for key in ("done", "later", "running", "running"):
        await tell(site, "run", key)
    go.set()
    await site.until(lambda: (probe.runs("done"), probe.runs("later"), probe.runs("running")) == (2, 1, 2))
    for key in ("done", "later", "running"):
        await site.reached(act(key), "TERMINATED")
    await asyncio.sleep(0.3)

    assert [probe.runs(key) for key in ("done", "later", "running")] == [2, 1, 2]
    assert not probe.overlapped


async def test_a_paused_installation_rests_and_goes_on(probe: Any, start: Any) -> None:
    """Runs under way end as STOPPED and run again when it is resumed; others are not held up."""
    probe.max_tasks = 3
    site = await (await start(probe)).install(name="rests")
    other = await (await start(probe)).install(name="works")
    keys = [f"{number}" for number in range(12)]
    probe.acts = dict.fromkeys(keys[:3], stay)
    for key in keys:
        await site.schedule(act(key))
    await site.schedule(act("often"), Schedule.every(PERIOD))
    await site.until(lambda: probe.running.total() == 3)
    await site.service.operating.pause(site.key)
    await site.until(lambda: probe.cancelled.total() == 3, 3)
    await site.until(lambda: probe.running.total() == 0, 3)
    before = sum(len(starts) for starts in probe.starts.values())
    with pytest.raises(TaskFailed, match="paused"):
        await site.schedule(act("sync"), Schedule.now_sync())
    await other.schedule(act("elsewhere"), Schedule.now_sync())
    await asyncio.sleep(0.5)

    assert sum(len(starts) for starts in probe.starts.values()) == before + 1
    probe.acts.clear()
    await site.service.operating.resume(site.key)
    for key in [*keys, "sync"]:
        await site.reached(act(key), "TERMINATED")
    await site.until(lambda: probe.runs("often") >= 2)
    assert await site.outcomes(act("0")) == ["STOPPED", "SUCCEEDED"]


async def test_dead_credentials_ask_for_a_login_and_everything_waits(probe: Any, start: Any) -> None:
    """The error is kept and shown; the others are told to stop; with another login all goes on by itself."""
    site = await (await start(probe)).install()
    await start(probe)

    async def ask(_: TaskContext) -> None:
        raise AskForLogin("The key was revoked.")

    probe.acts = {"asks": ask, "stays": stay}
    await site.schedule(act("stays"))
    await site.until(lambda: probe.runs("stays") == 1)
    await site.schedule(act("asks"))
    row = await site.reached(act("asks"), "FAILED")
    await site.reached(act("stays"), "PENDING", within=4)
    await site.schedule(act("more"))
    await asyncio.sleep(0.5)
    health = await site.service.checkup.of(site.key)

    assert row["error"] == "The key was revoked."
    assert (health.status, health.error, health.next_run_at) == ("needs_login", "The key was revoked.", None)
    assert [one.error for one in health.failing] == ["The key was revoked."]
    assert (probe.runs("asks"), probe.runs("more"), probe.cancelled["stays"]) == (1, 0, 1)
    assert await site.outcomes(act("asks")) == ["FAILED"]
    probe.acts.clear()
    async with site.database.transaction() as db:
        await site.engine.enqueue(db, await operators.clear_login(db, site.key))
    for key in ("asks", "stays", "more"):
        row = await site.reached(act(key), "TERMINATED")
        assert (row["error"], row["attempts"]) == (None, 0)
    assert (await site.service.checkup.of(site.key)).status == "ok"


async def test_a_login_that_is_tried_in_vain_is_asked_for_again(probe: Any, start: Any) -> None:
    """Resuming tries once, and does not go round in circles."""
    site = await (await start(probe)).install()

    async def ask(_: TaskContext) -> None:
        raise AskForLogin

    probe.acts["a"] = ask
    await site.schedule(act("a"), Schedule.every(PERIOD))
    await site.reached(act("a"), "FAILED")
    for number in (2, 3):
        await site.service.operating.resume(site.key)
        await site.until(lambda number=number: probe.runs("a") == number)
    await site.reached(act("a"), "FAILED")
    await asyncio.sleep(2 * PERIOD.total_seconds())

    assert probe.runs("a") == 3
    assert (await site.service.checkup.of(site.key)).status == "needs_login"


@pytest.mark.parametrize("error", [Refused("No such account."), BadConfig("This account cannot do that.")])
async def test_a_final_no_is_not_tried_again(error: Exception, probe: Any, start: Any) -> None:
    """A one-time task is FAILED; a periodic one keeps its schedule, and a good run makes all well."""
    site = await (await start(probe)).install()

    async def fail(_: TaskContext) -> None:
        raise error

    probe.acts = {"once": fail, "often": fail}
    await site.schedule(act("once"))
    await site.schedule(act("often"), Schedule.every(PERIOD))
    await site.schedule(act("well"), Schedule.every(HOUR))
    await site.until(lambda: probe.runs("often") >= 3)
    row = await site.reached(act("once"), "FAILED")
    health = await site.service.checkup.of(site.key)
    whole = await site.service.checkup.whole()

    assert (row["next_run_at"], probe.runs("once")) == (None, 1)
    assert health.status == whole.status == whole.installations[0].status == "degraded"
    assert health.error == (str(error) if isinstance(error, BadConfig) else None)
    assert {one.error for one in health.failing} == {str(error)}
    assert {one.name for one in health.failing} == {"act"}
    probe.acts.clear()
    await tell(site, "run", "once")
    await site.reached(act("once"), "TERMINATED")
    await site.reached(act("often"), "ACTIVE")
    health = await site.service.checkup.of(site.key)
    assert (health.status, health.error, health.failing) == ("ok", None, [])
    assert health.last_success_at is not None


async def test_an_installation_is_failing_when_nothing_goes_well(probe: Any, start: Any) -> None:
    """Of what it does again and again; a config that can never work is degraded, for it says what to mend."""
    site = await (await start(probe)).install()

    async def fail(_: TaskContext) -> None:
        raise Refused("no")

    async def misconfigured(_: TaskContext) -> None:
        raise BadConfig("wrong")

    probe.acts["a"] = misconfigured
    await site.schedule(act("a"), Schedule.every(PERIOD))
    await site.reached(act("a"), "FAILED")
    assert (await site.service.checkup.of(site.key)).status == "degraded"
    probe.acts["a"] = fail
    await site.until(lambda: probe.runs("a") >= 3)
    await site.reached(act("a"), "FAILED")

    assert (await site.service.checkup.of(site.key)).status == "failing"
    assert (await site.service.checkup.whole()).status == "failing"


async def test_an_installation_without_its_connector_waits(probe: Any, start: Any) -> None:
    """Its tasks, one-time ones too, run when the connector is back; it holds nobody else up."""

    class Gone(Connector[ConnectorConfig]):
        name = "gone"

        async def install(self, ctx: Any) -> None:
            await ctx.schedule("once", Schedule.now(), Restart.ALWAYS)

        def resolve(self, descriptor: Any) -> Any:
            async def once(ctx: TaskContext) -> None:
                ctx.log.info(str(descriptor))

            return once

    gone = await (await start(Gone, worker=False)).install("gone")
    site = await (await start(probe)).install()
    row = await gone.reached("once", "FAILED")
    await site.schedule(act("a"), Schedule.now_sync())
    health = await site.service.checkup.of(gone.key)
    whole = await site.service.checkup.whole()
    await site.service.worker.stop(timedelta(0))
    await start(Gone)
    await gone.reached("once", "TERMINATED")

    assert "There is no connector 'GONE'" in row["error"]
    assert row["next_run_at"] is not None
    assert health.status == "missing"
    assert "GONE" in (health.error or "")
    assert [one.status for one in whole.installations] == ["missing", "ok"]
    assert whole.status == "missing"


async def test_old_runs_are_pruned_and_the_engine_keeps_no_log(probe: Any, start: Any) -> None:
    """Runs of two months are gone, those of today stay; the queue is empty, and so is its log."""
    site = await (await start(probe)).install()
    for number in range(20):
        await site.schedule(act(f"{number}"))
    for number in range(20):
        await site.reached(act(f"{number}"), "TERMINATED")
    await site.database.execute(
        "UPDATE run SET ended_at = ended_at - interval '60 days' WHERE id IN (SELECT min(id) FROM run)"
    )
    await site.database.execute(
        "INSERT INTO run SELECT -n, (SELECT id FROM task LIMIT 1), $1, now(), now() - interval '31 days',"
        " 'SUCCEEDED', NULL, 0, 0, 0, 0, 0 FROM generate_series(1, 2500) n",
        site.key,
    )

    async def delivered() -> bool:
        return bool(await site.database.fetchval("SELECT count(*) FROM engine_job") == 0)

    assert await site.service.worker.prune() == 2501
    assert await site.service.worker.prune() == 0
    assert await site.database.fetchval("SELECT count(*) FROM run") == 19
    assert await site.database.fetchval("SELECT count(*) FROM task") == 20
    await site.until(delivered)
    assert await site.database.fetchval("SELECT count(*) FROM engine_log") == 0


async def test_pausing_and_resuming_under_load_loses_nothing(probe: Any, start: Any) -> None:
    """Two workers, pages and ends without pause, while a person cannot decide: each task is done, once."""
    probe.max_tasks = 8
    site = await (await start(probe)).install()
    await start(probe)
    keys = [f"{number}" for number in range(150)]

    async def work(ctx: TaskContext) -> None:
        for number in range(ctx.state(Count).n, 5):
            await ctx.ingest(state=Count(number + 1))
            await asyncio.sleep(0.01)

    async def feed(ctx: TaskContext) -> None:
        for key in keys:
            await ctx.schedule(act(key))

    async def done() -> bool:
        count = await site.database.fetchval("SELECT count(*) FROM task WHERE status = 'TERMINATED'")
        return bool(count == len(keys) + 1)

    probe.acts = dict.fromkeys(keys, work) | {"feed": feed}
    await site.schedule(act("feed"), Schedule.now_sync())
    operating = site.service.operating
    for key in keys[:8]:
        await operating.pause(site.key)
        await asyncio.sleep(0.05)
        await operating.resume(site.key)
        for verb in ("pause", "resume"):
            with contextlib.suppress(NotNow):  # it may be done
                await tell(site, verb, key)
        await asyncio.sleep(0.2)
    await site.until(done, 40)

    rows = await site.database.fetch(
        "SELECT state, paused, cancelled, place, waiting FROM task WHERE state > ''"
    )
    assert len(rows) == len(keys)
    assert {tuple(row) for row in rows} == {('{"n":5}', False, False, False, None)}
    assert not probe.overlapped
    for key in keys:
        assert (await site.outcomes(act(key)))[-1] == "SUCCEEDED"
        assert (await site.outcomes(act(key))).count("SUCCEEDED") == 1
