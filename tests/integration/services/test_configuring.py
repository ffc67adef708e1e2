"""A new config: all of it or nothing, at once, on every worker."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.integration.services.conftest import KEY, Depot, Replayer, Start, row_of, until

from paymux.domain.task import Restart, Schedule
from paymux.runtime.registry import UnknownConnector
from paymux.runtime.replanning import replanned
from paymux.sdk import AskForLogin, BadConfig, ConnectorContext, TaskFailed
from paymux.services.calling import ConnectorFailed
from paymux.services.configuring import ChangedMeanwhile
from paymux.services.installing import NameTaken
from paymux.storage.database import Database
from paymux.storage.tasks import Plan


async def look(database: Database) -> Any:
    """The periodic task of the only installation."""
    return await database.fetchrow("SELECT * FROM task WHERE descriptor = '\"look\"'")


async def test_a_new_period_takes_effect_at_once_on_every_worker(depot: Any, start: Start) -> None:
    """Its task waited for an hour; now it runs several times a second, with the new config."""
    running = await start(depot)
    others = [await start(depot) for _ in range(2)]
    connector = await running.installing.install("depot", {"every": "1h", "mood": "old"})

    async def looked() -> bool:
        return len(depot.looks) == 1 and (await look(running.database))["token"] is None

    await until(looked)
    changed = asyncio.get_running_loop().time()
    await others[0].configuring.update("depot", connector, {"every": "100ms", "mood": "new"})

    async def new() -> bool:
        return len(depot.looks) >= 10

    await until(new)
    assert asyncio.get_running_loop().time() - changed < 5
    assert [config.mood for config in depot.looks] == ["old"] + ["new"] * (len(depot.looks) - 1)
    assert (await look(running.database))["period"] == timedelta(milliseconds=100)


async def test_what_did_not_change_goes_on_as_it_was(depot: Any, start: Start) -> None:
    """The beat of a task whose period stays, and work that was done once."""
    running = await start(depot)

    async def also_once(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.once())

    depot.installing = also_once
    connector = await running.installing.install("depot", {"every": "1h"})
    runs = "SELECT count(*) FROM run"

    async def both() -> bool:
        return bool(await running.database.fetchval(runs) == 2)

    await until(both)
    before = await look(running.database)
    await running.configuring.update("depot", connector, {"every": "1h", "mood": "new"})
    await asyncio.sleep(0.5)
    after = await look(running.database)

    assert after["next_run_at"] == before["next_run_at"]
    assert await running.database.fetchval(runs) == 2


async def test_a_secret_that_comes_back_masked_stays(depot: Any, start: Start) -> None:
    """What is shown can be sent back, its provider included; a new secret replaces the old one."""
    running = await start(depot, worker=False)
    connector = await running.installing.install("depot", {"name": "north", "key": "sesame-1"})
    shown = running.installing.config_of(await row_of(running, connector))
    assert shown["key"] == "********"
    at_work = running.configuring._at_work

    await running.configuring.update("depot", connector, {**shown, "mood": "new", "provider": "DEPOT"})
    config = at_work.read(await row_of(running, connector)).connector.config
    assert (config.mood, config.key.get_secret_value(), config.name) == ("new", "sesame-1", "north")

    await running.configuring.update("depot", connector, {"key": "sesame-2"})
    config = at_work.read(await row_of(running, connector)).connector.config
    assert (config.mood, config.key.get_secret_value(), config.name) == ("good", "sesame-2", "north")
    with pytest.raises(BadConfig, match="provider"):
        await running.configuring.update("depot", connector, {"provider": "ELSE"})


async def test_the_name_may_change_and_is_unique(depot: Any, start: Start) -> None:
    """One that is taken, in any case, is refused; its own, in another case, is not."""
    running = await start(depot, worker=False)
    connector = await running.installing.install("depot", {"name": "north"})
    await running.installing.install("depot", {"name": "south"})
    with pytest.raises(NameTaken):
        await running.configuring.update("depot", connector, {"name": "South", "mood": "new"})
    assert running.installing.config_of(await row_of(running, connector))["mood"] == "good"

    await running.configuring.update("depot", connector, {"name": " North "})
    row = await row_of(running, connector)
    assert (row["name"], running.installing.config_of(row)["name"]) == ("North", "North")
    await running.configuring.update("depot", connector, {"name": "east"})
    await running.installing.install("depot", {"name": "north"})


@pytest.mark.parametrize("step", ["check", "install", "config"])
async def test_what_fails_changes_nothing(step: str, depot: Any, start: Start) -> None:
    """The check, what the connector makes of the change, or a field: the old config stays, and its tasks."""
    running = await start(depot, worker=False)
    connector = await running.installing.install("depot", {"every": "1h"})
    before, task = await row_of(running, connector), await look(running.database)

    async def refuse(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.once())
        raise PermissionError(13, "Permission denied", f"/{self.config.key.get_secret_value()}")

    depot.checking, depot.installing = (refuse if step == name else None for name in ("check", "install"))
    new = {"every": "1s", "key": "sesame-3"} | ({"moood": "bad"} if step == "config" else {})
    wanted = BadConfig if step == "config" else ConnectorFailed
    with pytest.raises(wanted) as raised:
        await running.configuring.update("depot", connector, new)
    if step == "config":
        assert isinstance(raised.value, BadConfig)
        assert raised.value.fields.keys() == {"moood"}
    else:
        assert str(raised.value).endswith("failed: /********: permission denied")

    assert await row_of(running, connector) == before
    assert await look(running.database) == task
    assert await running.database.fetchval("SELECT count(*) FROM task") == 1


async def test_a_connector_may_say_itself_what_follows(depot: Any, start: Start) -> None:
    """Its ``update_config`` knows the old config and the new one."""
    running = await start(depot)
    seen = []

    async def update_config(self: Depot, ctx: ConnectorContext, config: Any) -> None:
        seen.append((self.config.mood, config.mood, ctx.config.mood))
        await ctx.schedule(self.once(), Schedule.now_sync(), Restart.ALWAYS)

    depot.update_config = update_config
    connector = await running.installing.install("depot", {"mood": "old"})
    await running.configuring.update("depot", connector, {"mood": "new"})

    assert seen == [("old", "new", "new")]

    async def once() -> bool:
        row = await running.database.fetchrow("SELECT * FROM task WHERE descriptor = '\"once\"'")
        return row is not None and row["status"] == "TERMINATED"

    await until(once)


async def test_of_two_changes_at_once_the_second_is_told(depot: Any, start: Start) -> None:
    """Nobody's change is lost without a word."""
    running = await start(depot, worker=False)
    connector = await running.installing.install("depot", {})
    entered = asyncio.Event()
    go = asyncio.Event()

    async def wait(self: Depot, _: ConnectorContext) -> None:
        if self.config.mood == "slow":
            entered.set()
            await go.wait()

    depot.checking = wait
    slow = asyncio.create_task(running.configuring.update("depot", connector, {"mood": "slow"}))
    await entered.wait()
    await running.configuring.update("depot", connector, {"mood": "quick"})
    go.set()
    with pytest.raises(ChangedMeanwhile):
        await slow
    assert running.installing.config_of(await row_of(running, connector))["mood"] == "quick"


async def test_a_config_that_cannot_be_read_can_be_replaced(depot: Any, start: Start) -> None:
    """A key that is lost, or a connector that wants other fields now: a whole new config mends it."""
    connector = await (await start(depot, worker=False)).installing.install("depot", {"key": "sesame-1"})
    running = await start(depot, worker=False, keys=[bytes(32)])
    with pytest.raises(BadConfig, match="key"):
        await running.configuring.update("depot", connector, {"key": "********"})
    await running.configuring.update("depot", connector, {"key": "sesame-2"})
    config = running.configuring._at_work.read(await row_of(running, connector)).connector.config
    assert config.key.get_secret_value() == "sesame-2"
    assert bytes(32) != KEY


async def test_an_installation_without_its_connector(depot: Any, start: Start) -> None:
    """Listed, its config all masked; its tasks wait with a sentence and go on when the connector is back."""
    present: Any = type("Replayer", (Replayer,), {"name": "replayer", "looks": [], "seen": []})
    installer = await start(depot, present, worker=False)
    connector = await installer.installing.install("depot", {"mood": "sesame-mood"})
    running = await start(present)
    await running.installing.install("replayer", {})

    async def failed() -> Any:
        row = await running.database.fetchrow(
            "SELECT t.* FROM task t JOIN installation i ON i.id = t.installation WHERE i.provider = 'DEPOT'"
        )
        return row if row is not None and row["attempts"] >= 1 and row["token"] is None else None

    row = await until(failed)
    assert row["error"] == "There is no connector 'DEPOT'. GET /connectors/configs lists those there are."
    assert row["next_run_at"] is not None

    async def others() -> bool:
        return bool(present.looks)

    await until(others)
    assert len(await running.installing.listed()) == 2
    shown = running.installing.config_of(await row_of(running, connector))
    assert shown == {"name": "depot", "every": "********", "mood": "********", "key": "********"}
    with pytest.raises(UnknownConnector):
        await running.configuring.update("depot", connector, {})

    await running.worker.stop(timedelta(0))
    await start(depot, present)

    async def well() -> bool:
        return bool(depot.looks)

    await until(well)


@pytest.mark.parametrize("raised", [
    OSError(13, "Permission denied", "/sesame-9"), ConnectionRefusedError("no"),
    AskForLogin("sesame-9 is dead"),
    BadConfig(fields={"key": "sesame-9 is too short"}), RuntimeError("sesame-9"),
], ids=lambda raised: type(raised).__name__)  # fmt: skip
async def test_what_install_raises_is_the_connectors_and_holds_no_secret(
    raised: Exception, depot: Any, start: Start
) -> None:
    """Never taken for the database being away, nor for a defect of ours."""
    running = await start(depot, worker=False)

    async def refuse(_: Depot, __: ConnectorContext) -> None:
        raise raised

    depot.installing = refuse
    with pytest.raises(BadConfig if isinstance(raised, BadConfig) else ConnectorFailed) as caught:
        await running.installing.install("depot", {"key": "sesame-9"})
    assert "sesame-9" not in str(caught.value)
    assert await running.installing.listed() == []


async def test_install_may_wait_and_reports_the_tasks_failure(depot: Any, start: Start) -> None:
    """As before: NOW_SYNC within install is the install's."""
    running = await start(depot)

    async def check(_: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule("nonsense", Schedule.now_sync())

    depot.installing = check
    with pytest.raises(TaskFailed, match="no task 'nonsense'"):
        await running.installing.install("depot", {})


@pytest.mark.parametrize(
    ("schedule", "restart", "known", "wanted"),
    [
        (Schedule.every(timedelta(1)), Restart.NEVER, None, Restart.NEVER),
        (Schedule.every(timedelta(1)), Restart.NEVER, ("EVERY", 2, "ACTIVE"), Restart.ALWAYS),
        (Schedule.every(timedelta(1)), Restart.IF_NOT_ACTIVE, ("EVERY", 1, "ACTIVE"), Restart.IF_NOT_ACTIVE),
        (Schedule.every(timedelta(1)), Restart.IF_NOT_ACTIVE, ("NOW", None, "TERMINATED"), Restart.ALWAYS),
        (Schedule.now(), Restart.STOP_AND_RESTART, ("EVERY", 2, "ACTIVE"), Restart.STOP_AND_RESTART),
        (Schedule.now(), Restart.IF_NOT_ACTIVE, ("NOW", None, "TERMINATED"), Restart.NEVER),
        (Schedule.now(), Restart.ALWAYS, ("NOW", None, "TERMINATED"), Restart.ALWAYS),
        (Schedule.now(), Restart.IF_NOT_ACTIVE, ("NOW", None, "FAILED"), Restart.IF_NOT_ACTIVE),
        (Schedule.now(), Restart.IF_NOT_ACTIVE, ("EVERY", 1, "ACTIVE"), Restart.ALWAYS),
    ],
)  # fmt: skip
def test_what_a_change_replans(schedule: Schedule, restart: Restart, known: Any, wanted: Restart) -> None:
    """A new period always; what was done once only when asked."""
    task = UUID(int=1)
    rows: dict[UUID, Any] = {}
    if known is not None:
        period = timedelta(known[1]) if known[1] else None
        rows[task] = {"schedule": known[0], "period": period, "status": known[2]}

    assert replanned(Plan(task, '"x"', schedule, restart), rows).restart is wanted


async def test_a_new_config_lets_in_who_waited_for_a_login(depot: Any, start: Start) -> None:
    """Every task of the installation, at once."""
    running = await start(depot)
    connector = await running.installing.install("depot", {})
    await until(lambda: _looked(depot))
    async with running.database.transaction() as db:
        await db.execute("UPDATE installation SET login_error = 'who are you'")
    await running.configuring.update("depot", connector, {"every": "100ms"})

    assert (await row_of(running, connector))["login_error"] is None

    async def again() -> bool:
        return len(depot.looks) > 3

    await until(again)


async def _looked(depot: Any) -> bool:
    return bool(depot.looks)
