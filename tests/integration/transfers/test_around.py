"""What happens to an installation, and what that does to its orders."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.services.conftest import until
from tests.integration.transfers.conftest import HastyPay, Site, Start

from paymux.sandbox.menu import Misbehaviour
from paymux.sdk import ConnectorContext, NotThere, Order, Reversal
from paymux.services.tending import OrdersOpen
from paymux.services.transferring import NotPossible, WrongOrder
from paymux.storage.database import Row


class LatePay(HastyPay):
    """A provider that needs an hour until it can say that it does not know an order."""

    name = "dummypay"
    look_up_lag = timedelta(hours=1)


class ForgetfulPay(HastyPay):
    """A provider that knows no order any more."""

    name = "dummypay"

    async def look_up(self, ctx: ConnectorContext, order: Order | Reversal) -> NotThere:
        del ctx, order
        return NotThere()


async def lost(site: Site, reference: str, wrong: Misbehaviour = Misbehaviour.DROP_BEFORE) -> Row:
    """An order whose answer is lost, and which the provider cannot be asked about."""
    site.sandbox.misbehave(probability={Misbehaviour.FAIL_BEFORE: 1.0}, on="GET")
    site.sandbox.misbehave(wrong, on="POST")
    await site.create(reference)
    return await site.reached(reference, "UNKNOWN")


async def test_an_installation_stays_while_the_provider_may_have_an_order(start: Start) -> None:
    """Named in the refusal; when a person has said what became of it, everything goes."""
    site = await (await start(LatePay)).install()
    await lost(site, "a")
    with pytest.raises(OrdersOpen, match="'a'"):
        await site.service.installing.uninstall("dummypay", site.connector)
    await site.service.transferring.settle(site.id("a"), paid=False, note="asked them", payment=None)
    await site.create("waits", validated=False)
    await site.create("later", scheduled_at=datetime.now(UTC) + timedelta(days=9))
    await site.service.installing.uninstall("dummypay", site.connector)

    async def gone() -> bool:
        left = "SELECT (SELECT count(*) FROM installation) + (SELECT count(*) FROM transfer)"
        return not await site.database.fetchval(left)

    await until(gone)
    assert site.paid("later") == 0


async def test_a_reset_keeps_orders_and_pays_none_again(start: Start) -> None:
    """What was paid cannot be read anew; the same order again is still the first one."""
    site = await (await start()).install()
    await site.create("a")
    await site.reached("a", "PROCESSED")
    await site.service.installing.reset("dummypay", site.connector)
    with pytest.raises(NotPossible):
        await site.create("b")

    async def open_again() -> bool:
        row = await site.database.fetchrow("SELECT status FROM installation")
        return row is not None and row["status"] == "INSTALLED"

    await until(open_again)
    site = await site.install(site.connector)
    row = await site.create("a")
    assert row["status"] == "PROCESSED"
    assert site.paid("a") == 1
    await site.create("b")
    await site.reached("b", "PROCESSED")


async def test_not_there_is_no_reason_to_pay_again_before_the_providers_lag(start: Start) -> None:
    """However often it is looked up; and when that has run out it goes out with the key it had."""
    site = await (await start(LatePay)).install()
    site.sandbox.misbehave("drop-before", on="POST")
    await site.create("a")
    await site.reached("a", "UNKNOWN")
    await asyncio.sleep(1.5)
    row = await site.reached("a", "UNKNOWN")
    assert site.paid("a") == 0
    await site.database.execute(
        "UPDATE transfer_attempt SET unknown_at = unknown_at - interval '1 hour' WHERE transfer = $1",
        row["key"],
    )
    await site.reached("a", "PROCESSED")
    (attempt,) = await site.database.fetch("SELECT sends, number FROM transfer_attempt")

    assert (attempt["sends"], attempt["number"]) == (2, 1)
    assert site.paid("a") == 1


async def test_what_a_provider_accepted_and_forgot_is_for_a_person(start: Start) -> None:
    """It is never sent again by itself."""
    site = await (await start(ForgetfulPay)).install()
    site.sandbox.misbehave("pending", on="POST")
    await site.create("a")
    await site.reached("a", "UNKNOWN")
    await asyncio.sleep(1)
    (attempt,) = await site.database.fetch("SELECT stuck, sends, accepted FROM transfer_attempt")

    health = await site.service.checkup.whole()

    assert (attempt["stuck"], attempt["sends"], attempt["accepted"]) == (True, 1, True)
    assert site.paid("a") == 1
    assert (health.status, health.transfers.unknown, health.transfers.needs_person) == ("degraded", 1, 1)


async def test_what_is_long_past_is_now_and_what_is_far_away_is_a_mistake(start: Start) -> None:
    """The end of time, for one, is no time that a database knows."""
    site = await (await start()).install()
    for far in (datetime.max.replace(tzinfo=UTC), datetime.now(UTC) + timedelta(days=4000)):
        with pytest.raises(WrongOrder, match="scheduledAt"):
            await site.create("late", scheduled_at=far)
    await site.create("early", scheduled_at=datetime(2, 1, 1, tzinfo=UTC))
    await site.reached("early", "PROCESSED")


async def test_an_order_is_not_held_up_by_tasks_that_take_every_place(start: Start) -> None:
    """Money has workers of its own: neither the worker's places nor the installation's are asked for."""
    site = await (await start(run_concurrency=1)).install(pollingPeriod="1s", timeout="20s")
    site.sandbox.misbehave(probability={Misbehaviour.HANG_BEFORE: 1.0}, on="GET")

    async def hangs() -> bool:
        before = await site.database.fetch("SELECT token FROM task WHERE token IS NOT NULL")
        await asyncio.sleep(0.6)
        return bool(before) and before == await site.database.fetch(
            "SELECT token FROM task WHERE token IS NOT NULL"
        )

    await until(hangs)
    await site.create("a")
    await site.reached("a", "PROCESSED", within=5)

    assert site.service.worker.running == 1
    assert site.paid("a") == 1
