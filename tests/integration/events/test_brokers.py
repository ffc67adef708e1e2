"""Sinks on message brokers, against real servers: everything arrives, in order, and a crash loses nothing."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import aio_pika
import nats
import pytest
import redis.asyncio
from faststream.kafka import KafkaMessage, TestKafkaBroker
from tests.integration.events import servers
from tests.integration.events.servers import Server
from tests.integration.events.test_relay import relaying, until, waiting
from tests.integration.events.test_webhook import SOON, objects_happened

from paymux.events.messages import Message, Refusal
from paymux.events.sinks.addresses import addresses
from paymux.events.sinks.kafka import KafkaSink
from paymux.events.sinks.opening import opened
from paymux.storage.database import Database

Read = Callable[[str], Awaitable[list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="paymux-broker-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def nats_server(folder: Path) -> Iterator[Server]:
    server = servers.nats(folder / "nats")
    yield from running(server)


@pytest.fixture(scope="module")
def redis_server(folder: Path) -> Iterator[Server]:
    (folder / "redis").mkdir()
    yield from running(servers.redis(folder / "redis"))


@pytest.fixture(scope="module")
def rabbitmq_server(folder: Path) -> Iterator[Server]:
    (folder / "rabbitmq").mkdir()
    with servers.rabbitmq(folder / "rabbitmq") as server:
        yield from running(server)


def running(server: Server) -> Iterator[Server]:
    server.start()
    yield server
    server.kill()


async def read_nats(url: str) -> list[dict[str, Any]]:
    """All that the stream holds; and its message ids are the events' keys."""
    client = await nats.connect(url)
    try:
        streams = client.jetstream()
        last = (await streams.stream_info("payments")).state.last_seq
        found = [await streams.get_msg("payments", number) for number in range(1, last + 1)]
    finally:
        await client.close()
    events = [json.loads(message.data or b"") for message in found]
    keys = [(message.headers or {})["Nats-Msg-Id"] for message in found]
    assert keys == [event["idempotencyKey"] for event in events]
    return events


async def read_redis(url: str) -> list[dict[str, Any]]:
    """All that the stream holds."""
    client = redis.asyncio.from_url(url)
    try:
        entries: Any = await client.xrange("payments")
    finally:
        await client.aclose()
    return [json.loads(fields[b"__data__"]) for _, fields in entries]


async def read_rabbitmq(url: str) -> list[dict[str, Any]]:
    """All that is in the queue, and stays there."""
    connection = await aio_pika.connect(url)
    found = []
    try:
        channel = await connection.channel()
        queue = await channel.get_queue("payments")
        while (message := await queue.get(fail=False)) is not None:
            event = json.loads(message.body)
            assert (message.message_id, message.type) == (event["idempotencyKey"], event["type"])
            assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
            found.append(event)
    finally:
        await connection.close()  # unacknowledged: all of it is put back
    return found


READ: dict[str, Read] = {"nats": read_nats, "redis": read_redis, "rabbitmq": read_rabbitmq}


@pytest.fixture(params=list(READ))
def broker(request: pytest.FixtureRequest) -> tuple[Server, Read]:
    """Each of them, and how it is read."""
    return request.getfixturevalue(f"{request.param}_server"), READ[request.param]


def in_order(events: list[dict[str, Any]], of: set[str]) -> dict[str, list[int]]:
    """By object, what a consumer sees who drops keys that it knows."""
    seen: set[str] = set()
    found: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event["payload"]["object"] in of and event["idempotencyKey"] not in seen:
            seen.add(event["idempotencyKey"])
            found[event["payload"]["object"]].append(event["payload"]["n"])
    return dict(found)


async def test_events_arrive_in_order(database: Database, broker: tuple[Server, Read]) -> None:
    """More than a batch of them, and each once."""
    server, read = broker
    objects = [uuid4() for _ in range(150)]
    await objects_happened(database, objects, each=8)
    (address,) = addresses(f"bus={server.url}")
    async with relaying(database, opened(address), "bus", SOON):
        await until(lambda: nothing_waits(database))
    names = {str(one) for one in objects}
    events = await read(server.url)
    assert in_order(events, names) == {name: list(range(8)) for name in names}
    assert len([event for event in events if event["payload"]["object"] in names]) == 1200


async def nothing_waits(database: Database) -> bool:
    return await waiting(database) == 0


async def test_a_server_that_crashes_and_comes_back_gets_everything(
    database: Database, broker: tuple[Server, Read]
) -> None:
    """Killed while events come in; what it had is there, what it missed comes, and the order is kept."""
    server, read = broker
    objects = [uuid4() for _ in range(40)]
    (address,) = addresses(f"bus={server.url}")
    async with relaying(database, opened(address), "bus", SOON):
        coming = asyncio.create_task(objects_happened(database, objects, each=20))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(server.kill)
        await coming
        assert await waiting(database) > 0
        await asyncio.to_thread(server.start)
        await until(lambda: nothing_waits(database), 60)
    names = {str(one) for one in objects}
    assert in_order(await read(server.url), names) == {name: list(range(20)) for name in names}


async def test_what_is_told_twice_is_in_the_stream_once(nats_server: Server) -> None:
    """By its key, which JetStream knows for a while."""
    key = uuid4()
    body = json.dumps({"idempotencyKey": str(key), "payload": {"object": str(key), "n": 0}}).encode()
    (address,) = addresses(nats_server.url)
    sink = opened(address)
    assert [await sink.publish([Message(key, "X", key, body)]) for _ in range(2)] == [[None], [None]]
    await sink.close()
    assert sum(event["idempotencyKey"] == str(key) for event in await read_nats(nats_server.url)) == 1


async def test_what_is_too_large_is_refused_and_stops_nothing(nats_server: Server) -> None:
    """A server takes a megabyte unless told otherwise."""
    (address,) = addresses(nats_server.url)
    sink = opened(address)
    keys = [uuid4(), uuid4()]
    large, small = (
        Message(
            key,
            "X",
            key,
            json.dumps({"idempotencyKey": str(key), "payload": {"object": str(key), "n": text}}).encode(),
        )
        for key, text in zip(keys, ["x" * 1_100_000, ""], strict=True)
    )
    outcomes = await sink.publish([large, small])
    await sink.close()
    assert isinstance(outcomes[0], Refusal)
    assert "max_payload" in str(outcomes[0])
    assert outcomes[1] is None


@pytest.mark.parametrize("scheme", ["nats", "redis", "amqp", "kafka"])
async def test_a_broker_that_is_not_there_is_an_error_soon(scheme: str) -> None:
    """And not a wait without end: the relay says what it is, and tries again."""
    (address,) = addresses(f"{scheme}://127.0.0.1:9")
    sink = opened(address)
    async with asyncio.timeout(20):
        with pytest.raises(Exception, match=r".") as caught:
            await sink.publish([Message(uuid4(), "X", uuid4(), b"{}")])
    assert not isinstance(caught.value, Refusal)
    await sink.close()


async def test_kafka_records_are_keyed_by_object() -> None:
    """No Kafka server: this is the client's own double of one, which tells what would have been sent."""
    sink = KafkaSink("kafkas://me:hunter22@kafka.example.com")
    sink._broker = sink._made()
    sink._connected = True
    got: list[tuple[bytes, dict[str, str], bytes]] = []

    @sink._broker.subscriber("payments")
    async def take(message: KafkaMessage) -> None:
        raw = message.raw_message
        assert not isinstance(raw, tuple)
        got.append((raw.key, message.headers, message.body))

    one = Message(uuid4(), "SAVED_POOL", uuid4(), b'{"n":1}')
    async with TestKafkaBroker(sink._broker):
        assert await sink.publish([one]) == [None]
    ((key, headers, body),) = got
    assert (key, body) == (one.object.bytes, one.body)
    assert (headers["idempotencyKey"], headers["type"]) == (str(one.key), one.type)
