"""Providers and people that would make an order be paid twice, each for a reason of its own."""

import asyncio
from datetime import timedelta
from typing import ClassVar

import pytest
from tests.integration.services.conftest import until
from tests.integration.transfers.conftest import HastyPay, Site, Start

from paymux.sandbox.menu import Misbehaviour
from paymux.sandbox.server import Sandbox
from paymux.sdk import Accepted, ConnectorContext, NotThere, Order, Payment, Refused, Reversal
from paymux.services.transferring import NotPossible, WrongOrder


class Forgetful(HastyPay):
    """A provider that is late with what it knows, and judges an order anew when it comes again."""

    name = "dummypay"
    look_up_lag = timedelta(milliseconds=300)
    late = True

    async def initiate_payment(self, ctx: ConnectorContext, order: Order) -> Payment | Accepted:
        if await super().look_up(ctx, order) != NotThere():
            raise Refused("insufficient_funds")
        return await super().initiate_payment(ctx, order)

    async def look_up(self, ctx: ConnectorContext, order: Order | Reversal) -> Payment | Accepted | NotThere:
        return NotThere() if Forgetful.late else await super().look_up(ctx, order)


async def sends(site: Site) -> int:
    return int(await site.database.fetchval("SELECT coalesce(max(sends), 0) FROM transfer_attempt"))


async def test_a_refusal_of_what_may_have_arrived_before_is_not_taken_for_a_failure(start: Start) -> None:
    """The money of the first call is gone, which is why the second is refused: FAILED would be paid again."""
    Forgetful.late = True
    site = await (await start(Forgetful)).install()
    site.sandbox.misbehave("drop-after", on="POST")
    await site.create("a")

    async def sent_again() -> bool:
        return await sends(site) == 2

    await until(sent_again)
    row = await site.reached("a", "UNKNOWN", "FAILED")
    assert row["status"] == "UNKNOWN"
    Forgetful.late = False
    await site.reached("a", "PROCESSED")
    assert site.paid("a") == 1


async def test_a_refusal_holds_when_nothing_is_found_after_it(start: Start) -> None:
    """Looked up once more, and then it has surely failed."""
    site = await (await start()).install()
    site.sandbox.misbehave("drop-before", on="POST")
    await site.create("a", 10**9)
    row = await site.reached("a", "FAILED")

    assert "insufficient_funds" in row["error"]
    assert await sends(site) == 2
    assert site.paid("a") == 0


async def test_another_account_does_not_say_that_an_order_is_not_there(start: Start) -> None:
    """The config is changed to another account meanwhile, which knows nothing of what was paid."""
    site = await (await start()).install()
    with Sandbox(seed=7, payments=10, lateness=3600) as other:
        site.sandbox.misbehave(probability={Misbehaviour.DROP_AFTER: 1.0})
        await site.create("a")
        await site.reached("a", "UNKNOWN")
        config = {"name": site.row["name"], "url": other.url, "apiKey": "sandbox"}
        await site.service.configuring.update("dummypay", site.connector, config)

        async def looked_up() -> bool:
            return bool(await site.database.fetchval("SELECT stuck FROM transfer_attempt"))

        await until(looked_up)
        await asyncio.sleep(0.5)
        assert (await site.get("a"))["status"] == "UNKNOWN"
        assert other.books()["orders"] == {}
    site.sandbox.misbehave()
    assert site.paid("a") == 1


async def test_what_was_paid_after_all_is_not_tried_again(start: Start) -> None:
    """The provider said that it had failed, and later that it had not: the record knows."""
    site = await (await start()).install()
    site.sandbox.misbehave("fail-later", on="POST")
    await site.create("a")
    await site.reached("a", "PROCESSING")
    site.sandbox.hurry()
    row = await site.reached("a", "FAILED")
    await site.database.execute(
        "UPDATE payment SET status = 'SUCCEEDED' WHERE key = (SELECT payment FROM transfer_payment)"
    )
    with pytest.raises(NotPossible, match="SUCCEEDED"):
        await site.service.transferring.retry(site.id("a"))

    assert (await site.get("a"))["status"] == "FAILED"
    assert (await site.get("a"))["attempts"] == row["attempts"] == 1


class Misled(HastyPay):
    """Takes the first payment that it has made for that of every order."""

    name = "dummypay"
    made: ClassVar[list[Payment | Accepted]] = []

    async def initiate_payment(self, ctx: ConnectorContext, order: Order) -> Payment | Accepted:
        answer = await super().initiate_payment(ctx, order)
        self.made.append(answer)
        return answer

    async def look_up(self, ctx: ConnectorContext, order: Order | Reversal) -> Payment | Accepted:
        del ctx, order
        return self.made[0]


async def test_a_payment_of_another_order_settles_nothing(start: Start) -> None:
    """Neither when a connector answers with it nor when a person does: one of the two was not paid."""
    site = await (await start(Misled)).install()
    await site.create("paid")
    await site.reached("paid", "PROCESSED")
    site.sandbox.misbehave("drop-before", on="POST")
    await site.create("other")

    async def for_a_person() -> bool:
        return bool(await site.database.fetchval("SELECT bool_or(stuck) FROM transfer_attempt"))

    await until(for_a_person)
    assert (await site.get("other"))["status"] == "UNKNOWN"
    (why,) = await site.database.fetch("SELECT error FROM transfer_attempt WHERE stuck")
    assert "another order" in why["error"]
    reference = await site.database.fetchval("SELECT reference FROM transfer_payment")
    with pytest.raises(WrongOrder, match="another"):
        await site.service.transferring.settle(site.id("other"), paid=True, note="seen", payment=reference)
    assert site.paid("other") == 0
