"""Orders from the first word to the last, by way of a provider that has books of its own."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.transfers.conftest import Start

from paymux.services.transferring import NotPossible

SAVED = "SAVED_TRANSFER_INITIATION"


async def test_an_approved_order_is_paid_once_and_its_payment_is_ours_to_see(start: Start) -> None:
    """Waiting, approved, on its way, paid: with an event for each, and the provider's payment linked."""
    site = await (await start()).install()
    await site.create("a", validated=False)
    assert site.paid("a") == 0
    await site.service.transferring.decide(site.id("a"), "APPROVE")
    row = await site.reached("a", "PROCESSED")

    assert site.paid("a") == 1
    assert await site.events("a") == [SAVED] * 4
    (payment,) = await site.database.fetch(
        "SELECT p.reference, p.status, l.status AS linked FROM transfer_payment l"
        " JOIN payment p ON p.key = l.payment WHERE l.transfer = $1",
        row["key"],
    )
    assert (payment["status"], payment["linked"]) == ("SUCCEEDED", "PROCESSED")


async def test_a_refused_order_has_failed_and_is_tried_again_under_another_key(
    start: Start,
) -> None:
    """Only a person tries again; the provider sees another order then."""
    site = await (await start()).install()
    await site.create("a", 10**9)
    row = await site.reached("a", "FAILED")
    assert "insufficient_funds" in row["error"]
    await site.service.transferring.retry(site.id("a"))
    with pytest.raises(NotPossible):
        await site.service.transferring.retry(site.id("a"))
    await site.reached("a", "FAILED")
    keys = await site.database.fetch("SELECT key, sends FROM transfer_attempt ORDER BY number")

    assert len({row["key"] for row in keys}) == 2
    assert [row["sends"] for row in keys] == [1, 1]
    assert site.paid("a") == 0


async def test_an_order_is_reversed_in_parts(start: Start) -> None:
    """Each its own payment at the provider; the sum says how the order stands."""
    site = await (await start()).install()
    await site.create("a", 500)
    await site.reached("a", "PROCESSED")
    await site.reverse("a", 200, "r1")
    row = await site.reached("a", "PARTIALLY_REVERSED")
    assert row["reversed"] == 200
    await site.reverse("a", 300, "r2")
    await site.reached("a", "REVERSED")

    assert (site.paid("r1"), site.paid("r2")) == (1, 1)
    with pytest.raises(NotPossible):
        await site.reverse("a", 1, "r3")


async def test_what_is_accepted_as_pending_is_followed_to_its_end(start: Start) -> None:
    """Good or bad; nobody sends it again meanwhile."""
    site = await (await start()).install()
    site.sandbox.misbehave("pending", "fail-later", on="POST")
    await site.create("good")
    await site.reached("good", "PROCESSING")
    await asyncio.sleep(0.5)
    await site.create("bad")
    await asyncio.sleep(0.5)
    site.sandbox.hurry()
    await site.reached("good", "PROCESSED")
    row = await site.reached("bad", "FAILED")

    assert "FAILED" in row["error"]
    assert (site.paid("good"), site.paid("bad")) == (1, 0)


async def test_a_provider_that_asks_to_wait_gets_the_same_key_again(start: Start) -> None:
    """Nothing was taken, so nothing has failed."""
    site = await (await start()).install()
    site.sandbox.misbehave("rate-limit", on="POST")
    await site.create("a")
    await site.reached("a", "PROCESSED")
    (attempt,) = await site.database.fetch("SELECT sends FROM transfer_attempt")

    assert attempt["sends"] == 2
    assert site.paid("a") == 1


async def test_what_is_scheduled_waits_across_a_restart(start: Start) -> None:
    """And goes out at its time, not before."""
    site = await (await start()).install()
    at = datetime.now(UTC) + timedelta(seconds=2)
    await site.create("a", scheduled_at=at)
    await site.service.apart.do(site.service.dispatcher.stop(timedelta(0)))
    await site.service.worker.stop(timedelta(0))
    assert site.paid("a") == 0
    other = await (await start()).install(site.connector)
    await other.reached("a", "PROCESSED")

    (attempt,) = await other.database.fetch("SELECT sent_at FROM transfer_attempt")
    assert at <= attempt["sent_at"] < at + timedelta(seconds=5)
    assert site.paid("a") == 1


async def test_a_paused_installation_pays_when_it_is_resumed(start: Start) -> None:
    """Nothing is sent meanwhile, and nothing is forgotten."""
    site = await (await start()).install()
    await site.service.operating.pause(site.row["id"])
    await site.create("a")
    await asyncio.sleep(1.5)
    assert (await site.get("a"))["status"] == "VALIDATED"
    await site.service.operating.resume(site.row["id"])
    await site.reached("a", "PROCESSED")

    assert site.paid("a") == 1
