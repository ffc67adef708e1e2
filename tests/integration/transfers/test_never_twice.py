"""Whatever the provider does, and wherever a worker dies or freezes: paid once, or surely not at all.

The provider's own books are asked how often it has paid.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.integration.transfers.mortals import Ward, gated

from paymux.sandbox.menu import Misbehaviour
from paymux.sandbox.server import Sandbox
from paymux.services.transferring import NotPossible
from paymux.storage.database import Database

# Before the call, with its answer, within the transaction that writes it down, after that; or not at all.
STEPS = ("calling", "called", "recording", "recorded", "never")
# One that freezes within a transaction is cut off by the database after a minute: it has died there.
ENDS = {"recording": ("dies",)}
UNCLEAR = (
    None, Misbehaviour.DROP_AFTER, Misbehaviour.HANG_AFTER, Misbehaviour.LATE, Misbehaviour.FAIL_BEFORE,
    Misbehaviour.RATE_LIMIT, Misbehaviour.PENDING,
)  # fmt: skip
EACH = pytest.mark.parametrize("wrong", [None, *Misbehaviour], ids=str)


@pytest.fixture
async def ward(database: Database, sandbox: Sandbox) -> AsyncIterator[Ward]:
    made = Ward(database, sandbox)
    await made.open()
    yield made
    await made.close()


def ends(step: str) -> tuple[str, ...]:
    return ENDS.get(step, ("dies", "freezes"))


async def stopped(ward: Ward, order: str, named: str, step: str, end: str) -> Callable[[], Awaitable[None]]:
    """Let the first worker begin an order and stop at a step; returns what wakes one that is frozen."""
    with gated(ward.posts[0], ward, step, order, named) as gate:
        working = await ward.deliver(order, 0)
        reached = asyncio.create_task(gate.reached.wait())
        await asyncio.wait({working, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()

    async def wake() -> None:
        gate.open.set()
        await asyncio.wait({working})

    if end == "dies":
        working.cancel()
        await asyncio.wait({working})
        # Connections of a process that has died are closed, and its transactions undone.
        gate.open.set()
    return wake


async def holds(ward: Ward, reference: str, named: str) -> None:
    """The provider has paid it once, or it has surely failed; under one key."""
    books = ward.sandbox.books()["orders"].get(named, {"paid": 0, "keys": []})
    row = await ward.transferring.get(ward.id(reference))
    good, bad = ("PROCESSED", "FAILED") if named == reference else ("PARTIALLY_REVERSED", "REVERSE_FAILED")

    assert row["status"] in (good, bad), row["error"]
    assert books["paid"] == (1 if row["status"] == good else 0), (reference, row["status"], books)
    assert len(set(books["keys"])) <= 1


@EACH
async def test_an_order_is_paid_once_wherever_its_worker_stops(
    ward: Ward, sandbox: Sandbox, wrong: Misbehaviour | None
) -> None:
    """Each step, a worker that dies there and one that wakes up after another has taken over."""
    orders = [(f"{step} {end}", step, end) for step in STEPS for end in ends(step)]
    for reference, _, _ in orders:
        await ward.create(reference)
    sandbox.misbehave(on="POST", probability={wrong: 1.0} if wrong else {})
    begun = [stopped(ward, name, name, step, end) for name, step, end in orders]
    wakes = await asyncio.gather(*begun)
    # Some trouble for those who look it up, too.
    sandbox.misbehave("fail-before", "drop-before", "rate-limit", on="GET")
    await ward.finish(1)
    await asyncio.gather(*(wake() for wake in wakes))
    await ward.finish(1)
    sandbox.hurry()

    for reference, _, _ in orders:
        await holds(ward, reference, reference)


@pytest.mark.parametrize("wrong", UNCLEAR, ids=str)
async def test_a_reversal_is_made_once_wherever_its_worker_stops(
    ward: Ward, sandbox: Sandbox, wrong: Misbehaviour | None
) -> None:
    """As an order."""
    orders = [(f"{step} {end}", step, end) for step in STEPS[:3] for end in ends(step)]
    for reference, _, _ in orders:
        await ward.create(reference)
    await ward.finish(0)
    for reference, _, _ in orders:
        await ward.reverse(reference, f"{reference} back")
    sandbox.misbehave(on="POST", probability={wrong: 1.0} if wrong else {})
    begun = [stopped(ward, name, f"{name} back", step, end) for name, step, end in orders]
    wakes = await asyncio.gather(*begun)
    sandbox.misbehave()
    await ward.finish(1)
    await asyncio.gather(*(wake() for wake in wakes))
    sandbox.hurry()

    for reference, _, _ in orders:
        await holds(ward, reference, f"{reference} back")


async def test_an_order_that_dies_with_its_maker_was_never_made(ward: Ward) -> None:
    """Before the key is stored nothing is; whoever asked asks again, and it is paid once."""
    with gated(ward.posts[0], ward, "recording", "a", "a") as gate:
        making: asyncio.Task[Any] = asyncio.create_task(ward.create("a"))
        ward.posts[0].at[making] = ward.key("a")
        await gate.reached.wait()
        making.cancel()
        await asyncio.wait({making})
    assert await ward.database.fetchval("SELECT count(*) FROM transfer") == 0
    await asyncio.gather(*(ward.create("a") for _ in range(3)))
    await ward.finish(0)

    await holds(ward, "a", "a")


async def test_an_answer_that_comes_late_keeps_people_from_paying_again(ward: Ward, sandbox: Sandbox) -> None:
    """Somebody has said meanwhile that it was not sent; whoever would try it again is told of its payment."""
    await ward.create("a")
    wake = await stopped(ward, "a", "a", "called", "freezes")
    sandbox.misbehave(probability={Misbehaviour.FAIL_BEFORE: 1.0}, on="GET")
    await (await ward.deliver("a", 1))
    await ward.transferring.settle(ward.id("a"), paid=False, note="they said so", payment=None)
    await wake()
    row = await ward.transferring.get(ward.id("a"))
    assert (row["status"], row["attempts"]) == ("FAILED", 1)
    with pytest.raises(NotPossible, match="SUCCEEDED"):
        await ward.transferring.retry(ward.id("a"))

    assert sandbox.books()["orders"]["a"]["paid"] == 1


@pytest.mark.parametrize(("wrong", "sends"), [("drop-after", 1), ("drop-before", 2)])
async def test_a_person_who_was_wrong_does_not_make_it_be_paid_twice(
    ward: Ward, sandbox: Sandbox, wrong: str, sends: int
) -> None:
    """Before it goes out under another key the provider is asked about the one before."""
    await ward.create("a")
    sandbox.misbehave(wrong, on="POST")
    await (await ward.deliver("a", 0))
    await ward.transferring.settle(ward.id("a"), paid=False, note="they said so", payment=None)
    await ward.transferring.retry(ward.id("a"))
    await ward.finish(1)
    row = await ward.transferring.get(ward.id("a"))
    books = sandbox.books()["orders"]["a"]

    assert (row["status"], row["attempts"]) == ("PROCESSED", 2)
    assert books["paid"] == 1
    keys = await ward.database.fetch("SELECT key FROM transfer_attempt ORDER BY number")
    assert books["keys"] == [keys[sends - 1]["key"]]


async def test_a_second_payment_of_a_worker_that_froze_in_its_call_is_shown(
    ward: Ward, sandbox: Sandbox
) -> None:
    """Somebody said that it was not sent, and it was not, until the worker woke up: no lag helps there."""
    await ward.create("a")
    wake = await stopped(ward, "a", "a", "calling", "freezes")
    sandbox.misbehave("fail-before", on="GET")
    await (await ward.deliver("a", 1))
    await ward.transferring.settle(ward.id("a"), paid=False, note="they said so", payment=None)
    await ward.transferring.retry(ward.id("a"))
    await ward.finish(1)
    await wake()
    linked = await ward.database.fetch("SELECT reference, status FROM transfer_payment ORDER BY attempt")

    assert [row["reference"] for row in linked] == sandbox.books()["orders"]["a"]["payments"][::-1]
    assert [row["status"] for row in linked] == ["PROCESSED", "PROCESSED"]
    assert (await ward.transferring.get(ward.id("a")))["status"] == "PROCESSED"
