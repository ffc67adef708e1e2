"""Orders to move money, statement by statement: what is allowed, and who may say what became of one."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.storage.desk import SOON, Desk

from paymux.domain.transfer import TRANSITIONS, TransferEvent, TransferStatus
from paymux.storage import installations, transfers
from paymux.storage.database import SUPERSEDED, Database
from paymux.storage.operators import REFUSED
from paymux.storage.transfers import MISSING, WRONG, Attempt, Found

LOST = SUPERSEDED


@pytest.fixture
async def desk(database: Database) -> Desk:
    return await Desk(database).open()


async def paid(desk: Desk, reference: str = "a", amount: int = 100) -> None:
    """Make an order and let it be paid."""
    await desk.create(reference, amount)
    await send(desk, reference, "SUCCEEDED")


async def send(desk: Desk, reference: str, state: str) -> None:
    """Let a worker do what is due, to this end."""
    begun = await desk.begin(reference)
    assert begun is not None
    payment = transfers.Paid(desk.id(f"{reference} paid"), "pay", "PAYOUT", TransferStatus.PROCESSED)
    found = Found(state=state, delay=SOON, paid=payment if state == "SUCCEEDED" else None)
    assert await desk.finish(reference, begun.token, found) is None


async def test_the_database_has_the_table_of_the_domain(database: Database) -> None:
    """Every status and every event: the same follows in both, or nothing in both."""
    rows = await database.fetch(
        "SELECT s.status, e.event, next_transfer_status(s.status, e.event) AS next"
        " FROM unnest($1::text[]) AS s (status), unnest($2::text[]) AS e (event)",
        list(TransferStatus),
        list(TransferEvent),
    )

    assert len(rows) == len(TransferStatus) * len(TransferEvent)
    assert {(row["status"], row["event"]): row["next"] for row in rows if row["next"]} == dict(TRANSITIONS)


async def test_the_key_is_stored_before_anybody_may_call(desk: Desk) -> None:
    """It comes with the approval; beginning marks that from here on the call may be out."""
    await desk.create("a", validated=False)
    assert await desk.attempts("a") == []
    await desk.judge("a", "APPROVE")
    (ready,) = await desk.attempts("a")
    begun = await desk.begin("a")
    (sending,) = await desk.attempts("a")

    assert (ready["key"], ready["state"], ready["sends"]) == ("a/1", "READY", 0)
    assert begun is not None
    assert (begun.what, sending["state"], sending["sends"]) == ("SEND", "SENDING", 1)
    assert (await desk.row("a"))["status"] == "PROCESSING"


async def test_the_same_job_twice_is_begun_once(desk: Desk) -> None:
    """A job is delivered again when its worker is silent, and then only to be looked after."""
    await desk.create("a")
    job = desk.jobs[desk.id("a")]
    first = await desk.begin("a", job)
    other = await desk.begin("a", (99, job[1]))
    taken = await desk.begin("a", job)

    assert first is not None
    assert taken is not None
    assert other is None, "another job of the same generation, while somebody is at it"
    assert (first.what, taken.what) == ("SEND", "LOOK")
    assert (await desk.row("a"))["status"] == "UNKNOWN"
    assert await desk.finish("a", first.token, Found(state="SUCCEEDED")) == LOST
    assert await desk.finish("a", taken.token, Found(state="SUCCEEDED")) is None
    assert await desk.begin("a", job) is None
    await desk.holds("a")


async def test_what_was_surely_not_taken_goes_out_again_with_the_same_key(desk: Desk) -> None:
    """There is no second attempt, and no second adjustment either."""
    await desk.create("a")
    await send(desk, "a", "READY")
    again = await desk.begin("a")
    (attempt,) = await desk.attempts("a")

    assert again is not None
    assert (again.what, attempt["key"], attempt["sends"]) == ("SEND", "a/1", 2)
    assert (await desk.row("a"))["adjustments"] == 2
    await desk.holds("a")


async def test_of_two_who_decide_at_once_one_wins(desk: Desk) -> None:
    """Approvals, retries, reversals, and a decision against a deletion: each pair many times."""
    for number in range(8):
        name = f"a{number}"
        await desk.create(name, validated=False)
        approvals = await asyncio.gather(desk.judge(name, "APPROVE"), desk.judge(name, "REJECT"))
        assert sorted(map(str, approvals)) == ["None", REFUSED]
        name = f"b{number}"
        await desk.create(name)
        await send(desk, name, "FAILED")
        assert sorted(map(str, await asyncio.gather(desk.retry(name), desk.retry(name)))) == ["None", REFUSED]
        name = f"c{number}"
        await paid(desk, name)
        both = asyncio.gather(desk.reverse(name, 60, f"{name} x"), desk.reverse(name, 60, f"{name} y"))
        assert sorted(map(str, await both)) == ["None", REFUSED]
        name = f"d{number}"
        await desk.create(name, validated=False)
        both = asyncio.gather(desk.delete(name), desk.judge(name, "APPROVE"))
        gone, approved = await both
        assert (gone, approved) in ((None, MISSING), (REFUSED, None))


async def test_the_same_reference_is_one_order(desk: Desk) -> None:
    """However many make it at once."""
    made = await asyncio.gather(*(desk.create("a") for _ in range(5)))

    assert sorted(made) == [False, False, False, False, True]
    await desk.holds("a")


async def test_reversals_add_up_to_what_was_paid(desk: Desk) -> None:
    """Some, some more, too much, the rest; one that failed does not count."""
    await paid(desk)
    assert await desk.reverse("a", 30, "r1") is None
    await send(desk, "a", "SUCCEEDED")
    assert (await desk.row("a"))["status"] == "PARTIALLY_REVERSED"
    assert await desk.reverse("a", 71, "r2") == WRONG
    assert await desk.reverse("a", 70, "r1") == REFUSED, "there is one of this reference"
    assert await desk.reverse("a", 70, "r3") is None
    await send(desk, "a", "FAILED")
    assert (await desk.row("a"))["status"] == "REVERSE_FAILED"
    assert await desk.reverse("a", 70, "r4") is None
    await send(desk, "a", "SUCCEEDED")

    assert (await desk.row("a"))["status"] == "REVERSED"
    assert await desk.reverse("a", 1, "r5") == REFUSED
    await desk.holds("a")


async def test_an_order_without_a_known_payment_cannot_be_reversed(desk: Desk) -> None:
    """There would be nothing to name to the provider."""
    await desk.create("a")
    begun = await desk.begin("a")
    assert begun is not None
    await desk.finish("a", begun.token, Found(state="SUCCEEDED", handle="h"))

    assert await desk.reverse("a", 10, "r") == REFUSED
    assert (await desk.row("a"))["status"] == "PROCESSED"


async def test_only_one_that_waits_can_be_deleted_and_then_made_anew(desk: Desk, database: Database) -> None:
    """Told both times; the second is another event than the first."""
    await desk.create("a", validated=False)
    assert await desk.delete("a") is None
    assert await desk.delete("a") == MISSING
    await desk.create("a")
    assert await desk.delete("a") == REFUSED
    rows = await database.fetch("SELECT type, part FROM event WHERE object = $1 ORDER BY seq", desk.id("a"))

    saved, deleted = "SAVED_TRANSFER_INITIATION", "DELETED_TRANSFER_INITIATION"
    assert [row["type"] for row in rows] == [saved, deleted, saved]
    assert len({(row["type"], row["part"]) for row in rows}) == 3


async def test_what_is_scheduled_is_due_then(desk: Desk) -> None:
    """Not before, and its job says so."""
    then = datetime.now(UTC) + timedelta(days=400)
    await desk.create("a", at=then)

    assert (await desk.row("a"))["due_at"] == then
    assert timedelta(days=399) < desk.jobs[desk.id("a")][1].delay < timedelta(days=400)


async def test_nothing_is_begun_for_an_installation_that_is_paused_or_leaving(
    desk: Desk, database: Database
) -> None:
    """It stays due, and is found as soon as the installation goes on."""
    await desk.create("a")
    await database.execute("UPDATE installation SET paused = true")
    assert await desk.begin("a") is None
    assert await transfers.neglected(database, SOON) == []
    await database.execute("UPDATE installation SET paused = false, login_error = 'dead'")
    assert await desk.begin("a") is None
    await database.execute("UPDATE installation SET login_error = NULL")
    (row,) = await transfers.neglected(database, SOON)
    assert (row["id"], row["job"]) == (desk.id("a"), None)
    async with database.transaction() as db:
        await installations.leave(db, desk.key)

    assert await desk.begin("a") is None


async def test_an_order_at_the_provider_is_seen_by_whoever_wants_to_remove_the_installation(
    desk: Desk, database: Database
) -> None:
    """Nothing can be begun between the look and the end."""
    await desk.create("waits", validated=False)
    await desk.create("ready")
    await desk.create("sent")
    async with database.transaction() as db:
        assert await transfers.at_the_provider(db, desk.key) == []
        beginning = asyncio.create_task(desk.begin("sent"))
        await asyncio.sleep(0.2)
        assert not beginning.done()
    assert await beginning is not None
    async with database.transaction() as db:
        assert await transfers.at_the_provider(db, desk.key) == ["sent"]


async def test_an_order_whose_job_is_gone_is_taken_over(desk: Desk, database: Database) -> None:
    """Whoever held it is dead, or its job would be there."""
    await desk.create("a")
    first = await desk.begin("a")
    (row,) = await transfers.neglected(database, SOON)
    assert row["job"] == desk.jobs[desk.id("a")][0]
    async with database.transaction() as db:
        (job,) = await transfers.recover(db, row["id"], row["generation"])
    taken = await desk.begin("a", (77, job))

    assert first is not None
    assert taken is not None
    assert taken.what == "LOOK"
    assert await desk.finish("a", first.token, Found(state="FAILED")) == LOST


async def test_a_person_settles_what_is_unknown_and_nothing_else(desk: Desk) -> None:
    """And whoever is looking it up finds out when the answer is refused."""
    for paid_, status in ((True, "PROCESSED"), (False, "FAILED")):
        name = status
        await desk.create(name)
        assert await desk.settle(name, paid=paid_) == REFUSED
        await send(desk, name, "UNKNOWN")
        looking = await desk.begin(name)
        assert looking is not None
        assert looking.what == "LOOK"
        assert await desk.settle(name, paid=paid_) is None
        assert (await desk.row(name))["status"] == status
        assert await desk.finish(name, looking.token, Found(state="ACCEPTED", delay=SOON)) == LOST
        await desk.holds(name)


ACTS = ("begin", "crash", "READY", "ACCEPTED", "UNKNOWN", "SUCCEEDED", "FAILED", "late", "approve", "reject",
        "retry", "reverse", "settle", "not sent")  # fmt: skip


class Actors:
    """Several who do things to one order at the same time, some of them too late."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.held: list[Attempt] = []
        self.reversals = 0

    async def act(self, act: str, amount: int) -> None:
        desk = self.desk
        match act:
            case "begin" | "crash":  # a job that is delivered again is that of a worker that has died
                begun = await desk.begin("a")
                if begun is not None:
                    self.held.append(begun)
            case "READY" | "ACCEPTED" | "UNKNOWN" | "SUCCEEDED" | "FAILED" if self.held:
                await self._finish(self.held[-1], act)
            case "late" if self.held:
                await self._finish(self.held[0], "SUCCEEDED")
            case "approve":
                await desk.judge("a", "APPROVE")
            case "reject":
                await desk.judge("a", "REJECT")
            case "retry":
                await desk.retry("a")
            case "reverse":
                self.reversals += 1
                await desk.reverse("a", amount, f"r{self.reversals}")
            case "settle" | "not sent":
                await desk.settle("a", paid=act == "settle")

    async def _finish(self, held: Attempt, state: str) -> None:
        payment = transfers.Paid(self.desk.id("paid"), "pay", "PAYOUT", TransferStatus.PROCESSED)
        found = Found(state=state, delay=SOON, paid=payment if state == "SUCCEEDED" else None)
        await self.desk.finish("a", held.token, found)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    validated=st.booleans(),
    steps=st.lists(
        st.lists(st.tuples(st.sampled_from(ACTS), st.integers(1, 120)), min_size=1, max_size=3), max_size=14
    ),
)
async def test_whatever_happens_at_once_an_order_stays_on_the_table(
    database: Database, *, validated: bool, steps: list[list[tuple[str, Any]]]
) -> None:
    """No path outside it, reversals never above the amount, the status always the fold of what happened."""
    desk = await Desk(database).open()
    await desk.create("a", validated=validated)
    actors = Actors(desk)
    for step in steps:
        await asyncio.gather(*(actors.act(act, amount) for act, amount in step))
        await desk.holds("a")
