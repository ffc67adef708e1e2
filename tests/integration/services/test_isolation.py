"""A task has its own installation and nothing of another's, whatever it tries through its context."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

import msgspec
import pytest
from tests.integration.services.conftest import DepotConfig, Start, payment, payments_of, row_of, until

from paymux.domain.ids import account_id, payment_id
from paymux.domain.task import Descriptor
from paymux.sdk import (
    Account,
    AccountType,
    Amount,
    Asset,
    Balance,
    Connector,
    ConnectorContext,
    Restart,
    Schedule,
    TaskContext,
    task,
)

SECRET = "sesame-of-the-other"


class Spy(Connector[DepotConfig]):
    """Does what a test says, in installations that have ``spy`` as their mood."""

    name = "spy"
    act: ClassVar[Callable[..., Awaitable[None]]]
    ended: ClassVar[asyncio.Event]

    async def install(self, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.work())
        await ctx.schedule(self.later(), Schedule.after(timedelta(hours=1)))

    @task
    async def work(self, ctx: TaskContext) -> None:
        """Leave a state, or spy."""
        if self.config.mood == "spy":
            try:
                await type(self).act(ctx)
            finally:
                type(self).ended.set()
        else:
            await ctx.ingest(
                payments=[payment("theirs")],
                accounts=[Account(reference="vault", type=AccountType.INTERNAL, name="theirs")],
                state=[SECRET],
            )

    @task
    async def later(self, ctx: TaskContext) -> None:
        """Never, in these tests."""
        await ctx.ingest(payments=[payment("later")])


@pytest.fixture
def spy() -> Any:
    """A class of the test's own."""
    return type("Spy", (Spy,), {"name": "spy", "ended": asyncio.Event()})


async def both(spy: Any, start: Start, act: Callable[[TaskContext], Awaitable[None]]) -> tuple[Any, Any, Any]:
    """The other's installation, at rest, and then the spy's, which has acted."""
    running = await start(spy)
    spy.act = staticmethod(act)
    other = await running.installing.install("spy", {"mood": "calm", "key": SECRET})
    await until(lambda: payments_of(running.database, 1))
    mine = await running.installing.install("spy", {"mood": "spy", "key": "own-secret"})
    await asyncio.wait_for(spy.ended.wait(), 20)

    async def at_rest() -> bool:
        return not await running.database.fetchval("SELECT count(*) FROM task WHERE token IS NOT NULL")

    await until(at_rest)
    return running, await row_of(running, other), await row_of(running, mine)


async def snapshot(running: Any, key: int) -> list[Any]:
    """All that an installation has."""
    kinds = ("task", "payment", "account", "set_aside")
    return [
        await running.database.fetch(f"SELECT * FROM {kind} WHERE installation = $1 ORDER BY 1", key)  # noqa: S608
        for kind in kinds
    ]


async def test_nothing_in_the_context_shows_another_installation(spy: Any, start: Start) -> None:
    """Not its config, not its secrets, not its id or state: by any public attribute."""
    seen: list[str] = []

    async def look(ctx: TaskContext) -> None:
        public = [name for name in dir(ctx) if not name.startswith("_")]
        seen.extend(f"{name}={getattr(ctx, name)!r}" for name in public)
        seen.append(repr(ctx.config.key.get_secret_value()))
        seen.append(repr(ctx.state(list)))

    _, other, mine = await both(spy, start, look)
    text = "\n".join(seen)
    assert "own-secret" in text
    assert str(mine["uuid"]) in text
    assert SECRET not in text
    assert str(other["uuid"]) not in text
    assert repr([]) in seen


async def test_a_config_cannot_be_changed_from_within(spy: Any, start: Start) -> None:
    """It is frozen: what one run did to it would otherwise be the next one's."""
    raised: list[str] = []

    async def change(ctx: TaskContext) -> None:
        try:
            ctx.config.mood = "other"
        except Exception as error:  # noqa: BLE001 - whichever it is
            raised.append(type(error).__name__)

    await both(spy, start, change)
    assert raised == ["ValidationError"]


async def test_records_land_in_ones_own_installation(spy: Any, start: Start) -> None:
    """References and identifiers of the other's payments and accounts name things of one's own."""
    known: dict[str, str] = {}

    async def forge(ctx: TaskContext) -> None:
        names = ["theirs", known.get("payment", "x"), known.get("account", "y")]
        await ctx.ingest(
            payments=[payment(name, source="vault", destination=name) for name in names],
            accounts=[Account(reference="vault", type=AccountType.INTERNAL, name="forged")],
            balances=[Balance(account="vault", amount=Amount.from_minor(1, Asset.parse("EUR/2")))],
        )

    running, other, mine = await both(spy, start, forge)
    before = await snapshot(running, other["id"])
    connector = (await running.installing.listed())[0]
    assert connector["id"] == other["id"]
    shown = running.configuring._at_work.read(connector).id
    known |= {"payment": payment_id(shown, "theirs", "TRANSFER"), "account": account_id(shown, "vault")}
    spy.ended.clear()
    await running.configuring.update("spy", running.configuring._at_work.read(mine).id, {"mood": "spy"})
    await running.installing.reset("spy", running.configuring._at_work.read(mine).id)
    await asyncio.wait_for(spy.ended.wait(), 20)
    await until(lambda: payments_of(running.database, mine["id"]))

    assert await snapshot(running, other["id"]) == before
    assert known["payment"] in await payments_of(running.database, mine["id"])
    names = "SELECT name FROM account WHERE installation = $1 AND reference = 'vault'"
    assert await running.database.fetchval(names, other["id"]) == "theirs"
    assert await running.database.fetchval(names, mine["id"]) == "forged"


async def test_what_is_scheduled_is_ones_own(spy: Any, start: Start) -> None:
    """The other's descriptors, as values or by its task's id, make tasks of one's own."""

    async def schedule(ctx: TaskContext) -> None:
        descriptors: list[Any] = ["later", {"later": {}}]
        for descriptor in descriptors:
            await ctx.schedule(descriptor, Schedule.after(timedelta(hours=2)), Restart.STOP_AND_RESTART)
        await ctx.ingest()

    running, other, mine = await both(spy, start, schedule)
    theirs = {row["descriptor"]: row for row in (await snapshot(running, other["id"]))[0]}
    ours = {row["descriptor"]: row for row in (await snapshot(running, mine["id"]))[0]}
    assert theirs.keys() == {'"later"', '"work"'}
    assert all(row["restart"] == "IF_NOT_ACTIVE" for row in theirs.values())
    assert ours.keys() >= {'"later"', '"work"', Descriptor.of({"later": {}}).text}
    assert not {row["id"] for row in theirs.values()} & {row["id"] for row in ours.values()}
    state = next(row["state"] for row in theirs.values() if row["descriptor"] == '"work"')
    assert msgspec.json.decode(state) == [SECRET]
