"""Webhooks, against a real server: signed, in order, patient with one that is down, firm with refusals."""

import asyncio
import importlib
import logging
import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs
from tests.integration.events.receiver import SECRET, Receiver, served
from tests.integration.events.test_relay import happened, relaying, until, waiting

from paymux.events.messages import Busy, Message, Outcome, Refusal
from paymux.events.relay import Pace, Relay
from paymux.events.sinks.webhook import WebhookSink
from paymux.storage import events, sinks
from paymux.storage.database import Database

GUIDE = Path(__file__).parents[3] / "docs/how-to/receive-events.md"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
# What waits for seconds and minutes waits for a moment.
SOON = Pace(0.05, 0.2, (0, 0.01, 0.02, 0.03))


def sink(receiver: Receiver, timeout: float = 5) -> WebhookSink:
    return WebhookSink(receiver.url, [SECRET], timeout)


def numbers(told: list[dict[str, Any]]) -> list[int]:
    return [event["payload"]["n"] for event in told]


async def objects_happened(database: Database, objects: list[UUID], each: int) -> None:
    """Events of several objects, in turns."""
    async with database.connection() as db:
        for number in range(each):
            for one in objects:
                facts = {"n": number, "object": str(one)}
                await events.insert(db, installation=None, type="X", object=one, part=uuid4(), facts=facts)


def by_object(told: list[dict[str, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for event in told:
        found[event["payload"]["object"]].append(event["payload"]["n"])
    return dict(found)


async def offer(receiver: Receiver, count: int = 1, patience: float = 5) -> list[Outcome]:
    """What comes of offering messages about different objects, without a relay."""
    body = b'{"idempotencyKey":"%s","payload":{"n":1}}'
    keys = [uuid4() for _ in range(count)]
    batch = [Message(key, "X", key, body % str(key).encode()) for key in keys]
    own = sink(receiver, patience)
    try:
        return list(await own.publish(batch))
    finally:
        await own.close()


async def test_events_arrive_signed_and_in_order(database: Database) -> None:
    """Objects beside each other, and each by itself in order."""
    objects = [uuid4() for _ in range(20)]
    await objects_happened(database, objects, each=10)
    receiver = Receiver()
    async with receiver.listening(), relaying(database, sink(receiver), pace=SOON):
        await until(lambda: len(receiver.taken) == 200)

    assert by_object(receiver.taken) == {str(one): list(range(10)) for one in objects}
    assert len({event["idempotencyKey"] for event in receiver.taken}) == 200
    assert all(headers["content-type"] == "application/json" for headers in receiver.headers)


async def test_a_receiver_that_was_down_gets_everything_in_order(database: Database) -> None:
    """It is gone for a while amid the events, and the events it answered are not told again."""
    objects = [uuid4() for _ in range(10)]
    receiver = Receiver()
    async with receiver.listening():
        pass  # so that it has a port
    async with relaying(database, sink(receiver), pace=SOON):
        async with receiver.listening():
            await objects_happened(database, objects, each=3)
            await until(lambda: len(receiver.taken) == 30)
        await objects_happened(database, objects, each=3)
        await until(lambda: _failing(database))
        async with receiver.listening():
            await until(lambda: len(receiver.taken) >= 60)
    assert by_object(receiver.taken) == {str(one): [0, 1, 2, 0, 1, 2] for one in objects}
    assert await waiting(database) == 0


async def _failing(database: Database) -> bool:
    (row,) = await sinks.backlog(database)
    return row["error"] is not None and row["waiting"] > 0


async def test_one_that_fails_for_a_while_keeps_the_order_of_its_object(database: Database) -> None:
    """Others go on meanwhile; what it took is not sent twice."""
    slow, quick = uuid4(), uuid4()
    left = 3

    def answer(event: dict[str, Any]) -> int:
        nonlocal left
        if event["payload"]["object"] == str(slow) and left:
            left -= 1
            return 503
        return 200

    receiver = Receiver(answer)
    async with receiver.listening():
        await objects_happened(database, [slow, quick], each=4)
        async with relaying(database, sink(receiver), pace=SOON):
            await until(lambda: len(receiver.taken) == 8)
    assert by_object(receiver.taken) == {str(slow): [0, 1, 2, 3], str(quick): [0, 1, 2, 3]}
    assert len(receiver.asked) == 8 + 3


async def test_what_is_refused_becomes_a_dead_letter_and_stops_nothing(database: Database) -> None:
    """Offered five times; later events of its object go. Requeued, it is told as it was."""
    refused, refusing = uuid4(), True

    def answer(event: dict[str, Any]) -> int:
        return (
            422
            if refusing and event["payload"]["object"] == str(refused) and not event["payload"]["n"]
            else 200
        )

    receiver = Receiver(answer)
    async with receiver.listening():
        await objects_happened(database, [refused, uuid4()], each=2)
        with capture_logs() as lines:
            async with relaying(database, sink(receiver), "hooks", SOON):
                await until(lambda: _dead(database))
                assert len(receiver.taken) == 3
                (letter,) = await sinks.dead_letters(database, None, 10)
                assert (letter["sink"], letter["attempts"], letter["reason"]) == (
                    "hooks",
                    5,
                    "HTTP 422 because",
                )
                assert len(receiver.asked) == 3 + 5
                assert await waiting(database) == 0
                await database.execute("DELETE FROM event")

                refusing = False
                assert await sinks.requeue(database, letter=letter["id"]) == 1
                await until(lambda: len(receiver.taken) == 4)
                await until(lambda: _forgotten(database))
    assert len({event["idempotencyKey"] for event in receiver.asked}) == 4
    assert receiver.taken[-1] == next(
        event
        for event in receiver.asked
        if not event["payload"]["n"] and event["payload"]["object"] == str(refused)
    )
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["An event was given up"]


async def _dead(database: Database) -> bool:
    return bool(await sinks.dead_letters(database, None, 10))


async def _forgotten(database: Database) -> bool:
    return not await database.fetchval("SELECT count(*) FROM refused_event")


async def test_an_event_that_breaks_its_receiver_stops_nothing(database: Database) -> None:
    """It is answered with 500 again and again while all others are taken: it is set apart at last."""
    poison = uuid4()
    receiver = Receiver(lambda event: 500 if event["payload"]["object"] == str(poison) else 200)
    async with receiver.listening(), relaying(database, sink(receiver), pace=SOON):
        await objects_happened(database, [poison], each=1)
        count = 0
        async with asyncio.timeout(15):
            while not await database.fetchval("SELECT count(*) FROM refused_event"):
                await objects_happened(database, [uuid4()], each=1)
                count += 1
                await asyncio.sleep(0.05)
        await until(lambda: len(receiver.taken) == count)
        await until(lambda: _backlogs(database, {"told": 0}))


async def test_one_sink_that_is_down_stops_no_other(database: Database) -> None:
    """Each has its own place in the line; the one that comes back gets what it missed."""
    up, down = Receiver(), Receiver()
    async with down.listening():
        pass
    async with up.listening(), relaying(database, sink(up), "up", SOON):
        await sinks.declare(database, ["up", "down"])
        second = Relay(database, "down", sink(down), pace=SOON)
        running = asyncio.create_task(second.run())
        await happened(database, *range(20))
        await until(lambda: len(up.taken) == 20)
        await until(lambda: _backlogs(database, {"up": 0, "down": 20}))
        async with down.listening():
            await until(lambda: len(down.taken) == 20)
            second.stop()
            await running
    assert sorted(numbers(up.taken)) == sorted(numbers(down.taken)) == list(range(20))


async def _backlogs(database: Database, wanted: dict[str, int]) -> bool:
    return {row["name"]: row["waiting"] for row in await sinks.backlog(database)} == wanted


async def test_the_documented_receiver_receives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It takes what is signed with its secret, once a key, and nothing else."""
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    stored: dict[str, Any] = {}
    monkeypatch.setenv("SECRET", SECRET)
    # The framework sets up logging for the whole process.
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    (tmp_path / "documented_receiver.py").write_text(block, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    written = importlib.import_module("documented_receiver")
    monkeypatch.setattr(written, "store_once", stored.setdefault, raising=False)
    body = b'{"idempotencyKey":"k","payload":{"n":12345678901234567890}}'
    batch = [Message(uuid4(), "X", uuid4(), body)]
    async with served(written.app) as port:
        for secret, taken in ((OTHER, False), (SECRET, True), (SECRET, True)):
            own = WebhookSink(f"http://127.0.0.1:{port}/hooks", [secret])
            (outcome,) = await own.publish(batch)
            await own.close()
            assert (outcome is None) is taken
            assert bool(stored) is taken
    assert stored == {"k": {"idempotencyKey": "k", "payload": {"n": 12345678901234567890}}}


@pytest.mark.parametrize("status", [200, 201, 299])
async def test_any_2xx_is_a_yes(status: int) -> None:
    receiver = Receiver(lambda _: status)
    async with receiver.listening():
        assert await offer(receiver) == [None]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 413, 422])
async def test_4xx_is_a_refusal(status: int) -> None:
    receiver = Receiver(lambda _: status)
    async with receiver.listening():
        (outcome,) = await offer(receiver)
    assert isinstance(outcome, Refusal)
    assert str(outcome) == f"HTTP {status} because"


@pytest.mark.parametrize("status", [301, 307, 308, 408, 409, 425, 429, 500, 503])
async def test_anything_else_is_for_another_time(status: int) -> None:
    """Redirects are not followed: a signed event goes where it was meant to go."""
    receiver = Receiver(lambda _: status)
    async with receiver.listening():
        (outcome,) = await offer(receiver)
    assert isinstance(outcome, Exception)
    assert not isinstance(outcome, Refusal)
    assert str(outcome).startswith(f"HTTP {status}")
    assert len(receiver.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("0", 0), ("soon", 0), ("-1", 0), ("\u00b2", 0), ("9" * 40, 9_999_999_999)],
)
async def test_a_receiver_may_say_for_how_long(status: int, said: str, seconds: float) -> None:
    """What is no number of seconds says nothing."""
    receiver = Receiver(lambda _: status)
    receiver.extra = [(b"retry-after", said.encode("latin-1"))]
    async with receiver.listening():
        (outcome,) = await offer(receiver)
    assert isinstance(outcome, Busy)
    assert outcome.seconds == seconds


async def test_a_receiver_that_does_not_answer_is_given_up_on() -> None:
    """After a while; the error says what happened."""

    async def never(_: dict[str, Any]) -> int:
        await asyncio.sleep(2)
        return 200

    receiver = Receiver(never)
    async with receiver.listening():
        (outcome,) = await offer(receiver, patience=0.2)
    assert "ReadTimeout" in str(outcome)
