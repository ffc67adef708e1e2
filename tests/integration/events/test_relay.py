"""What is in the outbox is told: all of it, in order, at least once, under the same keys."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from structlog.testing import capture_logs
from tests.integration.ingestion.inlet import NOON, Inlet, account, balance, payment

from paymux.events.messages import Busy, Message, Outcome, Refusal, Sink
from paymux.events.relay import BATCH, Pace, Relay
from paymux.events.types import Event
from paymux.storage import events, readings, sinks
from paymux.storage.database import Connection, Database

HOUR = timedelta(hours=1)
PACE = Pace()
LEADER = """SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database
            WHERE locktype = 'advisory' AND datname = current_database()"""


class Told:
    """A sink that remembers, and does before each batch what the test tells it."""

    def __init__(self, before: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.batches: list[list[Event[dict[str, Any]]]] = []
        self.offers: list[float] = []
        self._before = before

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Take a batch, unless ``before`` raises."""
        self.offers.append(asyncio.get_running_loop().time())
        if self._before is not None:
            await self._before(len(self.offers))
        self.batches.append([decoded(message) for message in messages])
        return [None] * len(messages)

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def keys(self) -> list[UUID]:
        """Of all that it was told, in order."""
        return [event.idempotency_key for batch in self.batches for event in batch]

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """Of all that it was told, in order."""
        return [event.payload for batch in self.batches for event in batch]


def decoded(message: Message) -> Event[dict[str, Any]]:
    return msgspec.json.decode(message.body, type=Event[dict[str, Any]])


@asynccontextmanager
async def relaying(
    database: Database, sink: Sink, name: str = "told", pace: Pace = PACE
) -> AsyncIterator[Relay]:
    """A relay at work, ended in good order."""
    await sinks.declare(database, [name])
    relay = Relay(database, name, sink, pace=pace)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(running, 10)


async def until(true: Callable[[], bool | Awaitable[bool]], patience: float = 15) -> None:
    """Wait for it, not for ever."""
    async with asyncio.timeout(patience):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def happen(db: Connection, number: int) -> None:
    """Something numbered happens."""
    facts = {"n": number}
    await events.insert(
        db, installation=None, type="CONNECTOR_INSTALLED", object=uuid4(), part=uuid4(), facts=facts
    )


async def happened(database: Database, *numbers: int) -> None:
    """As above, each in a transaction of its own."""
    async with database.connection() as db:
        for number in numbers:
            await happen(db, number)


async def waiting(database: Database) -> int:
    return int((await readings.outbox(database))["waiting"])


def numbers(sink: Told) -> list[int]:
    return [payload["n"] for payload in sink.payloads]


@pytest.fixture
async def inlet(database: Database) -> Inlet:
    """An installation, and nothing in it."""
    return await Inlet.open(database)


async def test_everything_is_told_in_order(database: Database) -> None:
    """What was there before, more than a batch of it, and what comes after; then it is marked as told."""
    many = BATCH + 5
    await database.execute(
        "INSERT INTO event (type, object, part, facts) SELECT 'CONNECTOR_INSTALLED', gen_random_uuid(),"
        " gen_random_uuid(), json_build_object('n', n)::text FROM generate_series(0, $1) AS n",
        many - 1,
    )
    sink = Told()
    async with relaying(database, sink) as relay:
        await until(lambda: len(sink.keys) == many)
        await happened(database, many)
        relay.told()
        await until(lambda: len(sink.keys) == many + 1)
        await happened(database, many + 1)  # by another process: it is found by looking
        await until(lambda: len(sink.keys) == many + 2)

    assert numbers(sink) == list(range(many + 2))
    assert [len(batch) for batch in sink.batches] == [BATCH, 5, 1, 1]
    assert await waiting(database) == 0


async def test_large_events_are_told_a_few_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large they are, none is kept back."""
    await sinks.declare(database, ["told"])
    for number in range(30):
        await happened(database, number)
    monkeypatch.setattr(events, "BYTES", 30)
    sink = Told()
    async with relaying(database, sink):
        await until(lambda: len(sink.keys) == 30)

    assert numbers(sink) == list(range(30))
    assert max(map(len, sink.batches)) < 5


async def test_what_is_there_is_told_before_it_ends(database: Database) -> None:
    """Stopping is in good order: nothing that happened before waits for the next start."""
    sink = Told()
    async with relaying(database, sink):
        await until(lambda: _leads(database))
        await happened(database, 1, 2, 3)

    assert numbers(sink) == [1, 2, 3]
    assert await database.fetchval(LEADER) is None
    assert await database.fetchval("SHOW enable_seqscan") == "on"  # the connection is as it was


async def _leads(database: Database) -> bool:
    return await database.fetchval(LEADER) is not None


async def test_events_that_are_committed_late_are_told(database: Database) -> None:
    """Their number is lower than that of others which were told meanwhile."""
    sink = Told()
    async with relaying(database, sink):
        async with database.transaction() as late:
            await happen(late, 1)
            await happened(database, 2)
            await until(lambda: numbers(sink) == [2])
        await until(lambda: numbers(sink) == [2, 1])


async def test_the_events_of_a_payment_come_in_order(inlet: Inlet, database_url: str) -> None:
    """While several connections report on the same payments and the relay is at work."""
    sink = Told()
    times = [NOON + hour * HOUR for hour in range(12)]
    reports = [[payment(name, report=str(at), reported_at=at) for at in times] for name in "pqr"]
    second = await Database.open(database_url, size=4)

    async def deliver(own: Inlet, since: int) -> None:
        for number in range(since, len(times), 2):
            await own.ingest(payments=[history[number] for history in reports])

    try:
        async with relaying(inlet.database, sink):
            await asyncio.gather(deliver(inlet.through(second), 0), deliver(inlet.through(second), 1))
    finally:
        await second.close()

    for name in "pqr":
        order = {row["report"]: place for place, row in enumerate(await inlet.adjustments(name))}
        key = (await inlet.payment(name))["key"]
        rows = [row for row in await inlet.events() if row["object"] == key]
        assert [order[row["part"]] for row in rows] == sorted(order[row["part"]] for row in rows)
        assert order[rows[-1]["part"]] == len(times) - 1
    assert len(sink.keys) == len(set(sink.keys)) == len(await inlet.events())


async def test_an_event_tells_of_its_own_report(inlet: Inlet) -> None:
    """Also when later ones came in before it was told, or when its account was described meanwhile."""
    await inlet.ingest(payments=[payment(status="PENDING", raw='{"n": 1}')], accounts=[account(name="old")])
    await inlet.ingest(
        payments=[payment(status="FAILED", type="PAYOUT", raw='{"n": 2}')], balances=[balance(1, NOON)]
    )
    await inlet.ingest(payments=[payment(status="PENDING", raw="none")], balances=[balance(2, NOON + HOUR)])
    await inlet.ingest(accounts=[account(name="new")])
    sink = Told()
    async with relaying(inlet.database, sink):
        await until(lambda: len(sink.keys) == 7)

    told = [event for batch in sink.batches for event in batch]
    payments = [event.payload for event in told if event.type == "SAVED_PAYMENT"]
    assert [(one["status"], one["type"]) for one in payments] == [
        ("PENDING", "PAY-IN"),
        ("FAILED", "PAYOUT"),
        ("PENDING", "PAY-IN"),
    ]
    assert [one["rawData"] for one in payments[:2]] == [{"n": 1}, {"n": 2}]
    assert payments[2]["rawData"] == "none"
    assert len({one["id"] for one in payments}) == 1
    names = [event.payload["accountName"] for event in told if event.type == "SAVED_ACCOUNT"]
    assert names == ["old", "new"]
    assert [event.payload["balance"] for event in told if event.type == "SAVED_BALANCE"] == [1, 2]
    assert len({event.idempotency_key for event in told}) == 7


async def test_a_sink_that_raises_loses_nothing(database: Database) -> None:
    """Not even when it raises what losing the database would raise; it is offered the same again."""
    errors: list[Exception] = [ConnectionRefusedError("nobody there"), RuntimeError()]

    async def before(number: int) -> None:
        if number <= len(errors):
            raise errors[number - 1]

    sink = Told(before)
    await happened(database, 1, 2, 3)
    with capture_logs() as lines:
        async with relaying(database, sink):
            await until(lambda: numbers(sink) == [1, 2, 3])
    assert [line["error"] for line in lines if line["log_level"] == "error"] == [
        "nobody there",
        "RuntimeError",
    ]
    assert len(sink.offers) == 3


@pytest.mark.parametrize("bound", [30, 10_000_000])
async def test_one_that_always_fails_holds_up_nobody_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """Those behind it are taken meanwhile, however few are read at once; then it counts as refused."""

    class Picky(Told):
        async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
            await super().publish(messages)
            return [RuntimeError("no") if decoded(one).payload == {"n": 3} else None for one in messages]

    many = 60
    monkeypatch.setattr(events, "BYTES", bound)
    monkeypatch.setattr("paymux.events.relay.BATCH", 5)
    sink = Picky()
    await happened(database, *range(many))
    async with relaying(database, sink, pace=Pace(least=0.01, most=0.02, again=(60,))):
        await until(lambda: set(numbers(sink)) == set(range(many)))
        await happened(database, many, many + 1)
        await until(lambda: {many, many + 1} <= set(numbers(sink)))

        async def all_told() -> bool:
            return await waiting(database) == 0

        await until(all_told)

    told = [number for number in numbers(sink) if number != 3]
    assert told == sorted(set(told)), "in order, and each once"
    letters = await database.fetch("SELECT reason FROM refused_event")
    assert [row["reason"] for row in letters] == ["no (while others are taken)"]


async def test_a_pause_holds_for_every_process(database: Database, database_url: str) -> None:
    """Others do not ask because they do not know."""

    class Tired(Told):
        async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
            await super().publish(messages)
            return [Busy("tired", 30.0)] * len(messages)

    sink = Tired()
    await happened(database, 1)
    other = await Database.open(database_url, size=2)
    pace = Pace(least=0.01, most=0.02)
    async with relaying(database, sink, pace=pace), relaying(other, sink, pace=pace):
        await until(lambda: bool(sink.offers))
        await asyncio.sleep(0.5)
    await other.close()
    assert len(sink.offers) == 1


async def test_a_pause_holds_for_what_was_refused_before(database: Database) -> None:
    """It is offered again in its own time, and not in that of the sink's pause."""

    class Tired(Told):
        async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
            await super().publish(messages)
            return [Refusal("no") if len(self.offers) == 1 else Busy("tired", 30.0)]

    sink = Tired()
    await happened(database, 1)
    async with relaying(database, sink, pace=Pace(again=(0.1, 0.2, 0.3, 0.4))):
        await until(lambda: len(sink.offers) == 2)
        await asyncio.sleep(1.5)
    assert len(sink.offers) == 2


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.01), (1.5, 1.5), (1e9, 2.0)])
async def test_a_sink_that_asks_for_a_pause_gets_it(database: Database, asked: float, waited: float) -> None:
    """As long as it says, within reason, and as long as we would have waited anyway."""

    class Tired(Told):
        async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
            await super().publish(messages)
            return [Busy("tired", asked) if len(self.offers) == 1 else None for _ in messages]

    sink = Tired()
    await happened(database, 1)
    async with relaying(database, sink, pace=Pace(least=0.01, longest=2.0)):
        await until(lambda: len(sink.offers) == 2)
    assert waited <= sink.offers[1] - sink.offers[0] < waited + 2


async def test_a_sink_that_is_down_is_asked_ever_more_rarely(database: Database) -> None:
    """News do not change that: it would be asked with every page."""

    async def before(_: int) -> None:
        raise RuntimeError("down")

    sink = Told(before)
    await happened(database, 1)
    async with relaying(database, sink) as relay:
        async with asyncio.timeout(15):
            while len(sink.offers) < 3:
                relay.told()
                await asyncio.sleep(0.01)

    first, second, third = sink.offers[:3]
    assert second - first >= PACE.least
    assert third - second >= 2 * PACE.least
    assert await waiting(database) == 1


async def test_a_crash_after_telling_tells_again_under_the_same_keys(inlet: Inlet) -> None:
    """The connection is gone before the batch could be marked: the sink sees it twice and can tell."""

    async def before(number: int) -> None:
        if number == 1:
            await inlet.database.execute(LEADER.replace("pid", "pg_terminate_backend(pid)", 1))

    await inlet.ingest(payments=[payment()], accounts=[account()], balances=[balance(1, NOON)])
    sink = Told(before)
    async with relaying(inlet.database, sink):
        await until(lambda: len(sink.batches) == 2)

    first, second = sink.batches
    assert first == second
    assert len({event.idempotency_key for event in first}) == len(first) == 3
    assert await waiting(inlet.database) == 0


async def test_of_two_relays_one_leads(database: Database, database_url: str) -> None:
    """Two would tell an object's events out of order."""
    one, other = Told(), Told()
    second = await Database.open(database_url, size=2)
    try:
        async with relaying(database, one):
            await until(lambda: _leads(database))
            async with relaying(second, other):
                for number in range(20):
                    await happened(database, number)
                    await asyncio.sleep(0.01)
                await until(lambda: len(one.keys) == 20)
    finally:
        await second.close()

    assert numbers(one) == list(range(20))
    assert not other.offers


async def test_the_second_takes_over_when_the_first_one_dies(database: Database, database_url: str) -> None:
    """It tells what the first had not marked; the first wakes up and finds that it leads no more."""
    frozen, thawed = asyncio.Event(), asyncio.Event()

    async def before(_: int) -> None:
        frozen.set()
        await thawed.wait()

    one, other = Told(before), Told()
    second = await Database.open(database_url, size=2)
    try:
        async with relaying(database, one):
            await happened(database, 1)
            await frozen.wait()
            async with relaying(second, other):
                assert await database.fetchval(LEADER.replace("pid", "pg_terminate_backend(pid)", 1))
                await until(lambda: numbers(other) == [1])
                thawed.set()
                await happened(database, 2)
                await until(lambda: numbers(other) == [1, 2])
                assert numbers(one) == [1]
                assert one.keys == other.keys[:1]
    finally:
        await second.close()
    assert await waiting(database) == 0


class Counting(Database):
    """A pool that counts how often a connection is asked for."""

    asked = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.asked += 1
        async with super().connection() as connection:
            yield connection


async def test_who_does_not_lead_waits_quietly(database: Database, database_url: str) -> None:
    """However much there is to tell: another process tells it."""
    second = await Counting.open(database_url, size=2)
    assert isinstance(second, Counting)
    try:
        async with relaying(database, Told()):
            await until(lambda: _leads(database))
            async with relaying(second, Told()) as relay:
                await until(lambda: second.asked > 0)
                for _ in range(50):
                    relay.told()
                    await asyncio.sleep(0.01)
                assert second.asked <= 2
    finally:
        await second.close()


async def test_the_database_may_go_and_come_back(database: Database) -> None:
    """All its connections at once, as in a restart; nothing is said about it, and all is told."""
    sink = Told()
    with capture_logs() as lines:
        async with relaying(database, sink):
            await until(lambda: _leads(database))
            admin = await Database.open(database.url, size=1)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await happened(admin, 1)
            await admin.close()
            await until(lambda: numbers(sink) == [1])
    assert not [line for line in lines if line["log_level"] == "error"]


async def test_being_cancelled_gives_the_lead_back(database: Database) -> None:
    """In the middle of telling: the connection goes back to the pool without the lock."""
    began = asyncio.Event()

    async def before(_: int) -> None:
        began.set()
        await asyncio.sleep(60)

    await sinks.declare(database, ["told"])
    await happened(database, 1)
    running = asyncio.create_task(Relay(database, "told", Told(before)).run())
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await database.fetchval(LEADER) is None
    assert await waiting(database) == 1
